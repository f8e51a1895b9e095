"""A language with a server, that needs no image but Python's: each line of the snippet is evaluated in the server.

It is the shipped row of bash under another title, so that the image which serves bash serves it.
"""

from __future__ import annotations

import json

LANGUAGE = "bash"
SERVER = """
import os, socket, subprocess, sys, threading, time
listener = socket.socket(socket.AF_UNIX)
listener.bind("/tmp/served")
listener.listen(16)
names = globals()
print("serving", flush=True)
while True:
    peer, _ = listener.accept()
    with peer:
        if asked := peer.makefile().read():  # of the check for readiness there is nothing
            peer.sendall(repr(eval(asked, names)).encode())
"""
CLIENT = """
import socket, sys
for line in open(sys.argv[1]):
    with socket.socket(socket.AF_UNIX) as server:
        server.connect("/tmp/served")
        server.sendall(line.encode())
        server.shutdown(socket.SHUT_WR)
        answer = server.makefile().read()
    if not answer:
        sys.exit("the server said nothing")
    print(answer, flush=True)
"""
READY = "import socket; socket.socket(socket.AF_UNIX).connect('/tmp/served')"


def python(source: str) -> list[str]:
    return ["python3", "-c", source]


def catalogue(server: str = SERVER, ready: str = READY) -> str:
    """A languages.toml. ``server`` and ``ready`` are Python."""
    return f"""
[{LANGUAGE}]
title = "Served"
file = "main.txt"
run = {json.dumps([*python(CLIENT), "{file}"])}
warm = "server"
hello = "6 * 7"
expect = "42\\n"
[{LANGUAGE}.server]
start = {json.dumps(python(server))}
ready = {json.dumps(python(ready))}
"""
