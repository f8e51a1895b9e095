"""No command line, line of output, log, error, history row or unit file shows a secret of settings or environment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from engine.settings import Settings

pytestmark = pytest.mark.vm
VMDECK = str(Path(sys.executable).with_name("vmdeck"))
TOKEN = "t0ken-that-nobody-may-see"
IN_FILE = "s3cret-of-the-config-file"
S3_KEY = "s3-key-that-nobody-may-see"
SIGNATURE_KEY = "signature-key-that-nobody-may-see"
SECRETS = (TOKEN.encode(), IN_FILE.encode(), S3_KEY.encode(), SIGNATURE_KEY.encode())

COMMANDS = (
    ("doctor", "--json"),
    ("setup", "--dry-run", "--json"),
    ("setup", "--yes", "--offline", "/nowhere", "--kernel", "/none"),  # refused
    ("service", "install", "--print", "--port", "8080"),
    ("host", "--lang", "none", "--code", "pass"),
    ("snapshot", "create", "--lang", "none"),
    ("vms", "--json"),
    ("jobs", "--json"),
    ("settings", "--json"),
    ("rootfs", "upload", "--lang", "python", "--bucket", "none", "--endpoint-url", "http://127.0.0.1:1"),
    ("snapshot", "list", "--remote", "--bucket", "none", "--endpoint-url", "http://127.0.0.1:1"),
)


@pytest.fixture
def environment(lab: Settings, tmp_path: Path) -> dict[str, str]:
    config = tmp_path / "config"
    config.mkdir(exist_ok=True)
    (config / "config.toml").write_text(f'api_token = "{IN_FILE}"\n')
    return {
        **os.environ,
        "VMDECK_DATA_DIR": str(lab.data_dir),
        "VMDECK_RUNTIME_DIR": str(lab.runtime_dir),
        "VMDECK_CONFIG_DIR": str(config),
        "VMDECK_API_TOKEN": TOKEN,
        "AWS_ACCESS_KEY_ID": "s3-user",
        "AWS_SECRET_ACCESS_KEY": S3_KEY,
        "VMDECK_SIGNATURE_KEY": SIGNATURE_KEY,
        "VMDECK_DEBUG": "1",
    }


@pytest.fixture
def daemon(environment: dict[str, str], tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """URL of a running daemon, and the file of all that it says."""
    log = tmp_path / "log"
    with log.open("wb") as said:
        process = subprocess.Popen(
            [VMDECK, "serve", "--port", "0"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        )
    try:
        assert process.stdout is not None
        url = next(line.split()[-1] for line in process.stdout if "http://" in line)
        yield url, log
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def command_lines() -> bytes:
    """Of all processes."""
    found = bytearray()
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found += entry.read_bytes()
        except OSError:
            continue  # it ended meanwhile
    return bytes(found)


def written(*folders: Path) -> Iterator[tuple[Path, bytes]]:
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                yield path, path.read_bytes()


def test_no_secret_is_shown_anywhere(
    daemon: tuple[str, Path], environment: dict[str, str], lab: Settings, tmp_path: Path
) -> None:
    url, log = daemon
    said = bytearray()
    for command in COMMANDS:
        done = subprocess.run([VMDECK, *command], env=environment, capture_output=True, timeout=120, check=False)
        said += done.stdout + done.stderr
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=120) as client:
        code = "print(open('/proc/cmdline').read(), __import__('os').environ, flush=True); input()"
        with client.stream(
            "POST",
            "/api/v1/execute",
            json={"language": "python", "code": code, "stdin": "\n", "timeout": 60},
            headers={"Accept": "text/event-stream"},
        ) as answer:
            assert answer.status_code == 200
            seen = b""
            for piece in answer.iter_bytes():
                said += piece
                seen = seen or (command_lines() if b"running" in said else b"")
        said += client.get("/health?full=1").content
        said += client.post("/api/v1/setup", json={"steps": ["none"]}).content
        said += client.get("/api/v1/jobs").content
    said += httpx.get(f"{url}/api/v1/jobs", headers={"Authorization": f"Bearer {TOKEN}x"}).content

    assert b"qemu" in seen or b"firecracker" in seen, "a VM was to be seen at work"
    assert b"result" in said
    files = dict(written(lab.data_dir, lab.runtime_dir))
    shown = {"output": bytes(said), "log": log.read_bytes(), "command lines": seen + command_lines()}
    shown |= {str(path): content for path, content in files.items()}
    assert any(name.endswith(("history.db-wal", "history.db")) for name in shown)
    assert [name for name, content in shown.items() if any(secret in content for secret in SECRETS)] == []
