"""Lines to copy say, through a real shell, exactly the request they were made of."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from console.scratch.lines import TOKEN_VARIABLE, command_line, curl_line
from engine.models import Limits, RunRequest, SourceFile

NASTY = 'it\'s "quoted" $HOME `id` \\ !x %s #\n\ttab ; & | > /dev/null\n--flag\n日本 é'
REQUESTS = {
    "least": RunRequest(language="python", code="print(1)"),
    "nasty": RunRequest(
        language="python", code=NASTY, stdin=NASTY, args=(NASTY, "-x", "", "--snapshot"), env={"A": NASTY}
    ),
    "dashes": RunRequest(language="lua", code="-- a comment\n", stdin="--stdin"),
    "sized": RunRequest(
        language="python", code="1", memory_mib=512, vcpus=2, limits=Limits(timeout_s=2.5), boot="cold"
    ),
    "snapshot": RunRequest(language="python", code="1", boot="snapshot", snapshot="py-256"),
    "any snapshot": RunRequest(language="python", code="1", boot="snapshot"),
}
UNSAID = {
    "files": RunRequest(language="python", files=(SourceFile(path="x", content="y"),)),
    "batch": RunRequest(language="python", stdin=("a", "b")),
    "limits": RunRequest(language="python", limits=Limits(pids=3, stdout_bytes=4)),
    "long": RunRequest(language="python", code="x" * 200_000),
}


class Server:
    """A server that keeps what was posted to it."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                outer.headers.append(dict(self.headers))
                self.send_response(200)
                self.end_headers()
                self.wfile.write(self.path.encode())

            def log_message(self, *_: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    try:
        yield running
    finally:
        running.close()


def shell(line: str, **environ: str) -> str:
    done = subprocess.run(
        ["sh"],
        input=line,  # as if typed: an argument of sh would have to fit into 128 KiB
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": "/nowhere", **environ},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", [*REQUESTS, *UNSAID])
def test_curl_sends_exactly_the_request_and_the_token_of_the_environment(server: Server, name: str) -> None:
    request = (REQUESTS | UNSAID)[name]
    line = curl_line(request, server.address)
    assert line.missing == ()
    assert shell(line.text, **{TOKEN_VARIABLE: "s3cret"}) == "/api/v1/execute"
    assert RunRequest.model_validate(json.loads(server.bodies[0])) == request
    assert server.headers[0]["Authorization"] == "Bearer s3cret"
    assert "s3cret" not in line.text


@pytest.mark.parametrize("name", REQUESTS)
def test_the_line_can_be_pasted_into_any_terminal(name: str) -> None:
    text = curl_line(REQUESTS[name]).text
    assert text.isascii()
    assert text.isprintable()


def test_curl_speaks_to_a_socket_too() -> None:
    line = curl_line(REQUESTS["least"], "unix:/run/my deck/engine.sock").text
    assert "--unix-socket '/run/my deck/engine.sock' http://localhost/api/v1/execute" in line
    assert TOKEN_VARIABLE not in line


def test_a_kernel_is_named_over_the_socket_only() -> None:
    request = RunRequest(language="python", kernel="/boot/vmlinuz")
    assert curl_line(request, "unix:/x").missing == ()
    assert "kernel" in curl_line(request).missing[0]


@pytest.mark.parametrize("name", REQUESTS)
def test_the_cli_reads_exactly_the_request(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = command_line(REQUESTS[name])
    assert line.missing == ()
    (tmp_path / "vmdeck").write_text(
        f"#!{sys.executable}\n"
        "import sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parents[3])!r})\n"
        "from engine.cli import main, run_code\n"
        "from engine.models import RunResult\n"
        "from tests.console.samples import result\n"
        "async def told(engine, request, *, quiet, raw):\n"
        "    print(request.model_dump_json())\n"
        "    return result()\n"
        "import asyncio\n"
        "run_code.run_shown = told\n"
        "run_code.with_engine = lambda use: asyncio.run(use(None))\n"
        "main()\n"
    )
    (tmp_path / "vmdeck").chmod(0o755)
    read = shell(f"PATH={tmp_path}:$PATH; {line.text}", VMDECK_CONFIG_DIR=str(tmp_path))
    wanted = REQUESTS[name]
    if wanted.limits.timeout_s is not None:
        wanted = wanted.model_copy(update={"timeout": wanted.limits.timeout_s, "limits": Limits()})
    assert RunRequest.model_validate_json(read) == wanted


@pytest.mark.parametrize(
    ("name", "word"), [("files", "1 further file"), ("batch", "batch of 2"), ("limits", "pids"), ("long", "128 KiB")]
)
def test_what_the_cli_cannot_say_is_named(name: str, word: str) -> None:
    assert any(word in missing for missing in command_line(UNSAID[name]).missing)
