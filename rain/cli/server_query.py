"""One question to a running server, for the commands that users type."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from typing import Any

from rain.common.errors import RainException
from rain.common.protocol.address import http_url
from rain.common.protocol.messages import GetServerInfo, Goodbye, Hello, ServerInfo, ServerToClient
from rain.host.machine import host_id
from rain.net.auth import Credentials, http_bearer
from rain.net.https import pinned_context
from rain.net.transport import converse

ANSWER_S = 10.0


def server_info(address: str, credentials: Credentials) -> ServerInfo:
    """What the server at `address` says of itself.

    Raises
    ------
    RainException
        If it cannot be reached or does not answer.
    """
    return asyncio.run(_server_info(address, credentials))


async def _server_info(address: str, credentials: Credentials) -> ServerInfo:
    answer: asyncio.Future[ServerInfo] = asyncio.get_running_loop().create_future()

    def heard(messages: list[Any]) -> None:
        for message in messages:
            if isinstance(message, ServerInfo) and not answer.done():
                answer.set_result(message)

    def gone(reason: str) -> None:
        if not answer.done():
            answer.set_exception(RainException(reason))

    hello = Hello("client", "", host_id=host_id())
    conversation = await converse(address, credentials, hello, ServerToClient, heard, gone, away_s=ANSWER_S)
    try:
        conversation.send(GetServerInfo(1))
        async with asyncio.timeout(ANSWER_S):
            return await answer
    except TimeoutError:
        raise RainException(f"the server at {address} did not answer within {ANSWER_S:g} s") from None
    finally:
        conversation.send(Goodbye())
        conversation.close()


def dashboard_url(http: str, credentials: Credentials) -> str:
    """The dashboard's URL for a browser here, with a code that logs in once; empty if HTTP is out of reach."""
    base = http_url(http)
    role = "http" if "http" in credentials.keys else "client"
    headers = {"Authorization": f"Bearer {http_bearer(credentials.key(role))}"}
    request = urllib.request.Request(base + "codes", data=b"", headers=headers)
    handlers: list[Any] = [urllib.request.ProxyHandler({})]
    try:
        if base.startswith("https:"):
            where = base.removeprefix("https://").rstrip("/")
            handlers.append(urllib.request.HTTPSHandler(context=pinned_context(where, credentials.fingerprint)))
        direct = urllib.request.build_opener(*handlers)
        with direct.open(request, timeout=ANSWER_S) as answer:
            return f"{base}#{answer.read(200).decode('ascii')}"
    except (OSError, ValueError, urllib.error.URLError, RainException):
        return ""
