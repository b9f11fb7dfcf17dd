"""One host's governor as it is seen from here, through an ssh connection that comes and goes. Decisions only.

The shell (`rain.deploy.hosts.links`) starts ssh when `dial_at` has come, and tells what that printed and that it ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from rain.common.limits import HOST_PAUSE_S, HOST_START_S
from rain.common.state_tables import StateTable, states
from rain.host.signals import LEFT_STATUS

_PAUSE_S = 0.5
_SETTLED_S = 30.0
"""After this long in which a governor was up, the next pause is short again."""


class LinkState(Enum):
    """Where a host's governor is."""

    DIALING = "dialing"  # ssh was started, or is about to be, and nothing was heard over it
    STARTING = "starting"  # its holder runs, it has not registered
    UP = "up"  # it has registered, and the connection stands
    LOST = "lost"  # the connection was lost; it may well be there
    PAUSED = "paused"  # it died, and is started again
    ENDED = "ended"  # it could not be started, has left, or its host was away for too long


_S = LinkState
LINKS = StateTable(
    LinkState,
    "A governor on a host that is reached over ssh",
    {
        (None, _S.DIALING): "it was asked for",
        (None, _S.LOST): "a process before this one had asked for it, and has ended",
        (_S.DIALING, _S.STARTING): "its holder answered",
        (_S.DIALING, _S.ENDED): "ssh failed, or what it was to run did",
        (_S.STARTING, _S.UP): "it registered",
        (_S.STARTING, _S.LOST): "the connection was lost",
        (_S.STARTING, _S.PAUSED): "it ended while there was no connection, or did not come back after it had died",
        (_S.STARTING, _S.ENDED): "it could not start, or has left",
        (_S.UP, _S.LOST): "the connection was lost",
        (_S.UP, _S.PAUSED): "it died",
        (_S.UP, _S.ENDED): "it left on purpose",
        (_S.LOST, _S.STARTING): "its holder answered over a new connection",
        (_S.LOST, _S.ENDED): "its host was away for too long, or there is no need of it any more",
        (_S.PAUSED, _S.STARTING): "a new holder answered",
        (_S.PAUSED, _S.ENDED): "there is no need of it any more",
    },
)


