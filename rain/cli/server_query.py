"""Questions to a running server, for the commands that users type."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from rain.common.errors import RainException
from rain.common.protocol.address import http_url
from rain.common.protocol.messages import (
    ClientToServer,
    DrainGovernors,
    Failed,
    GetServerInfo,
    Goodbye,
    Hello,
    ServerInfo,
    ServerToClient,
)
from rain.host.machine import host_id
from rain.net.auth import Credentials
from rain.net.https import post
from rain.net.transport import converse

ANSWER_S = 10.0
LOOK_S = 0.2


def server_info(address: str, credentials: Credentials) -> ServerInfo:
    """What the server at `address` says of itself.

    Raises
    ------
    RainException
        If it cannot be reached or does not answer.
    """
    answer = asyncio.run(_ask(address, credentials, GetServerInfo(1)))
    assert isinstance(answer, ServerInfo)
    return answer


def drain(address: str, credentials: Credentials, governors: list[str], within_s: float) -> None:
    """Have governors of the server at `address` leave; returns when they were told.

    Raises
    ------
    RainException
        If one is not there, or the server cannot be reached or does not answer.
    """
    answer = asyncio.run(_ask(address, credentials, DrainGovernors(1, governors, within_s)))
    if isinstance(answer, Failed):
        raise RainException(answer.message)


def wait_until_left(address: str, credentials: Credentials, governors: list[str]) -> None:
    """Return when none of these governors is registered any longer, or their server is gone."""
    while True:
        try:
            info = server_info(address, credentials)
        except RainException:
            return
        if not any(governor.governor_id in governors for governor in info.governors):
            return
        time.sleep(LOOK_S)


def drain_here(address: str, credentials: Credentials, within_s: float) -> list[str]:
    """Have all governors on this host leave; returns their ids when they have left.

    Raises
    ------
    RainException
        If there is none, or the server cannot be reached or does not answer.
    """
    info = server_info(address, credentials)
    here = [governor.governor_id for governor in info.governors if governor.host_id == host_id()]
    if not here:
        others = ", ".join(governor.governor_id for governor in info.governors) or "none"
        raise RainException(f"no governor of the server at {address} is on this host; it has: {others}")
    drain(address, credentials, here, within_s)
    wait_until_left(address, credentials, here)
    return here


async def _ask(address: str, credentials: Credentials, question: ClientToServer) -> ServerToClient:
    """The answer to a question, whose request is number 1."""
    answer: asyncio.Future[ServerToClient] = asyncio.get_running_loop().create_future()

    def heard(messages: list[Any]) -> None:
        for message in messages:
            if getattr(message, "request", None) == 1 and not answer.done():
                answer.set_result(message)

    def gone(reason: str) -> None:
        if not answer.done():
            answer.set_exception(RainException(reason))

    hello = Hello("client", "", host_id=host_id())
    conversation = await converse(address, credentials, hello, ServerToClient, heard, gone, away_s=ANSWER_S)
    try:
        conversation.send(question)
        async with asyncio.timeout(ANSWER_S):
            return await answer
    except TimeoutError:
        raise RainException(f"the server at {address} did not answer within {ANSWER_S:g} s") from None
    finally:
        conversation.send(Goodbye())
        conversation.close()


def dashboard_url(http: str, credentials: Credentials) -> str:
    """The dashboard's URL for a browser here, with a code that logs in once; empty if HTTP cannot be reached."""
    try:
        status, code = post(http, "codes", credentials, ANSWER_S)
        return f"{http_url(http)}#{code[:200].decode('ascii')}" if status == 200 else ""
    except (ValueError, RainException):
        return ""
