"""Source that an interpreter of the language image runs while it waits for a script (python3 -c).

Started before the snapshot, already unprivileged and confined; after restore it gets script, arguments, environment
and standard streams over its control socket and becomes the run. It may only use what any Python 3 since 3.4 has.
The agent never imports this module's code: it passes SOURCE on.
"""

SOURCE = r"""
def _wait_for_script():
    import _socket, array, builtins, gc, importlib.machinery, linecache, os, resource, sys, types
    import collections, datetime, functools, io, itertools, json, math
    import random, re, string, time, traceback, typing

    gc.collect()
    gc.freeze()  # what is here now is never collected: no clone copies its pages for that
    control = _socket.socket(fileno=3)
    control.send(b"parked")
    fds = array.array("i")
    data, ancillary, _, _ = control.recvmsg(192 * 1024, _socket.CMSG_SPACE(16))
    if not data:
        os._exit(0)
    for _, _, payload in ancillary:
        fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
    head, _, script = data.partition(b"\n")
    run = json.loads(head.decode())
    os.write(fds[3], b"0")
    for target in range(3):
        os.dup2(fds[target], target)
    for fd in fds:
        os.close(fd)
    control.close()
    for name in [name for name in os.environ if name not in run["env"]]:
        del os.environ[name]
    for name, value in run["env"].items():
        if os.environ.get(name) != value:
            os.environ[name] = value
    os.chdir(run["cwd"])
    if run["script"] is not None:
        with open(run["script"], "wb") as file:
            file.write(script)
    for name, value in run["rlimits"].items():
        resource.setrlimit(getattr(resource, "RLIMIT_" + name.upper()), (value, value))
    random.seed()
    sys.stdout.reconfigure(line_buffering=True, write_through=False)  # a line is one write, and seen at once
    sys.argv = run["argv"]
    sys.orig_argv = ["python3"] + run["argv"]
    sys.path[0] = os.path.dirname(sys.argv[0])
    return sys.argv[0]


def _main(script):
    import builtins, importlib.machinery, sys, types

    module = types.ModuleType("__main__")
    loader = importlib.machinery.SourceFileLoader("__main__", script)
    module.__dict__.update(
        __file__=script, __builtins__=builtins, __cached__=None, __loader__=loader
    )
    sys.modules["__main__"] = module
    frames = 1
    try:
        with open(script, "rb") as file:
            source = file.read()
        frames = 0
        code = compile(source, script, "exec", dont_inherit=True)
        del source, file
        frames = 1
        exec(code, module.__dict__)
    except SystemExit:
        raise
    except BaseException as error:
        trace = error.__traceback__
        trace = trace.tb_next if frames else None
        interrupted = isinstance(error, KeyboardInterrupt)
        try:
            sys.excepthook(type(error), error.with_traceback(trace), trace)
        except SystemExit:
            raise
        if interrupted:
            import os, signal

            sys.stdout.flush()
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
        sys.exit(1)


_main(_wait_for_script())
"""
