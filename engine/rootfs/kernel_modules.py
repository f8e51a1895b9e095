"""Which kernel modules a guest loads, in which order, read from the module files themselves."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from engine.errors import NotReadyError
from engine.rootfs.compression import detect

WANTED = (
    "virtio_mmio",
    "virtio_pci",
    "virtio_blk",
    "virtio_console",
    "virtio_rng",
    "overlay",
    "vmw_vsock_virtio_transport",
)
BUILT_IN = "modules.builtin"
_PACKED_SUFFIXES = ("", ".xz", ".zst", ".gz")
_SECTION_HEADER = struct.Struct("<IIQQQQIIQQ")


@dataclass(frozen=True, slots=True)
class ModuleSet:
    """Modules unpacked, by name; and for each wanted one what to load, itself last."""

    content: dict[str, bytes]
    order: dict[str, tuple[str, ...]]

    def order_file(self) -> str:
        """One line per wanted module: ``name: dependency ... name``."""
        return "".join(f"{name}: {' '.join(chain)}\n" for name, chain in self.order.items())


def collect(modules_dir: Path, wanted: tuple[str, ...] = WANTED) -> ModuleSet:
    """``wanted`` and what they depend on, without those built into the kernel.

    Of a kernel without any module there is nothing to collect: what it has built in, the guest will find out.
    Raises NotReadyError where a module is missing or no ELF file.
    """
    listed = modules_dir / BUILT_IN
    built_in = {_name(line) for line in listed.read_text().splitlines()} if listed.exists() else set[str]()
    files = {
        _name(path.name): path
        for path in sorted(modules_dir.rglob("*.ko*"))
        if path.name.removesuffix(".ko") != path.name or path.suffix in _PACKED_SUFFIXES
    }
    content: dict[str, bytes] = {}
    if not files and not built_in:
        return ModuleSet({}, {})

    def load(name: str) -> tuple[str, ...]:
        if name in built_in:
            return ()
        if name not in files:
            raise NotReadyError(
                f"The kernel has no module {name}, nor is it built in",
                remedy="Take a kernel with virtio, overlay and vsock: Debian's cloud kernel has them",
            )
        if name not in content:
            content[name] = _unpacked(files[name])
        chain = [each for dependency in _depends(content[name], files[name]) for each in load(dependency)]
        return tuple(dict.fromkeys((*chain, name)))

    order = {name: chain for name in wanted if (chain := load(name))}
    return ModuleSet(content, order)


def _name(path: str) -> str:
    """The kernel's name of a module file: dashes and underscores are one to it."""
    return path.rsplit("/", 1)[-1].split(".ko")[0].replace("-", "_")


def _unpacked(path: Path) -> bytes:
    data = path.read_bytes()
    compression = detect(data)
    try:
        return data if compression is None else compression.decode(data)
    except ValueError as error:
        raise _damaged(path, str(error)) from None


def _depends(module: bytes, path: Path) -> list[str]:
    """Names in the ``depends=`` field of the ELF section .modinfo."""
    try:
        for field in _section(module, b".modinfo").split(b"\0"):
            if field.startswith(b"depends="):
                return [_name(name) for name in field[8:].decode().split(",") if name]
    except (struct.error, ValueError, IndexError) as error:
        raise _damaged(path, str(error)) from None
    return []


def _section(elf: bytes, name: bytes) -> bytes:
    if not elf.startswith(b"\x7fELF\x02\x01"):
        raise ValueError("not a little-endian 64-bit ELF file")
    (table,) = struct.unpack_from("<Q", elf, 0x28)
    size, count, names_index = struct.unpack_from("<HHH", elf, 0x3A)
    headers = [_SECTION_HEADER.unpack_from(elf, table + index * size) for index in range(count)]
    names = headers[names_index][4]
    for header in headers:
        if elf[names + header[0] : names + header[0] + len(name) + 1] == name + b"\0":
            return elf[header[4] : header[4] + header[5]]
    raise ValueError(f"no section {name.decode()}")


def _damaged(path: Path, reason: str) -> NotReadyError:
    return NotReadyError(f"The kernel module {path.name} is damaged: {reason}", remedy="Fetch the kernel again")
