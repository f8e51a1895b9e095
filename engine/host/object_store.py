"""The check of the S3 service that the environment or AWS's configuration files name.

Whether anything is configured is seen from names alone: no file of secrets is read here, no instance is asked for its
role. Only then ``s3_probe.py`` asks the service.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from engine.host import command
from engine.host.finding import Finding, Surroundings, degraded, info, ok

PROBE_DEADLINE_S = 2.0
_PROBE = Path(__file__).with_name("s3_probe.py")
NAMES = (
    *("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
    *("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"),
    *("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"),
)
_FILES = {"AWS_SHARED_CREDENTIALS_FILE": ".aws/credentials", "AWS_CONFIG_FILE": ".aws/config"}


async def object_store(_around: Surroundings) -> Finding:
    configured = _configured()
    if not configured:
        return info("no credentials or endpoint configured; needed only to keep images and snapshots elsewhere")
    where = ", ".join(configured)
    try:
        answer = await command.output([sys.executable, "-I", str(_PROBE)], deadline_s=PROBE_DEADLINE_S)
    except TimeoutError:
        return degraded(f"no answer within {PROBE_DEADLINE_S:g} s (by {where})")
    if answer.status != 0:
        return degraded(f"could not be asked (by {where})")
    report = json.loads(answer.stdout)
    if error := report.get("error"):
        return degraded(f"{report.get('endpoint') or 'no endpoint'}: {error} (by {where})")
    return ok(f"{report['endpoint']} answers (by {where})")


def _configured() -> list[str]:
    """Names of what is set, never a value."""
    names = [name for name in NAMES if os.environ.get(name)]
    files = [Path(os.environ.get(name) or Path(os.environ.get("HOME", "/")) / usual) for name, usual in _FILES.items()]
    return names + [path.name for path in files if path.is_file()]
