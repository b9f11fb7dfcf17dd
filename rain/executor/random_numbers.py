"""`rng`: random numbers of a task that are the same in each run of a script."""

from __future__ import annotations

import hashlib
import random
from typing import Any

from rain.executor.context import Drawing, current_drawing


def rng() -> Any:
    """Random numbers for the running task: of the session's seed, the task, and how many of these it has asked for.

    With ``client.new_session(seed=42)`` they are the same whenever the script runs again, where the task is retried,
    and whatever runs beside it; and independent of those of other tasks, and of further generators of the same one.
    What counts of a task is its number in the session: scripts that make the same tasks in the same order get the same
    numbers. Without a seed they are other ones each time.

    Returns
    -------
    numpy.random.Generator, or random.Random where NumPy is not installed

    Raises
    ------
    RainException
        If no task runs here.

    Examples
    --------
    ::

        @rain.task
        def estimate(n):
            return rain.rng().random(n).mean()
    """
    drawing = current_drawing()
    number, drawing.count = drawing.count, drawing.count + 1
    return generator(drawing, number)


def generator(drawing: Drawing, number: int) -> Any:
    """The generator with that number of a task."""
    try:
        import numpy as np
    except ImportError:
        if drawing.seed is None:
            return random.Random()
        key = f"{drawing.seed}/{drawing.task}/{number}".encode()
        return random.Random(int.from_bytes(hashlib.sha256(key).digest()))
    if drawing.seed is None:
        return np.random.default_rng()
    return np.random.default_rng(np.random.SeedSequence(drawing.seed, spawn_key=(drawing.task, number)))
