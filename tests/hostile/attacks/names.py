"""Names and trees that break what walks them."""

from __future__ import annotations

from tests.hostile.attacks.attack import Attack

ATTACKS = (
    Attack(
        "a tree deeper than any path",
        """
        import os
        for depth in range(3000):
            os.mkdir("d" * 200)
            os.chdir("d" * 200)
        print(depth + 1)
        """,
        stdout="3000\n",
        timeout_s=30,
    ),
    Attack(
        "names with a newline, bytes that are not UTF-8, 255 bytes, and no name at all",
        r"""
        import os
        for name in (b"a\nb", b"\xff\xfe", b"\x1b[2J", b"n" * 255, b" ", b"-rf", b"*"):
            with open(b"/work/" + name, "wb"):
                pass
        print(len(os.listdir(b"/work")))
        for name in ("n" * 256, "n" * 4000, "x/" * 2000):
            try:
                open(name, "w")
            except OSError as error:
                print(error.strerror)
        try:
            open("a\0b", "w")
        except ValueError as error:
            print(error)
        """,
        stdout="8\nFile name too long\nFile name too long\nNo such file or directory\nembedded null byte\n",
    ),
    Attack(
        "a way up and out of the root",
        """
        import os
        up = "../" * 60
        print(os.path.samefile(up, "/"), os.path.samefile("/..", "/"), os.path.samefile("/proc/self/root", "/"))
        root = os.open("/", os.O_RDONLY)
        os.fchdir(root)
        os.chdir("../../..")
        print(os.getcwd(), [name for name in ("modules", "image", "cells", "agent", "init") if os.path.exists(name)])
        """,
        stdout="True True True\n/ []\n",
    ),
    Attack(
        "links that lead to what it may not read",
        """
        import os
        for target in ("/proc/1/environ", "/etc/shadow", "/proc/kcore", "/dev/vda"):
            os.symlink(target, "link")
            try:
                open("link", "rb").read(1)
                print("read", target)
            except OSError:
                pass
            os.unlink("link")
        try:
            os.link("/etc/passwd", "hard")
            print("linked")
        except OSError:
            print("no hard link")
        """,
        stdout="no hard link\n",
    ),
)
