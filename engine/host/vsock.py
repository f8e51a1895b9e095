"""The check of vsock on this host, which no VMM here needs.

Firecracker's vsock ends in a unix socket of its own, and QEMU's agent is reached by virtio-serial.
"""

from __future__ import annotations

from engine.host.finding import Finding, Surroundings, ok

_DEVICES = ("vhost-vsock", "vsock")
_MODULES = ("vhost_vsock", "vsock", "vsock_loopback")


def vsock(around: Surroundings) -> Finding:
    devices = [f"/dev/{name}" for name in _DEVICES if (around.dev / name).exists()]
    modules = [name for name in _MODULES if (around.sys / "module" / name).exists()]
    seen = ", ".join(devices + [f"module {name}" for name in modules]) or "none"
    return ok(f"{seen}; not needed: Firecracker uses a unix socket, QEMU virtio-serial")
