"""``python -m rain.executor.gangs.tether``: runs a program of a step of Slurm for as long as the task that wanted it.

A step outlives the srun that was killed, so the program hangs on a connection to the executor: its end kills it with
all that it has started. Through the connection comes with which status it ended.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence

from rain.common.protocol.address import parse_address
from rain.executor.gangs.launching import COUNT, RANK
from rain.host.process_table import family
from rain.host.signals import signal_all

KEY = "RAIN_TETHER_KEY"
_FAILED_TO_START = 127


def main(words: Sequence[str]) -> int:
    """Run a program; `words` are the executor's ``host:port``, the folder to run in, and the program's own.

    Returns
    -------
    int
        Its exit status, or 128 and the number of the signal that killed it.
    """
    address, folder, *args = words
    rank, key = os.environ["SLURM_PROCID"], os.environ.pop(KEY)
    os.environ |= {RANK: rank, COUNT: os.environ["SLURM_NTASKS"]}
    link = socket.create_connection(parse_address(address))
    made = "" if os.path.isdir(folder) else tempfile.mkdtemp(prefix="rain-step-")
    try:
        os.chdir(made or folder)
        try:
            # What Slurm's MPI needs comes as descriptors, too.
            program = subprocess.Popen(args, stdin=subprocess.DEVNULL, close_fds=False)
        except (OSError, ValueError) as error:
            sys.stderr.write(f"the program cannot be started: {error}\n")
            status = _FAILED_TO_START
        else:
            threading.Thread(target=_watch, args=(link, program.pid), daemon=True).start()
            status = program.wait()
        link.sendall(f"{key} {rank} {status}\n".encode())
    except OSError:  # the executor is gone
        status = -signal.SIGKILL
    finally:
        if made:
            os.chdir("/")
            shutil.rmtree(made, ignore_errors=True)
    return 128 - status if status < 0 else status


def _watch(link: socket.socket, pid: int) -> None:
    try:
        while link.recv(1):
            pass
    except OSError:
        pass
    # This process as well: srun must not take an end that was wanted for that of the program.
    signal_all([*family(pid), os.getpid()], signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
