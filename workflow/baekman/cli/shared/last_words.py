"""The last words of a command that a library ends: OpenBLAS exits and C++ aborts where memory runs out."""

from __future__ import annotations

import atexit
import os
import resource
import signal
import sys

from baekman.errors import EXIT_FAILED
from baekman.tools.processes import end_with

_FORWARDED = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
_WAITED = {*_FORWARDED, signal.SIGCHLD}
_SI_KERNEL = 128  # of Ctrl-C in a terminal, which the child gets too


def go_on_in_child(words: str) -> None:
    """Where the memory of this process is limited (``ulimit -v``), return in a child process only.

    This process waits for the child, and ends as it does. It prints ``words`` where the child ended without Python:
    a library that gets no memory ends its process, and no ``except`` sees it.
    """
    if resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY:
        return
    reader, writer = os.pipe()
    parent = os.getpid()
    # from here on, a signal to this process waits until the child can have it
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _WAITED)
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.close(reader)
        if not end_with(parent, by=signal.SIGKILL):
            os._exit(EXIT_FAILED)
        # Python runs this at its own end only, whatever the exit code
        atexit.register(_note_end, os.getpid(), writer)
        return
    os.close(writer)
    code = _wait(child)
    os.set_blocking(reader, False)
    try:
        is_ended_by_python = bool(os.read(reader, 1))
    except BlockingIOError:  # a worker of the child has it open
        is_ended_by_python = False
    if -code in _FORWARDED:
        signal.signal(-code, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _FORWARDED)
        os.kill(parent, -code)
    if not is_ended_by_python:
        print(words, file=sys.stderr, flush=True)
        code = EXIT_FAILED
    os._exit(code if code >= 0 else 128 - code)


def _note_end(process: int, writer: int) -> None:
    """Note that Python ends ``process`` itself; a worker that was forked from it notes nothing."""
    if os.getpid() == process:
        os.write(writer, b".")


def _wait(child: int) -> int:
    """Return the exit code of ``child``, negative for a signal; signals of other processes are sent on to it.

    The signals of ``_WAITED`` must be blocked.
    """
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        received = signal.sigwaitinfo(_WAITED)
        if received.si_signo in _FORWARDED and received.si_code != _SI_KERNEL:
            os.kill(child, received.si_signo)
