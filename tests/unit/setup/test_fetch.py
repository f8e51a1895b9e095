"""Downloads from a real HTTPS server that does all that servers do."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import logging
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import ConflictError, InputError, NotReadyError
from engine.rootfs.staging import remove_abandoned
from engine.setup.fetch import Patience, copy, fetch
from engine.setup.partial import Partial, partial_folder
from engine.setup.source import Source
from tests.unit.setup.https_server import (
    Answer,
    Asked,
    Connection,
    Server,
    cut,
    dripping,
    stalling,
    status,
    whole,
)

CONTENT = bytes(range(256)) * 12_000  # 3 MB: more than the client writes at once
OTHER = CONTENT[::-1]
DIGEST = hashlib.sha256(CONTENT).hexdigest()
HALF = len(CONTENT) // 2
QUICK = Patience(connect_s=5, answer_s=30, stall_s=30, attempts=3, pause_s=0.01)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "store" / "file.tgz"


@pytest.fixture
def source(server: Server) -> Source:
    return Source(f"{server.url}/v1/file.tgz", DIGEST, len(CONTENT) + 1000)


class Download:
    """One call of ``fetch`` to this test's server, with the lines that it told."""

    def __init__(self, server: Server, source: Source, target: Path) -> None:
        self.server, self.source, self.target = server, source, target
        self.lines: list[tuple[str, float | None]] = []

    async def run(self, *answers: Answer, patience: Patience = QUICK) -> None:
        self.server.answers = list(answers)
        self.server.asked.clear()
        await fetch(self.source, self.target, self._progress, trust=self.server.trust, patience=patience)

    async def fails(self, match: str, *answers: Answer, patience: Patience = QUICK) -> NotReadyError:
        with pytest.raises(NotReadyError, match=match) as caught:
            await self.run(*answers, patience=patience)
        self.nothing_is_installed()
        assert caught.value.remedy
        return caught.value

    def nothing_is_installed(self) -> None:
        assert {path.name for path in self.target.parent.iterdir()} <= {partial_folder(self.target, DIGEST).name}

    def nothing_is_left(self) -> None:
        assert list(self.target.parent.iterdir()) == []

    def _progress(self, line: str, fraction: float | None = None) -> None:
        self.lines.append((line, fraction))


@pytest.fixture
def download(server: Server, source: Source, target: Path) -> Download:
    return Download(server, source, target)


# --- complete


async def test_a_file_arrives_whole_and_nothing_else_stays(download: Download) -> None:
    await download.run(whole(CONTENT))
    assert download.target.read_bytes() == CONTENT
    assert [path.name for path in download.target.parent.iterdir()] == ["file.tgz"]


async def test_a_file_of_undeclared_size_arrives_too(download: Download) -> None:
    await download.run(whole(CONTENT, declared=False))
    assert download.target.read_bytes() == CONTENT


async def test_progress_is_told_in_few_lines_that_end_at_the_whole(download: Download) -> None:
    await download.run(whole(CONTENT))
    assert 5 <= len(download.lines) <= 15
    fractions = [fraction for _, fraction in download.lines if fraction is not None]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert "3.1 of 3.1 MB" in download.lines[-1][0]


async def test_an_older_file_is_replaced_in_one_step(download: Download) -> None:
    download.target.parent.mkdir()
    download.target.write_bytes(OTHER)
    await download.run(whole(CONTENT))
    assert download.target.read_bytes() == CONTENT


async def test_a_redirect_to_https_is_followed(download: Download) -> None:
    await download.run(status(302, Location="/elsewhere?signature=secret"), whole(CONTENT))
    assert [asked.path for asked in download.server.asked] == ["/v1/file.tgz", "/elsewhere?signature=secret"]
    assert download.target.read_bytes() == CONTENT


# --- another file


async def test_a_corrupted_file_is_refused_with_both_digests(download: Download) -> None:
    error = await download.fails("is not the file that was expected", whole(OTHER))
    assert DIGEST in error.message
    assert hashlib.sha256(OTHER).hexdigest() in error.message
    assert len(download.server.asked) == 1
    download.nothing_is_left()


