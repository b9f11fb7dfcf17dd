"""Telling whoever waits that nothing can go on, once, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rain.client.functions.call_sites import warn
from rain.client.operations.operation import resolve
from rain.common.limits import SERVER_AWAY_S, STALLED_S

if TYPE_CHECKING:
    from rain.client.session import Session


class Stall:
    """What stands in the way of a session: what its server says, or that the server is away."""

    __slots__ = ("_away", "_said", "_server")

    def __init__(self) -> None:
        self._server = ""
        self._away = ""
        self._said = ""

    @property
    def text(self) -> str:
        """Why nothing can go on; empty if something can."""
        return self._away or self._server


def tell(session: Session, *, server: str | None = None, away: str | None = None) -> None:
    """Take note of what stands in the way (empty: nothing does any more), and wake whoever waits; in any thread."""
    with session._lock:
        stall = session._stall
        before = stall.text
        stall._server = stall._server if server is None else server
        stall._away = stall._away if away is None else away
        if stall.text == before:
            return
        if not stall.text:
            stall._said = ""
        gates = list(session._mirror.gates) if stall.text else []
    for gate in gates:
        resolve(gate.future, None)  # they look again, see that nothing has changed for them, and say it
    for watch in session._mirror.watches:
        watch.poke()


def server_is_away(address: str, seconds: float, sessions: Iterable[Session]) -> None:
    """The server was not heard for so long; not before it has been a while that is said."""
    if seconds > STALLED_S:
        text = (
            f"the server at {address} has not been heard for {STALLED_S:g} s; it is waited for up to SERVER_AWAY_S "
            f"({SERVER_AWAY_S:g} s), and then its sessions are lost"
        )
        for session in list(sessions):
            tell(session, away=text)


def server_is_back(sessions: Iterable[Session]) -> None:
    """It was heard again."""
    for session in list(sessions):
        tell(session, away="")


def say(session: Session) -> None:
    """Warn (`RainWarning`) whoever is about to wait; once for each time that something stands in the way."""
    with session._lock:
        stall = session._stall
        text = stall.text
        if not text or stall._said:
            return
        stall._said = text
    warn(f"{text}. Whoever waits here goes on waiting; interrupting the wait does no harm")
