"""Many results combined to one by a tree of tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from rain.common.errors import RainException


def tree(combine: Callable[..., Any], items: Iterable[Any], width: int, owner: str) -> Any:
    """The root of a tree of calls of `combine`, each of at most `width` neighbours; their order stays.

    Raises
    ------
    RainException
        If there are fewer than two items, or `width` is less than 2.
    """
    if isinstance(width, bool) or not isinstance(width, int) or width < 2:
        raise RainException(f"{owner}.reduce(): width is an integer from 2 on, not {width!r}")
    level = list(items)
    if len(level) < 2:
        raise RainException(f"{owner}.reduce() needs at least two items to combine, and got {len(level)}")
    while len(level) > 1:
        groups = [level[start : start + width] for start in range(0, len(level), width)]
        level = [group[0] if len(group) == 1 else combine(*group) for group in groups]
    return level[0]
