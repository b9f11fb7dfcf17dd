"""The loop in which a server or a governor runs until it is asked to end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from rain.processes.state_checks import check_states

R = TypeVar("R")


def run_until_asked(serve: Callable[[asyncio.Event], Coroutine[Any, Any, R]]) -> R:
    """Run ``serve(stop)`` in a loop of its own; `stop` is set on SIGTERM and SIGINT, unless `serve` heeds these itself,
    and `serve` then returns.

    Returns what `serve` returns, and raises what it raises.
    """

    async def main() -> R:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        return await serve(stop)

    check_states()
    return asyncio.run(main())


async def unless_stopped(work: Coroutine[Any, Any, None], stop: asyncio.Event) -> bool:
    """Do something, unless `stop` is set before it is done; returns whether it was done, and raises what it raises."""
    doing, stopped = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({doing, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            doing.result()
            return True
        return False
    finally:
        for one in (doing, stopped):
            one.cancel()
        await asyncio.wait({doing, stopped})
