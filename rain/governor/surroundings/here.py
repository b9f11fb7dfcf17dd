"""What a governor that is started here has, and what says so: for its log, and for `rain doctor`."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import NamedTuple

from rain.common.formatting import size_text
from rain.governor.surroundings.leaving import End
from rain.host.gpus import visible_gpus
from rain.host.shares import cpu_share, memory_share, scratch_folder


class Found(NamedTuple):
    """One line of the table.

    Attributes
    ----------
    what, amount, source : str
    """

    what: str
    amount: str
    source: str


def found_here(end: End | None, environment: Mapping[str, str] = os.environ) -> list[Found]:
    """What this process may use of its host, and how long.

    Parameters
    ----------
    end : End or None
        When its time is over, if that is known (`rain.governor.surroundings.leaving.known_end`).
    environment : mapping of str to str
    """
    cpus, memory, gpus = cpu_share(environment), memory_share(environment), visible_gpus(environment)
    folder, named = scratch_folder(environment)
    until = "no end is known" if end is None else time.strftime("until %Y-%m-%d %H:%M:%S", time.localtime(end.at))
    return [
        Found("cpus", f"{cpus.amount:g}", cpus.source),
        Found("memory", size_text(int(memory.amount)), memory.source),
        Found("gpus", ",".join(gpus.names) or "none", gpus.source),
        Found("scratch files", folder, named),
        Found("time", until, "neither --walltime nor a batch system" if end is None else end.source),
    ]
