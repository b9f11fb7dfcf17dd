"""Work beside a conversation with the same peer: what fails because the peer is away is done again when it is back."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from rain.common.errors import RainException
from rain.net.conversation import Conversation
from rain.net.transfer.exchange import TransferError
from rain.objects.readers import NotInside

log = logging.getLogger("rain.transport")
T = TypeVar("T")


async def through_outages(conversation: Conversation, work: Callable[[], Awaitable[T]]) -> T:
    """What `work` gives, which speaks with the conversation's peer over connections of its own.

    It fails with the conversation at the latest, whose patience with a peer that is away is its own.

    Parameters
    ----------
    conversation : Conversation
    work : callable
        May be called several times.

    Raises
    ------
    RainException, OSError
        As `work`, if that is not because the peer is away, or the peer does not come back.
    """
    while True:
        links = conversation.links
        try:
            return await work()
        except (RainException, OSError) as error:
            if isinstance(error, NotInside) or (isinstance(error, TransferError) and error.answered):
                raise
            if not await _was_away(conversation, links):
                raise
            log.info("done again, because %s was away: %s", conversation.address, error)


async def _was_away(conversation: Conversation, links: int) -> bool:
    try:
        return await conversation.was_away(links)
    except RainException:
        return False
