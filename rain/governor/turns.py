"""The governor's core at work: events in, effects out, and what errors of this code become on the way.

Theory of operation
-------------------
An effect that cannot be carried out becomes the event that the core would have got of any other failure of that kind:
the task fails, the fetch has failed, the executor has exited. An error of the core itself leaves it with half a change,
so nothing that it knows can be trusted: all that runs is ended and a core with nothing takes its place, which to the
server is a governor that was lost and is there again. A turn whose end fails is ended again; if that goes on the
governor ends rather than go on half alive.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from rain.governor.core import GovernorCore
from rain.governor.core import effects as do
from rain.governor.core import events as ev
from rain.net.guarded import guarded

log = logging.getLogger("rain.governor")

FAILURES_MAX = 10
"""Turns in a row that may raise errors before the governor ends."""


class Turns:
    """Steps a core.

    Parameters
    ----------
    core : GovernorCore
    handlers : mapping of type to callable
        What carries an effect out, by its type.
    instead : mapping of type to callable
        Given an effect that could not be carried out, and why: the event that the core gets for it, or None.
    on_ended : callable
        Called at the end of each turn.
    on_spoiled : callable
        Called with the reason when the core has raised an error; the governor should let go of all and `renew`.
    on_fatal : callable
        Called with the error that will not go away.

    Attributes
    ----------
    core : GovernorCore
    spoiled : bool
        Whether the core has raised an error.
    """

    def __init__(
        self,
        core: GovernorCore,
        handlers: Mapping[type, Callable[[Any], None]],
        instead: Mapping[type, Callable[[Any, str], ev.AnyEvent | None]],
        *,
        on_ended: Callable[[], None],
        on_spoiled: Callable[[str], None],
        on_fatal: Callable[[Exception], None],
    ) -> None:
        self.core = core
        self.spoiled = False
        self._handlers = handlers
        self._instead = instead
        self._on_ended = on_ended
        self._on_spoiled = on_spoiled
        self._on_fatal = on_fatal
        self._loop = asyncio.get_running_loop()
        self._due = False
        self._ending = False
        self._failures = 0  # in a row

    def soon(self, flush: Callable[[], None]) -> None:
        """Call what sends messages, unless `on_ended` does, as it is called for what happens now."""
        if not (self._due or self._ending):
            self._loop.call_soon(flush)

    def step(self, event: ev.AnyEvent) -> None:
        """Give an event to the core, and carry out what it leads to."""
        try:
            effects = self.core.step(event, time.monotonic())
        except Exception as error:
            self._core_failed(event, error)
            return
        if not self._due:
            self._due = True
            self._loop.call_soon(self._end)
        self._carry_out(effects)

    def step_later(self, event: ev.AnyEvent) -> None:
        """As `step`, in another turn: for what carrying out an effect leads to at once."""
        self._loop.call_soon(self._step, event)

    @guarded("_failed")
    def _step(self, event: ev.AnyEvent) -> None:
        self.step(event)

    def renew(self) -> None:
        """Go on with a core that knows of nothing."""
        self.core = self.core.renewed()
        self.spoiled = False

    @guarded("_failed")
    def _end(self) -> None:
        self._due = False
        if self.spoiled:  # it starts nothing more
            return
        event = ev.TurnEnded()
        self._ending = True
        try:
            try:
                effects = self.core.step(event, time.monotonic())
            except Exception as error:
                self._core_failed(event, error)
            else:
                self._carry_out(effects)
            self._on_ended()
        finally:
            self._ending = False
        self._failures = 0

    def _failed(self, error: Exception, *_: Any) -> None:
        self._failures += 1
        if self._failures > FAILURES_MAX:
            self._on_fatal(error)
            return
        self._due = True
        self._loop.call_soon(self._end)

    def _carry_out(self, effects: list[do.AnyEffect]) -> None:
        handlers = self._handlers
        for effect in effects:
            try:
                handlers[type(effect)](effect)
            except Exception as error:
                log.exception("%s raised an error", type(effect).__name__)
                self._not_done(effect, internal(error))

    def _not_done(self, effect: do.AnyEffect, why: str) -> None:
        try:
            instead = self._instead.get(type(effect))
            event = None if instead is None else instead(effect, why)
        except Exception as error:
            self._core_failed(effect, error)
            return
        if event is not None:
            self.step_later(event)

    def _core_failed(self, what: ev.AnyEvent | do.AnyEffect, error: Exception) -> None:
        log.exception("the core raised an error at %s", type(what).__name__, exc_info=error)
        self.spoiled = True
        self._on_spoiled(internal(error))


def internal(error: Exception) -> str:
    """What users read of an error of this code."""
    return f"an internal error of the governor: {type(error).__name__}: {error}"