async def test_a_corrupted_file_leaves_an_older_one_as_it_was(download: Download) -> None:
    download.target.parent.mkdir()
    download.target.write_bytes(b"older")
    with pytest.raises(NotReadyError, match="expected"):
        await download.run(whole(OTHER))
    assert download.target.read_bytes() == b"older"


@pytest.mark.parametrize("declared", [True, False])
async def test_a_file_over_its_bound_is_refused(download: Download, declared: bool) -> None:
    await download.fails("is larger than", whole(CONTENT + bytes(10_000), declared=declared))
    assert len(download.server.asked) == 1
    download.nothing_is_left()


async def test_a_file_declared_too_large_is_refused_before_a_byte_is_read(download: Download) -> None:
    async def promise(asked: Asked, connection: Connection) -> None:
        await connection.head(200, Content_Length=1 << 40)
        await connection.gone()

    await download.fails("is larger than", promise)


# --- broken off


async def test_a_broken_download_goes_on_where_it_stopped(download: Download) -> None:
    await download.run(cut(CONTENT, HALF), whole(CONTENT))
    first, second = download.server.asked
    assert "range" not in first.headers
    assert (second.headers["range"], second.headers["if-range"]) == (f"bytes={HALF}-", '"first"')
    assert download.target.read_bytes() == CONTENT


async def test_a_later_call_goes_on_where_the_one_before_gave_up(download: Download) -> None:
    await download.fails("The connection broke", cut(CONTENT, HALF), patience=replace(QUICK, attempts=1))
    await download.run(whole(CONTENT))
    assert download.server.asked[0].headers["range"] == f"bytes={HALF}-"
    assert download.target.read_bytes() == CONTENT
    assert [path.name for path in download.target.parent.iterdir()] == ["file.tgz"]


async def test_a_download_that_was_whole_already_asks_nobody(download: Download) -> None:
    partial = Partial.claim(download.target, DIGEST)
    partial.append(CONTENT)
    partial.close()
    await download.run(status(500))
    assert download.server.asked == []
    assert download.target.read_bytes() == CONTENT


async def test_a_server_that_ignores_ranges_starts_over(download: Download) -> None:
    await download.run(cut(CONTENT, HALF), whole(CONTENT, ranges=False))
    assert download.target.read_bytes() == CONTENT


async def test_a_file_that_changed_meanwhile_starts_over(download: Download) -> None:
    await download.run(cut(OTHER, HALF, etag='"older"'), whole(CONTENT))
    assert download.target.read_bytes() == CONTENT


async def test_a_part_that_does_not_fit_is_thrown_away(download: Download) -> None:
    partial = Partial.claim(download.target, DIGEST)
    partial.begin('"first"')
    partial.append(OTHER[:HALF])
    partial.close()
    await download.run(whole(CONTENT))
    assert [asked.headers.get("range") for asked in download.server.asked] == [f"bytes={HALF}-", None]
    assert download.target.read_bytes() == CONTENT


async def test_a_part_longer_than_the_file_is_thrown_away(download: Download) -> None:
    partial = Partial.claim(download.target, DIGEST)
    partial.append(CONTENT + b"more")
    partial.close()
    await download.run(status(416), whole(CONTENT))
    assert download.target.read_bytes() == CONTENT


async def test_a_server_that_sends_another_part_is_not_believed(download: Download) -> None:
    async def elsewhere(asked: Asked, connection: Connection) -> None:
        await connection.head(206, Content_Range=f"bytes 5-9/{len(CONTENT)}", Content_Length=5)
        await connection.send(b"xxxxx")

    await download.run(cut(CONTENT, HALF), elsewhere, whole(CONTENT))
    assert download.target.read_bytes() == CONTENT


async def test_a_download_that_always_breaks_ends_after_its_attempts(download: Download) -> None:
    await download.fails("The connection broke", cut(CONTENT, 0))
    assert len(download.server.asked) == QUICK.attempts


# --- slow


