"""Operations, which are decisions that take several steps, and what they wait for."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")


class Waiting:
    """Something that will be over at some time: a request's reply, a gate, bytes on their way.

    Attributes
    ----------
    over : bool
    value, error
        How the wait ended: the value with which the operation goes on, or the error that is raised in it.
    waiter : any
        Set by the shell (or the simulator), which learns by the effect `WaitOver` that the wait is over.
    """

    __slots__ = ("error", "over", "value", "waiter")

    def __init__(self) -> None:
        self.over = False
        self.value: Any = None
        self.error: BaseException | None = None
        self.waiter: Any = None


Operation: TypeAlias = Generator[Waiting, Any, T]
"""A generator that yields what it waits for and is sent the value (or thrown the error) with which that ended. It is
resumed by `ClientCore.resume`; what ends a wait early (a time-out, Ctrl-C) is thrown into it as well."""


class Pause(Waiting):
    """A wait of so many seconds."""

    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds


class Upload(Waiting):
    """Large constants that are to be brought to the server's host before they are submitted."""

    __slots__ = ("values",)

    def __init__(self, values: list[Any]) -> None:
        super().__init__()
        self.values = values
