"""The client's core: events in, effects out.

Theory of operation
-------------------
`ClientCore.step` takes what happens (`events`) and returns what is to be done (`effects`). What a user asks for is an
*operation* (`waiting.Operation`): a generator whose steps are made by `resume`, in the thread that waits for it, and
which yields what it waits for: the reply to a request, a gate at records, an upload. `resume` and `step` are never
called at the same time (the shell holds a lock), so that operations read and change records as they please between two
waits. When a wait is over, the operation looks at the records again.

The parts: `records` and `gates`; `session_mirror` (the records of one session, and how updates change them);
`requests`; `sessions` (opened, attached, stopped, closed, lost) and `restoring`; `stalls` (why nothing goes on);
`change_feed` (what views see). In `operations`: `submits`; `waits` and `completions`; `keeps`; `locating` and `reading`
(where finished objects are, and which replica is read); `retries`; `governors` (how many are there); `questions`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rain.client.core import effects as do
from rain.client.core import events as ev
from rain.client.core import requests, sessions, stalls
from rain.client.core.operations import governors, keeps
from rain.client.core.operations.governors import GovernorWait
from rain.client.core.requests import Request
from rain.client.core.session_mirror import SessionMirror
from rain.client.core.waiting import Operation, Waiting
from rain.common.errors import RainException
from rain.common.protocol import messages as m
from rain.common.protocol.messages import Failed


class ClientCore:
    """A client without IO.

    Parameters
    ----------
    address : str
        ``host:port`` of the server, for error texts.
    connected : bool
        Whether there is a server; without one graphs can be built, and nothing runs.

    Attributes
    ----------
    starting : bool
        Whether the server is not up yet.
    over_because : str
        Empty while the server can be used; then ``"closed"``, or why the server is lost.
    advice : str
        The end of the error text about a lost server.
    sessions : dict of int to SessionMirror
        The sessions that are open, and those that ended without being closed.
    governor_count : int
    governors_expected : list of int
        How many each wait for governors is for that has not ended, also while the server is asked.
    governor_waits : list of GovernorWait
    libraries : dict of str to GovernorLibraries
        What governors have told, by their ids; those that are gone may be among them. Each news makes another dict.
    effects : list of Effect
        What is to be done; see `take_effects`.
    """

    __slots__ = (
        "_handlers", "_said", "address", "advice", "away_since", "connected", "effects", "governor_count",
        "governor_waits", "governors_expected", "governors_met", "libraries", "over_because", "replies",
        "request_count", "requests", "sessions", "starting",
    )  # fmt: skip

    def __init__(self, address: str = "", connected: bool = True) -> None:
        self.address = address
        self.advice = ". Make a new Client when it is there again"
        self.connected = connected
        self.starting = False
        self.over_because = ""
        self.away_since: float | None = None
        self.request_count = 0
        self.requests: dict[int, Request] = {}
        self.sessions: dict[int, SessionMirror] = {}
        self.governor_count = 0
        self.governors_met = 0
        self.governors_expected: list[int] = []
        self.governor_waits: list[GovernorWait] = []
        self.libraries: dict[str, m.GovernorLibraries] = {}
        self.effects: list[do.Effect] = []
        self._handlers: dict[type, Callable[[Any, float], None]] = {
            ev.Said: lambda event, now: self._take(event.messages),
            ev.Away: self._away,
            ev.Back: self._back,
            ev.Gone: lambda event, now: self._gone(event.reason),
            ev.Left: lambda event, now: self._left(event.name),
            ev.Unsendable: lambda event, now: self._unsendable(event.message, event.reason),
            ev.Tick: self._tick,
            ev.Released: lambda event, now: keeps.release(self, event.mirror),
            ev.GivenUp: lambda event, now: sessions.give_up(self, event.opening),
        }
        self._said: dict[type, Callable[[Any], None]] = {
            m.SessionUpdate: lambda message: sessions.take_updates(self, message),
            m.Progressed: lambda message: sessions.progressed(self, message),
            m.GovernorCount: lambda message: governors.counted(self, message.count),
            m.LibrariesThere: lambda message: governors.libraries_told(self, message.governors),
            m.SessionStopped: lambda message: sessions.stopped(self, message),
            m.WantModule: self._want_module,
        }
        self.replies: dict[type, Callable[[Request, Any], None]] = {
            m.Updated: lambda request, message: sessions.updated(self, message),
            m.Attached: lambda request, message: sessions.attached(self, [*request.pieces, message]),
            m.ServerInfo: lambda request, message: governors.counted(self, len(message.governors)),
            m.ServerBrief: lambda request, message: governors.counted(self, len(message.governors)),
        }

    def step(self, event: ev.Event, now: float) -> list[do.Effect]:
        """The effects of `event`.

        Parameters
        ----------
        event : Event
        now : float
            Seconds on a clock that never goes back.
        """
        self._handlers[type(event)](event, now)
        return self.take_effects()

    def resume(
        self, operation: Operation[Any], value: Any = None, error: BaseException | None = None
    ) -> tuple[Waiting | None, Any]:
        """Make the next step of an operation, with what it waited for.

        `take_effects` afterwards, also if this raises what the operation raises.

        Returns
        -------
        (Waiting, None) or (None, any)
            What it waits for now, or when it has ended its result.
        """
        try:
            return (operation.send(value) if error is None else operation.throw(error)), None
        except StopIteration as stop:
            return None, stop.value

    def take_effects(self) -> list[do.Effect]:
        """The effects that have come up since this was last called."""
        effects, self.effects = self.effects, []
        return effects

    # -- for the parts --------------------------------------------------------------------------

    def emit(self, effect: do.Effect) -> None:
        """Add an effect."""
        self.effects.append(effect)

    def over(self, waiting: Waiting, value: Any = None, error: BaseException | None = None) -> None:
        """End a wait; nothing happens if it has ended already."""
        if not waiting.over:
            waiting.over, waiting.value, waiting.error = True, value, error
            if waiting.waiter is not None:
                self.effects.append(do.WaitOver(waiting))

    def check(self) -> None:
        """Check that the server can be asked.

        Raises
        ------
        RainException
            If the client is closed or lost, or its server is not up yet.
        """
        if self.starting:
            raise RainException("the server of this client is still starting")
        if self.over_because == "closed":
            raise RainException("this client is closed: make a new Client")
        if self.over_because:
            raise RainException(f"the server is lost: {self.over_because}{self.advice}")

    # -- the server -----------------------------------------------------------------------------

    def _take(self, messages: list[Any]) -> None:
        said = self._said
        for message in messages:
            handler = said.get(type(message))
            if handler is not None:
                handler(message)
            else:
                requests.take_reply(self, message)

    def _want_module(self, message: m.WantModule) -> None:
        self.emit(do.FindModule(self.sessions.get(message.session_id), message.session_id, message.name))

    def _unsendable(self, message: Any, reason: str) -> None:
        number = getattr(message, "request", None)
        if number is None:
            return
        text = f"a {type(message).__name__} message cannot be sent: {reason}"
        if isinstance(message, m.Submit):
            # The server has only got a part of it: what it knows of the session is incomplete.
            mirror = self.sessions.get(message.session_id)
            if mirror is not None:
                sessions.end(self, mirror, "lost", f"session {mirror.session_id} {mirror.name!r} is lost: {text}")
        requests.take_reply(self, Failed(number, "rain", text))

    def _away(self, event: ev.Away, now: float) -> None:
        self.away_since = now

    def _back(self, event: ev.Back, now: float) -> None:
        self.away_since = None
        stalls.server_is_back(self)

    def _tick(self, event: ev.Tick, now: float) -> None:
        if self.away_since is not None:
            stalls.server_is_away(self, now - self.away_since, event.absence, event.fate)
        for mirror in list(self.sessions.values()):
            if mirror.dropped:
                keeps.release(self, mirror)

    def _gone(self, reason: str) -> None:
        if self.over_because:
            return
        self.over_because = reason
        self.connected = False
        sessions.lost_with_server(self, reason)
        requests.reject_all(self, RainException(f"the server is lost: {reason}"))
        governors.reject_all(self, RainException(reason))

    def _left(self, name: str) -> None:
        if not self.over_because:
            self.over_because = "closed"
            self.connected = False
            sessions.end_all(self, "closed", "closed: its client was closed")
            error = RainException(f"{name} was closed")
            requests.reject_all(self, error)
            governors.reject_all(self, error)
