"""A Debian root made from nothing, entered in namespaces of its own: all mounts are gone with the last process in it.

The tree under test and the packages of the Python that runs the tests are mounted into it; the Python itself is the
root's own.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

TREE = Path(__file__).parents[3]
SUITE = "bookworm"
PYTHON = (3, 11)  # of that suite
PACKAGES = "python3,python3-venv,ca-certificates"
_PATH = "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Two of the host's folders come in read-only, and what a program expects of any system.
_ENTER = """
set -eu
mount --make-rprivate /
root=$1; tree=$2; packages=$3; shift 3
mount --bind "$root" "$root"
for folder in "$tree" "$packages"; do
    mkdir -p "$root$folder"
    mount --bind "$folder" "$root$folder"
    mount -o remount,bind,ro "$root$folder"
done
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --rbind /sys "$root/sys"
for file in /etc/resolv.conf /etc/hosts; do
    [ -e "$root$file" ] || touch "$root$file"
    mount --bind "$file" "$root$file"
done
exec chroot "$root" /usr/bin/env -i "$@"
"""
# What setup may leave or change beyond its own things: package lists and caches, logs, and the engine's own files.
_NOT_COMPARED = ("dev", "proc", "sys", "run", "tmp", "root", "var/cache", "var/lib/apt", "var/log", "etc/ld.so.cache")
_EACH_START = ("history.db", "engine.lock")  # what an engine writes when it starts


def unable() -> str | None:
    """Why no such root can be made here, None where one can."""
    import os
    import shutil

    if os.geteuid() != 0:
        return "only root can make and enter a root"
    if missing := [program for program in ("mmdebstrap", "unshare", "setpriv") if shutil.which(program) is None]:
        return f"no {', '.join(missing)} here"
    if sys.version_info[:2] != PYTHON:
        return f"the packages of these tests are for Python {sysconfig.get_python_version()}, not {SUITE}'s"
    return None


def make_archive(path: Path) -> None:
    """Download and unpack a minimal Debian into the tar file ``path``; about half a minute."""
    argv = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(path)]
    subprocess.run(argv, check=True, timeout=500, stdout=subprocess.DEVNULL)


@dataclass(frozen=True)
class FreshRoot:
    """Such a root, unpacked at ``folder``, with the command vmdeck on its PATH."""

    folder: Path

    @classmethod
    def unpack(cls, archive: Path, folder: Path) -> FreshRoot:
        folder.mkdir()
        subprocess.run(["tar", "-C", str(folder), "-xf", str(archive)], check=True, timeout=300)
        root = cls(folder)
        packages = sysconfig.get_path("purelib")
        link = "/usr/lib/python3/dist-packages/vmdeck-under-test.pth"
        script = "#!/usr/bin/python3\nfrom engine.cli import main\nmain()\n"
        (folder / link[1:]).write_text(f"import site; site.addsitedir({packages!r})\n{TREE}\n")
        program = folder / "usr/local/bin/vmdeck"
        program.write_text(script)
        program.chmod(0o755)
        return root

    def run(self, *argv: str, timeout_s: float = 500, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a program in the root. It ends with this process, however that ends."""
        variables = {"PATH": _PATH, "HOME": "/root", "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1", **environment}
        return subprocess.run(
            [
                *("setpriv", "--pdeathsig", "KILL"),
                *("unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", _ENTER, "enter"),
                *(str(self.folder), str(TREE), sysconfig.get_path("purelib")),
                *(f"{name}={value}" for name, value in variables.items()),
                *argv,
            ],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def told(self, line: str) -> str:
        """What a program in the root prints; it must end well."""
        done = self.run(*shlex.split(line))
        assert done.returncode == 0, f"{line}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        return done.stdout

    def packages(self) -> set[str]:
        """Those that are wholly installed."""
        shown = self.told("dpkg-query --show --showformat '${db:Status-Status} ${Package}\\n'")
        return {line.split()[1] for line in shown.splitlines() if line.startswith("installed ")}

    def listing(self) -> dict[str, tuple[int, int, int]]:
        """Inode, size and time of every file: of one that was made again they would differ."""
        found: dict[str, tuple[int, int, int]] = {}
        for path in self.folder.rglob("*"):
            name = str(path.relative_to(self.folder))
            if name.startswith(_NOT_COMPARED) or path.is_dir() or path.name.startswith(_EACH_START):
                continue
            status = path.lstat()
            found[name] = (status.st_ino, status.st_size, status.st_mtime_ns)
        return found