async def test_silence_ends_at_its_deadline(download: Download) -> None:
    await download.fails("fell silent", stalling(CONTENT, HALF), patience=replace(QUICK, stall_s=0.2, attempts=2))
    assert len(download.server.asked) == 2
    assert partial_folder(download.target, DIGEST).is_dir()


async def test_a_download_goes_on_after_silence(download: Download) -> None:
    patience = replace(QUICK, stall_s=1)
    await download.run(stalling(CONTENT, HALF), whole(CONTENT), patience=patience)
    assert download.target.read_bytes() == CONTENT


async def test_a_trickle_is_not_waited_for(download: Download) -> None:
    patience = replace(QUICK, floor_over_s=0.3, floor_bytes_s=10_000)
    await download.fails("comes too slowly", dripping(CONTENT), patience=patience)
    assert len(download.server.asked) == 1


async def test_an_answer_that_never_ends_its_head_is_not_waited_for(download: Download) -> None:
    async def head_by_head(asked: Asked, connection: Connection) -> None:
        await connection.send(b"HTTP/1.1 200 OK\r\n")
        while True:
            await connection.send(b"X-More: 1\r\n")
            await asyncio.sleep(0.01)

    await download.fails("fell silent", head_by_head, patience=replace(QUICK, answer_s=0.3, attempts=1))


# --- refused


@pytest.mark.parametrize("code", [401, 403, 404, 410, 418])
async def test_a_refusal_is_final(download: Download, code: int) -> None:
    await download.fails(f"was refused with status {code}", status(code))
    assert len(download.server.asked) == 1
    download.nothing_is_left()


@pytest.mark.parametrize("code", [408, 429, 500, 503])
async def test_a_busy_server_is_asked_again(download: Download, code: int) -> None:
    await download.run(status(code), whole(CONTENT))
    assert download.target.read_bytes() == CONTENT


async def test_a_server_that_stays_broken_ends_it(download: Download) -> None:
    await download.fails("was refused with status 500", status(500))
    assert len(download.server.asked) == QUICK.attempts
    download.nothing_is_left()


async def test_nobody_listening_is_told_as_no_connection(download: Download) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        download.source = replace(download.source, url=f"https://127.0.0.1:{port}/file.tgz")
        await download.fails("No connection to the server")
    download.nothing_is_left()


async def test_a_name_that_nobody_knows_is_told_as_no_connection(download: Download) -> None:
    download.source = replace(download.source, url="https://nowhere.invalid/file.tgz")
    await download.fails("No connection to the server", patience=replace(QUICK, attempts=1))


async def test_a_server_that_nobody_vouches_for_is_not_believed(download: Download) -> None:
    download.server.answers = [whole(CONTENT)]
    with pytest.raises(NotReadyError, match="does not prove who it is"):
        await fetch(download.source, download.target, patience=QUICK)
    assert download.server.asked == []
    download.nothing_is_left()


async def test_a_redirect_to_plain_http_is_not_followed(download: Download) -> None:
    plain = download.server.url.replace("https://", "http://")
    await download.fails("not https", status(302, Location=f"{plain}/file.tgz?signature=secret"), whole(CONTENT))
    assert len(download.server.asked) == 1


async def test_redirects_end(download: Download) -> None:
    await download.fails("redirects more than", status(302, Location="/again"))


@pytest.mark.parametrize("url", ["http://127.0.0.1/file", "ftp://host/file", "file:///etc/passwd", "https:///file", ""])
def test_only_https_is_a_source(url: str) -> None:
    with pytest.raises(InputError, match="https"):
        Source(url, DIGEST, 1)