@states(state=LINKS)
class Link:
    """One host's governor.

    Parameters
    ----------
    now : float
        Seconds of a monotonic clock.
    away_s : float
        After this long without a connection it counts as ended.
    again : bool
        Whether it is started again after it left because of a signal, as under a guardian.
    before : str or None
        What a process before this one, which has ended, knew of it: the governor's id, empty if it had not registered.
        Then the host is tried for as long as one whose connection was lost.

    Attributes
    ----------
    state : LinkState
    governor : str
        Its id, ``host:port``; empty until it registered.
    why : str
        Why it ended or is not up; empty if nothing is wrong.
    failed : bool
        Whether it has ended without ever being up.
    dial_at : float or None
        When ssh is to be started.
    start_by : float or None
        When it is to have registered.
    lost_at : float
        Since when there is no connection, while there is none.
    leaving : bool
        Whether it was told to leave.
    """

    __slots__ = (
        "again", "away_s", "dial_at", "dialing", "failed", "governor", "leaving", "lost_at", "pause_s", "start_by",
        "state", "up_at", "was_lost", "was_up", "why",
    )  # fmt: skip

    def __init__(self, now: float, away_s: float, again: bool = False, before: str | None = None) -> None:
        self.state = LinkState.DIALING if before is None else LinkState.LOST
        self.governor = before or ""
        self.why = ""
        self.failed = False
        self.away_s = away_s
        self.again = again
        self.dial_at: float | None = now
        self.dialing = False
        self.start_by: float | None = None
        self.lost_at = self.up_at = now
        self.pause_s = _PAUSE_S
        self.was_lost, self.was_up, self.leaving = before is not None, bool(before), False

    @property
    def settled(self) -> bool:
        """Whether it is up, or is known not to come."""
        return self.was_up or self.state is LinkState.ENDED

    def dialed(self, now: float) -> None:
        """ssh was started."""
        self.dial_at, self.dialing = None, True
        self.start_by = now + HOST_START_S

    def heard(self, event: Mapping[str, Any], now: float, why: str = "") -> None:
        """The host said something.

        Parameters
        ----------
        event : mapping
            As `rain.processes.elsewhere.holding` says it.
        now : float
        why : str
            What the last words of the governor mean.
        """
        what = event.get("event")
        if what == "held" and self.state in (LinkState.DIALING, LinkState.LOST, LinkState.PAUSED):
            self.state = LinkState.STARTING
        elif what == "governor" and self.state is LinkState.STARTING:
            self.state = LinkState.UP
            self.governor, self.why = str(event.get("governor", "")), ""
            self.was_up, self.start_by, self.up_at = True, None, now
        elif what == "ended" and self.state is not LinkState.ENDED:
            self._governor_ended(int(event.get("status", 1)), str(event.get("reason", "")), now, why)

    def _governor_ended(self, status: int, reason: str, now: float, why: str) -> None:
        if self.leaving or status == 0 or (status == LEFT_STATUS and not self.again):
            self._end(reason, failed=False)
        elif not (self.was_up or self.was_lost):
            self._end(why or reason or f"its governor {_how(status)}", failed=True)
        elif self.state in (LinkState.STARTING, LinkState.UP):
            if now - self.up_at > _SETTLED_S:
                self.pause_s = _PAUSE_S
            self.why = f"its governor {_how(status)}, and is started again"
            self.state = LinkState.PAUSED
            self.start_by, self.lost_at = None, now

    def closed(self, why: str, now: float) -> None:
        """ssh has ended.

        Parameters
        ----------
        why : str
            What its last words mean.
        now : float
        """
        self.dialing, self.start_by = False, None
        if self.state is LinkState.ENDED:
            return
        if self.state is LinkState.DIALING:
            self._end(why, failed=True)
            return
        if self.state in (LinkState.STARTING, LinkState.UP):
            if now - self.up_at > _SETTLED_S:
                self.pause_s = _PAUSE_S
            if self.up_at >= self.lost_at or not self.was_lost:  # else it has not been up since it was lost before
                self.lost_at = now
            self.state = LinkState.LOST
            self.was_lost = True
        if self.state is LinkState.LOST:
            self.why = f"the ssh connection was lost{f': {why}' if why else ''}"
            if self.leaving or now - self.lost_at >= self.away_s:
                self._end(f"{self.why}, and was not to be had again within {now - self.lost_at:.0f} s", failed=False)
                return
        if self.leaving:
            self._end("", failed=False)
            return
        self.dial_at = now + self.pause_s
        self.pause_s = min(2 * self.pause_s, HOST_PAUSE_S)

    def too_late(self, now: float) -> bool:
        """Whether the time to start is over; ssh is to be ended then."""
        if self.start_by is None or now < self.start_by:
            return False
        self.start_by = None
        if not (self.was_up or self.was_lost):
            self._end(f"its governor has not registered within HOST_START_S ({HOST_START_S:g} s)", failed=True)
        return True

    def give_up(self, now: float) -> None:
        """There is no need of it any more. While there is no connection, one more is tried, to tell it."""
        if self.state is LinkState.ENDED:
            return  # why it has is not to be forgotten
        self.leaving = True
        if not self.dialing and (not self.was_up or self.state is LinkState.PAUSED):
            self._end("", failed=False)
        elif self.dial_at is not None:
            self.dial_at = now

    def abandon(self) -> None:
        """It is not looked for any more."""
        if self.state is not LinkState.ENDED:
            self._end("", failed=False)

    def _end(self, why: str, failed: bool) -> None:
        self.state = LinkState.ENDED
        self.why, self.failed = why, failed and not self.was_up
        self.dial_at = self.start_by = None


def _how(status: int) -> str:
    return f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
