"""A zygote that was just started, before there is a loop: what a governor does first, so that it imports beside it."""

from __future__ import annotations

import os
import socket
import subprocess

from rain.governor.pools.ended_logs import NAMES
from rain.host.descriptors import original_limit
from rain.host.signals import kill_tree
from rain.host.starting import spawn

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), *[".."] * 4))
"""Where the package is: behind all else, for an interpreter in which it is not installed."""
_CODE = "import gc, sys; gc.disable(); sys.path.append(sys.argv.pop(1)); from rain.executor.zygote import main; main()"
"""It looks for garbage when all is imported, which is none."""


class ZygoteProcess:
    """The process of a zygote, and our end of what we share with it.

    Parameters
    ----------
    python : str
        The interpreter.
    folder : str
        Its current directory.

    Attributes
    ----------
    python : str
    process : subprocess.Popen
    socket : socket.socket
        Ours; it does not block.
    outputs : list of int
        Descriptors of what it writes to standard output and error, in memory.

    Raises
    ------
    RainException
        If the interpreter cannot be started.
    """

    def __init__(self, python: str, folder: str) -> None:
        self.python = python
        self.outputs = [os.memfd_create(f"zygote-{name}", os.MFD_CLOEXEC) for name in NAMES]
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.setblocking(False)
        try:
            self.process = self._spawn(folder, theirs.fileno())
        except BaseException:
            self.let_go()
            raise
        finally:
            theirs.close()

    def _spawn(self, folder: str, end: int) -> subprocess.Popen[bytes]:
        stdout, stderr = self.outputs
        with open(stdout, "wb", closefd=False) as out, open(stderr, "wb", closefd=False) as errors:
            # -P: neither the current folder nor PYTHONPATH's habit of it may stand in front of the libraries.
            command = [self.python, "-P", "-c", _CODE, ROOT, str(original_limit()), str(end)]
            return spawn(command, folder=folder, stdout=out, stderr=errors, keep=[end])

    @property
    def is_held(self) -> bool:
        """Whether `let_go` was not called."""
        return self.socket.fileno() >= 0

    def let_go(self) -> None:
        """Close what is shared with it, whereupon it ends by itself; idempotent."""
        if self.is_held:
            self.socket.close()
            for descriptor in self.outputs:
                os.close(descriptor)

    def end(self) -> None:
        """End it at once, unless it was let go."""
        if self.is_held:
            self.let_go()
            kill_tree(self.process.pid)
            self.process.wait()