async def test_no_secret_of_a_url_is_told(download: Download, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    url = download.server.url.replace("https://", "https://me:pa55word@") + "/file.tgz?token=s3cret#s3cret"
    download.source = replace(download.source, url=url)
    error = await download.fails("refused", status(302, Location="/x?signature=s3cret"), status(500))
    told = [error.message, error.remedy, repr(download.source), *(line for line, _ in download.lines), caplog.text]
    assert not [text for text in told if "s3cret" in text or "pa55word" in text]


# --- interrupted


async def test_cancelled_half_way_it_leaves_what_can_be_resumed_and_nothing_else(download: Download) -> None:
    download.server.answers = [stalling(CONTENT, HALF)]
    half: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def progress(line: str, fraction: float | None = None) -> None:
        if fraction and fraction >= 0.4 and not half.done():
            half.set_result(None)

    running = asyncio.create_task(
        fetch(download.source, download.target, progress, trust=download.server.trust, patience=QUICK)
    )
    await half
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    download.nothing_is_installed()
    kept = (partial_folder(download.target, DIGEST) / "content").read_bytes()
    assert kept
    assert CONTENT.startswith(kept)
    await download.run(whole(CONTENT))
    assert download.server.asked[0].headers["range"] == f"bytes={len(kept)}-"


async def test_two_at_once_do_not_write_the_same_file(download: Download) -> None:
    held = Partial.claim(download.target, DIGEST)
    try:
        with pytest.raises(ConflictError, match="another process"):
            await download.run(whole(CONTENT))
    finally:
        held.close()
    download.nothing_is_left()


def test_what_is_kept_is_removed_after_a_week_unless_it_is_being_written(target: Path) -> None:
    held, old, fresh = (Partial.claim(target, digit * 64) for digit in "abc")
    for partial in (held, old, fresh):
        partial.append(b"some")
    old.close()
    fresh.close()
    for digit in "ab":
        folder = partial_folder(target, digit * 64)
        for path in (*folder.iterdir(), folder):
            os.utime(path, (0, 0))
    remove_abandoned(target.parent)
    held.close()
    assert {path.name for path in target.parent.iterdir()} == {partial_folder(target, d * 64).name for d in "ac"}


# --- disk full


async def test_a_full_disk_is_told_and_cleared(download: Download, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Partial.append

    def append(self: Partial, data: bytes) -> None:
        if self.size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(self, data)

    monkeypatch.setattr(Partial, "append", append)
    error = await download.fails("No space left on device", whole(CONTENT))
    assert "Free some room" in error.remedy
    assert len(download.server.asked) == 1
    download.nothing_is_left()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "vmdeck-test", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("a small file system can't be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


async def test_a_really_full_disk_is_told_and_cleared(download: Download, small_disk: Path) -> None:
    download.target = small_disk / "file.tgz"
    await download.fails("No space left on device", whole(CONTENT))
    download.nothing_is_left()


# --- from a folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "stick"
    folder.mkdir()
    (folder / "file.tgz").write_bytes(CONTENT)
    return folder


async def test_a_file_is_taken_from_a_folder_by_its_name(source: Source, folder: Path, target: Path) -> None:
    await copy(source, folder, target)
    assert target.read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == ["file.tgz"]


def corrupt(folder: Path) -> None:
    (folder / "file.tgz").write_bytes(OTHER)


def grow(folder: Path) -> None:
    (folder / "file.tgz").write_bytes(CONTENT + bytes(10_000))


def lose(folder: Path) -> None:
    (folder / "file.tgz").unlink()


@pytest.mark.parametrize(
    ("spoil", "told"), [(corrupt, "is not the file that was expected"), (grow, "is larger"), (lose, "There is no")]
)
async def test_a_spoilt_file_of_a_folder_is_refused(
    source: Source, folder: Path, target: Path, spoil: Callable[[Path], None], told: str
) -> None:
    spoil(folder)
    with pytest.raises(NotReadyError, match=told):
        await copy(source, folder, target)
    assert list(target.parent.iterdir()) == []


@pytest.mark.parametrize(("kind", "told"), [("fifo", "it is no regular file"), ("folder", "it is a folder")])
async def test_what_is_no_file_in_the_folder_is_told_as_such(
    source: Source, folder: Path, target: Path, kind: str, told: str
) -> None:
    (folder / "file.tgz").unlink()
    if kind == "fifo":
        os.mkfifo(folder / "file.tgz")
    else:
        (folder / "file.tgz").mkdir()
    async with asyncio.timeout(20):
        with pytest.raises(NotReadyError, match=told) as caught:
            await copy(source, folder, target)
    assert str(folder / "file.tgz") in caught.value.message
    assert list(target.parent.iterdir()) == []
