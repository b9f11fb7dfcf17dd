"""Asks governors what is around their executors: each at once, none for longer than a bound."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING

import msgspec

from rain.client.handles import inside
from rain.client.operations.operation import Operation
from rain.common.errors import RainException
from rain.common.ids import ID
from rain.common.limits import CHECK_ASK_S, CHECK_ASKED_AT_ONCE_MAX
from rain.common.protocol.messages import DataView, SessionEnv
from rain.common.protocol.surroundings import (
    SURROUNDINGS,
    Surroundings,
    Wanted,
    decode_surroundings,
    encode_wanted,
)
from rain.net.transfer import get_view
from rain.net.transport import open_data

if TYPE_CHECKING:
    from rain.client.operations.link import Link
    from rain.client.session import Session


def ask(session: Session, governors: Sequence[str], wanted: Wanted) -> Operation[dict[str, Surroundings | str]]:
    """What is around these governors' executors; of one that does not answer, why."""
    own = inside(session)
    link, env = own.connection.link, own.surroundings.present()
    future = link.call(_ask_all(link, session.session_id, governors, encode_wanted(wanted), env))
    try:
        found: dict[str, Surroundings | str] = yield future
        return found
    finally:
        future.cancel()  # the waiting thread may have given up


async def _ask_all(
    link: Link, session_id: int, governors: Sequence[str], asked: bytes, env: SessionEnv
) -> dict[str, Surroundings | str]:
    room = asyncio.Semaphore(CHECK_ASKED_AT_ONCE_MAX)

    async def one(governor: str) -> Surroundings | str:
        request = DataView(ID(session_id, 0), SURROUNDINGS, asked, None, None, env, governor)
        async with room:
            try:
                async with asyncio.timeout(CHECK_ASK_S):
                    with closing(await open_data(link.address, link.credentials, pinned=True)) as connection:
                        return decode_surroundings(await get_view(connection, request))
            except TimeoutError:
                return f"it has not answered within CHECK_ASK_S ({CHECK_ASK_S:g} s)"
            except (RainException, OSError, msgspec.MsgspecError) as error:
                return str(error)

    return dict(zip(governors, await asyncio.gather(*map(one, governors)), strict=True))
