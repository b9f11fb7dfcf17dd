"""Programs of a task on all of its governors, by the launcher that is asked for; their output is the task's."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence

from rain.common.errors import RainException
from rain.common.protocol.messages import Node
from rain.executor.gangs.launching import Lines, launch
from rain.executor.gangs.srun import srun
from rain.host.signals import signal_name


def launch_all(nodes: Sequence[Node], args: Sequence[str], env: Mapping[str, str], launcher: str = "rain") -> None:
    """`launch`, or `rain.executor.gangs.srun`, with all output in that of this process.

    Raises
    ------
    RainException
        If a program fails or a node is lost, there are none, or no such launcher.
    """
    if launcher not in ("rain", "srun"):
        raise RainException(f"programs are launched by 'rain' or by 'srun', not by {launcher!r}")
    if not nodes:
        raise RainException(
            "this task runs on one governor: give it nodes=, the number of governors that it needs at once"
        )
    sys.stdout.flush()
    sys.stderr.flush()
    lines = Lines()
    try:
        if launcher == "srun":
            with tempfile.TemporaryDirectory(prefix="rain-srun-") as folder:
                statuses, first = srun(nodes, args, env, lines.writer(0), folder)
        else:
            statuses, first = launch(nodes, args, env, lines.writer)
    finally:
        lines.end()
    if first is not None:
        status = statuses[first]
        how = f"was killed by {signal_name(-status)}" if status < 0 else f"ended with status {status}"
        others = "; those on the other nodes were ended for that" if len(nodes) > 1 else ""
        raise RainException(f"{args[0]} on node {first} ({nodes[first].governor}) {how}{others}")
