"""Which engine is meant, and what places of it are to have."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from rain.common.errors import RainException
from rain.deploy.engines.jobs import jobs_of
from rain.deploy.engines.slurm import Slurm
from rain.deploy.pools.supplier import Supply

_OPTION = inspect.Parameter.KEYWORD_ONLY
SUPPLIES: dict[str, Callable[..., Supply]] = {
    "slurm": partial(jobs_of, Slurm()),
}
"""By the names that users give them."""


def supply_of(engine: Any, **options: Any) -> Supply:
    """What starts places on an engine.

    Parameters
    ----------
    engine : str
        ``"slurm"``.
    **options
        As the engine's function in `SUPPLIES` takes them; for batch systems see `rain.deploy.engines.jobs.jobs_of`.

    Raises
    ------
    RainException
        If there is no such engine, or an option has no meaning there.
    """
    if not isinstance(engine, str) or engine not in SUPPLIES:
        raise RainException(f"no places can be had from {engine!r}; they can from {', '.join(map(repr, SUPPLIES))}")
    supply = SUPPLIES[engine]
    known = [name for name, parameter in inspect.signature(supply).parameters.items() if parameter.kind is _OPTION]
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f": do you mean {near[0]}?" if near else "."
            raise RainException(f"places of {engine!r} have no option {name!r}{hint} They have {', '.join(known)}.")
    return supply(**options)
