"""Source that an interpreter of the language image runs while it waits for a script (python3 -c).

Started before the snapshot, already unprivileged and confined; after restore it gets script, arguments, environment
and standard streams over its control socket and becomes the run. It may only use what any Python 3 since 3.4 has.
The agent never runs this code: it passes SOURCE on, and talks to it in marshal, which costs less than JSON.

Every path through the interpreter that comes after the message has to be translated anew by an emulating VMM, so what
can be done before is.
"""

MARSHAL_VERSION = 2  # of Python 3.4, and read by all since

SOURCE = r"""
import _socket, array, builtins, gc, importlib.machinery, marshal, os, random, resource, sys, types
import collections, datetime, functools, io, itertools, json, linecache, math, re, string, time, traceback, typing


def _wait_for_run():
    module = types.ModuleType("__main__")
    here = dict(os.environ)
    sys.stdout.reconfigure(line_buffering=True, write_through=False)  # a line is one write, and seen at once
    control = _socket.socket(fileno=3)
    fds = array.array("i")
    message = bytearray(256 * 1024)
    gc.collect()
    gc.freeze()  # what is here now is never collected: no clone copies its pages for that
    control.send(b"parked")
    size, ancillary, _, _ = control.recvmsg_into([message], _socket.CMSG_SPACE(16))
    if not size:
        os._exit(0)
    for _, _, payload in ancillary:
        fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
    run = marshal.loads(message)
    os.write(fds[3], b"0")
    for target in range(3):
        os.dup2(fds[target], target)
    for fd in fds:
        os.close(fd)
    control.close()
    if run["env"] != here:
        os.environ.clear()
        os.environ.update(run["env"])
    os.chdir(run["cwd"])
    script, source = run["argv"][0], run["source"]
    if source is not None:
        with open(script, "wb") as file:
            file.write(source)
    for name, value in run["rlimits"].items():
        resource.setrlimit(getattr(resource, "RLIMIT_" + name.upper()), (value, value))
    random.seed()
    sys.argv = run["argv"]
    sys.orig_argv = ["python3"] + run["argv"]
    sys.path[0] = os.path.dirname(script)
    loader = importlib.machinery.SourceFileLoader("__main__", script)
    module.__dict__.update(__file__=script, __builtins__=builtins, __cached__=None, __loader__=loader)
    sys.modules["__main__"] = module
    return module.__dict__, script, source


def _main(names, script, source):
    frames = 1
    try:
        if source is None:
            with open(script, "rb") as file:
                source = file.read()
        frames = 0
        code = compile(source, script, "exec", dont_inherit=True)
        frames = 1
        exec(code, names)
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
            import signal

            sys.stdout.flush()
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
        sys.exit(1)


_main(*_wait_for_run())
"""
