"""What an operation waits for, and the operations themselves: decisions that take several steps."""

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
        How it ended: the value that the operation goes on with, or the error that is raised in it.
    waiter : any
        What the shell (or the simulator) hangs on it to be told by the effect `WaitOver`.
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
    """So many seconds."""

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
