"""How many governors are connected to the server, and operations that wait until there are enough."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from rain.client.core.requests import ask, ask_in_pieces
from rain.client.core.waiting import Operation, Waiting
from rain.common.errors import RainException
from rain.common.limits import LIBRARIES_GOVERNORS_MAX
from rain.common.protocol.messages import (
    ClosePool,
    Demand,
    DrainGovernors,
    ExpectGovernors,
    GetDemand,
    GetServerInfo,
    GovernorLibraries,
    Offer,
    OfferPlaces,
    OpenPool,
    PoolOpened,
)

if TYPE_CHECKING:
    from rain.client.core.core import ClientCore


class GovernorWait(Waiting):
    """Over when at least so many governors are there."""

    __slots__ = ("count",)

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count


def wait_for_governors(core: ClientCore, count: int) -> Operation[None]:
    """Wait until at least `count` governors are there; tasks that no governor has room for wait until then."""
    waiting = GovernorWait(count)
    core.governors_expected.append(count)
    try:
        yield ask(core, ExpectGovernors(0, count))
        yield ask(core, GetServerInfo(0))  # the reply is counted where it arrives, in order with later counts
        if core.governor_count < count:
            core.governor_waits.append(waiting)
            yield waiting
    except BaseException as error:
        core.governors_expected.remove(count)
        _expect_no_more(core, waiting)
        if isinstance(error, TimeoutError):
            raise TimeoutError(f"{core.governor_count} of {count} governors are there: {error}") from None
        raise
    core.governors_expected.remove(count)
    core.governors_met = max(core.governors_met, count)


def _expect_no_more(core: ClientCore, waiting: GovernorWait) -> None:
    """A wait was given up: tasks that no governor has room for fail now, instead of waiting for ever."""
    core.governor_waits = [other for other in core.governor_waits if other is not waiting]
    expected = max([core.governors_met, *core.governors_expected])
    if core.connected:
        ask_in_pieces(core, [ExpectGovernors(0, expected)])


def drain(core: ClientCore, governors: list[str], within_s: float) -> Operation[None]:
    """Have governors leave; done when they were told."""
    yield ask(core, DrainGovernors(0, governors, within_s))


def offer(core: ClientCore, offers: list[Offer]) -> Operation[None]:
    """Say which places this client's pools may bring; it replaces what was said before."""
    yield ask(core, OfferPlaces(0, offers))


def open_pool(core: ClientCore, salt: bytes) -> Operation[int]:
    """Have governors let in that have the key which `salt` makes; the number that they are to say."""
    reply: PoolOpened = yield ask(core, OpenPool(0, salt))
    return reply.pool


def close_pool(core: ClientCore, pool: int) -> Operation[None]:
    """Have no governor let in any more by the key of a pool."""
    yield ask(core, ClosePool(0, pool))


def demand(core: ClientCore) -> Operation[Demand]:
    """How much work waits and runs at the server."""
    reply: Demand = yield ask(core, GetDemand(0))
    return reply


def counted(core: ClientCore, count: int) -> None:
    """Take note that so many governors are there."""
    core.governor_count = count
    ready = [waiting for waiting in core.governor_waits if count >= waiting.count]
    core.governor_waits = [waiting for waiting in core.governor_waits if count < waiting.count]
    for waiting in ready:
        core.over(waiting)


def libraries_told(core: ClientCore, told: list[GovernorLibraries]) -> None:
    """Take note of what is installed for governors; of very many the last."""
    known = core.libraries | {one.governor_id: one for one in told}
    core.libraries = dict(islice(known.items(), max(0, len(known) - LIBRARIES_GOVERNORS_MAX), None))


def reject_all(core: ClientCore, error: RainException) -> None:
    """Fail all waits: no governor will come any more."""
    waits, core.governor_waits = core.governor_waits, []
    for waiting in waits:
        core.over(waiting, None, error)
