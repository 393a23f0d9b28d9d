"""The process that our own programs are forked off: `python -m cli.stack.forkserver SOCKET MODULE…`.

It has loaded the modules, which several of them need. What those take is there once, because fork(2) copies a page
only when somebody writes to it; and a program has them at once. It does nothing else. A module must not start
a thread: it would not be there after the fork, and what it had locked would be locked for ever.

- It sees no secret: a request is read by the process that was forked off for it, so nobody's is in another's memory.
- Who looks at a forked process sees the arguments and the environment that it was asked to have (proc(5)).
- The caller is told when a forked process ends. It is killed when its caller hangs up, and dies with this one
  (PR_SET_PDEATHSIG).

The protocol is of packets on a UNIX socket, one connection for each process: a `Request` with the descriptor for its
output, then from here `Begun`, then `Ended`.
"""

import ctypes
import gc
import importlib
import os
import runpy
import select
import signal
import socket
import sys
from pathlib import Path
from typing import Final, NamedTuple

from pydantic import Field

from domain.model import Value
from infra.notify import ready

ENVIRONMENT_BYTES: Final = 1 << 15
"""How large a forked process's environment may be: so large is ours, which it is written over."""

PACKET_BYTES: Final = 1 << 17

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_ARGUMENTS, _ENVIRONMENT = (45, 46), (47, 48)  # of what follows the command in /proc/PID/stat: arg_start and so on


class Request(Value):
    """`argv` is a module and its arguments; `env` is the whole environment."""

    argv: tuple[str, ...]
    env: dict[str, str] = Field(repr=False)


class Begun(Value):
    """The process that runs the module."""

    pid: int


class Ended(Value):
    """Its status, negative for a signal."""

    status: int


def environment_block(env: dict[str, str]) -> bytes:
    """Write an environment as the kernel keeps it."""
    return b"".join(os.fsencode(f"{name}={value}") + b"\0" for name, value in env.items())


def main() -> None:
    """Load the modules and fork until killed; in a forked process, run what was asked for."""
    _, path, *modules = sys.argv
    gc.disable()  # a collection now would leave holes that are filled, and copied, after the fork
    for name in modules:
        importlib.import_module(name)
    gc.freeze()  # a collection writes to all that it looks at
    server = os.getpid()
    with _listener(Path(path)) as listener:
        ready()
        caller = _serve(listener)
    with caller:
        request = _begin(caller, server)
    gc.enable()
    sys.argv = list(request.argv)
    runpy.run_module(request.argv[0], run_name="__main__", alter_sys=True)


def _listener(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(str(path))
    path.chmod(0o600)
    listener.listen()
    return listener


def _serve(listener: socket.socket) -> socket.socket:
    """Fork for whoever connects and tell of ends; returns in forked processes, with their caller's connection."""
    children: dict[int, _Forked] = {}  # by both of their descriptors
    waiting = select.poll()  # not epoll(7), which a forked process would share
    waiting.register(listener, select.POLLIN)
    while True:
        ready_one, _ = waiting.poll()[0]
        if ready_one == listener.fileno():
            caller, _ = listener.accept()
            pid = _fork()
            if pid == 0:
                for other in set(children.values()):
                    other.close()
                return caller
            if pid is None:
                caller.close()
                continue
            child = _Forked(pid, os.pidfd_open(pid), caller)
            children |= {child.descriptor: child, caller.fileno(): child}
            waiting.register(child.descriptor, select.POLLIN)
            waiting.register(caller, 0)  # what is there to be read is for the child
        elif ready_one == children[ready_one].descriptor:
            child = children.pop(ready_one)
            waiting.unregister(ready_one)
            if children.pop(child.caller.fileno(), None) is not None:
                waiting.unregister(child.caller)
            child.bury()
        else:  # the caller has hung up; it is reaped above
            waiting.unregister(ready_one)
            os.kill(children.pop(ready_one).pid, signal.SIGKILL)


class _Forked(NamedTuple):
    """A process of ours: its descriptor is readable when it has ended (pidfd_open(2)), its caller hears of it then."""

    pid: int
    descriptor: int
    caller: socket.socket

    def bury(self) -> None:
        _, status = os.waitpid(self.pid, 0)
        _tell(self.caller, Ended(status=os.waitstatus_to_exitcode(status)))
        self.close()

    def close(self) -> None:
        os.close(self.descriptor)
        self.caller.close()


def _fork() -> int | None:
    try:
        return os.fork()
    except OSError as error:  # the caller finds its connection closed, and another way
        sys.stderr.write(f"cannot fork: {error}\n")
        return None


def _begin(caller: socket.socket, server: int) -> Request:
    """Become what the caller asks for, which then hears of it; one that does not wait any more gets nothing."""
    os.setsid()
    packet, descriptors, _, _ = socket.recv_fds(caller, PACKET_BYTES, 1)
    if not packet or len(descriptors) != 1:
        os._exit(1)
    request = Request.model_validate_json(packet)
    (output,) = descriptors
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != server or not _tell(caller, Begun(pid=os.getpid())):
        os._exit(1)
    # First so that the C library knows none of the words that are written over.
    os.environ.clear()
    os.environ.update(request.env)
    _appear_as(b"".join(os.fsencode(word) + b"\0" for word in (sys.executable, "-m", *request.argv)), request.env)
    return request


def _appear_as(arguments: bytes, env: dict[str, str]) -> None:
    """Write over what the kernel shows of this process, as PostgreSQL does. Arguments are cut to the room there is."""
    fields = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
    for (start, end), text in ((_ARGUMENTS, arguments), (_ENVIRONMENT, environment_block(env))):
        where, room = int(fields[start]), int(fields[end]) - int(fields[start])
        shown = text[: room - 1]
        ctypes.memmove(where, shown + bytes(room - len(shown)), room)


def _tell(caller: socket.socket, message: Value) -> bool:
    try:
        caller.send(message.model_dump_json().encode())
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
