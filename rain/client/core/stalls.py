"""What stands in the way of a session: the threads that wait in it are told once, with what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rain.client.core.session_mirror import SessionMirror
from rain.common.limits import SERVER_AWAY_S, SERVER_RETURN_S, STALLED_S

if TYPE_CHECKING:
    from rain.client.core.core import ClientCore
_AGAIN = "what runs goes on meanwhile, and when it is back all goes on where it was"
_ABSENCES = {
    "": ("has not been heard for", "its host cannot be reached, or the network between stands still"),
    "silent": ("has not answered for", f"it is being started again, or its process stands still; {_AGAIN}"),
    "refused": ("has not been running for", f"it is being started again, or was ended; {_AGAIN}"),
}
"""What was found where the server listened -> what users are told of it."""


def tell(core: ClientCore, mirror: SessionMirror, *, server: str | None = None, away: str | None = None) -> None:
    """Take note of what stands in the way (empty: nothing does any more), and wake the operations that wait."""
    stall = mirror.stall
    before = stall.text
    stall.server = stall.server if server is None else server
    stall.away = stall.away if away is None else away
    if stall.text == before:
        return
    if stall.text:
        for gate in list(mirror.gates):
            core.over(gate)  # its operation finds the records as they were; before it waits again, its thread is warned
    else:
        stall.said = ""
    mirror.poke()


def server_is_away(core: ClientCore, seconds: float, absence: str, fate: str = "") -> None:
    """The server was not heard for so long; sessions are told after `STALLED_S`."""
    if seconds > STALLED_S:
        found, why = _ABSENCES[absence]
        limit = f"SERVER_RETURN_S ({SERVER_RETURN_S:g} s)" if absence else f"SERVER_AWAY_S ({SERVER_AWAY_S:g} s)"
        text = f"the server at {core.address} {found} {STALLED_S:g} s: {why}. It is waited for up to {limit}"
        text += f". {fate}" if fate else ""
        for mirror in list(core.sessions.values()):
            tell(core, mirror, away=text)


def server_is_back(core: ClientCore) -> None:
    """The server was heard again."""
    for mirror in list(core.sessions.values()):
        tell(core, mirror, away="")


def warning(mirror: SessionMirror) -> str:
    """The warning for a thread that is about to wait, empty if there is none; given once for each obstacle."""
    stall = mirror.stall
    text = stall.text
    if not text or stall.said:
        return ""
    stall.said = text
    return f"{text}. What waits here goes on waiting; interrupting the wait does no harm"
