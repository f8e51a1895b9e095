"""vsock on this host. Nothing needs it today: the agent is reached by virtio-serial (QEMU)."""

from __future__ import annotations

from engine.host.finding import Finding, Surroundings, info

_DEVICES = ("vhost-vsock", "vsock")
_MODULES = ("vhost_vsock", "vsock", "vsock_loopback")


def vsock(around: Surroundings) -> Finding:
    devices = [f"/dev/{name}" for name in _DEVICES if (around.dev / name).exists()]
    modules = [name for name in _MODULES if (around.sys / "module" / name).exists()]
    seen = ", ".join(devices + [f"module {name}" for name in modules]) or "none"
    return info(f"{seen}; not needed, the guest agent is reached by virtio-serial")
