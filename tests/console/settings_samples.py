"""Settings as an engine on a small box would list them, and its service."""

from __future__ import annotations

from engine.models import ServiceState, Setting

_FILE = "/etc/vmdeck/config.toml"

SETTINGS = (
    Setting(
        name="data_dir",
        value="/srv/vmdeck",
        default="/var/lib/vmdeck",
        origin="environment",
        source="VMDECK_DATA_DIR",
        about="kernels, images, snapshots, history",
        editable=False,
        why_not=f"VMDECK_DATA_DIR goes before {_FILE}",
    ),
    Setting(
        name="vmm",
        value="auto",
        default="auto",
        origin="default",
        about="auto picks the best that really works here",
        choices=("auto", "firecracker", "qemu"),
    ),
    Setting(
        name="jail",
        value="off",
        default="on",
        origin="flag",
        source="--unjailed",
        about="each VMM process as a user of its own, in a control group, with nothing to reach",
        choices=("on", "off"),
        editable=False,
        why_not=f"--unjailed goes before {_FILE}",
    ),
    Setting(name="max_running", value="2", default="2", origin="default", about="runs at once", pending="8"),
    Setting(
        name="max_queued",
        value="64",
        default="32",
        origin="file",
        source=_FILE,
        about="runs that may wait; more are refused as busy",
    ),
    Setting(
        name="qemu_binary",
        value="",
        default="",
        origin="default",
        about="path of qemu-system-*; empty looks on PATH",
    ),
    Setting(
        name="api_token",
        value="",
        default="",
        origin="file",
        source=_FILE,
        about="required for any address but loopback",
        secret=True,
    ),
)
RUNNING = ServiceState(
    systemd=True,
    installed=True,
    active=True,
    enabled=True,
    seen="vmdeck.service is active (running), process 812, enabled",
    actions=("stop", "restart", "disable"),
    addresses=("unix:/run/vmdeck/engine.sock", "http://127.0.0.1:8080"),
    has_token=True,
)
