"""HTTP at the server's second port: who may ask what, and where; what answers is imported for the first connection.

A private cluster is hardly ever asked: its server starts without Tornado and what that imports.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import secrets
import socket
from collections.abc import Awaitable, Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from rain.common.protocol.address import format_address, is_loopback
from rain.common.protocol.messages import ServerInfo
from rain.net.auth import Certificate
from rain.net.guarded import guarded
from rain.server.event_log.event_log import EventLog

if TYPE_CHECKING:
    import tornado.httpserver

log = logging.getLogger(__name__)

LOGIN_CODES_MAX = 64


class Http:
    """The HTTP listener.

    Parameters
    ----------
    listener : socket.socket
        A listening socket, which becomes this object's.
    bearers : set of str
        What an ``Authorization: Bearer`` header may hold.
    log : EventLog
    status : callable
        Gives the present `ServerInfo`.
    certificate : Certificate or None
        With one TLS is spoken, and nothing else; without one `listener` must be on loopback.
    metrics : callable or None
        Gives the text for Prometheus; None: there is no such page.
    restart : callable or None
        Takes a step of `rain restart`, as `rain.server.recovery.handing_over.HandingOver.step`.
    """

    def __init__(
        self,
        listener: socket.socket,
        bearers: set[str],
        log: EventLog,
        status: Callable[[], ServerInfo],
        certificate: Certificate | None = None,
        metrics: Callable[[], str] | None = None,
        restart: Callable[[str], Awaitable[dict[str, Any]]] | None = None,
    ) -> None:
        self.restart = restart
        self.metrics = metrics
        self.bearers = bearers
        self.log = log
        self.status = status
        self.codes: list[str] = []
        self.logins: list[str] = []
        host, self.port = listener.getsockname()[:2]
        self.address = format_address(host, self.port)
        self.secure = certificate is not None
        names = {host, "localhost", "127.0.0.1", "::1"}
        if not is_loopback(host):
            if not self.secure:
                raise ValueError(f"HTTP at {self.address} is beyond loopback and needs a certificate")
            names |= {socket.gethostname(), socket.getfqdn()}
        self.hosts = {format_address(name, self.port) for name in names}
        self._listener = listener
        self._certificate = certificate
        self._server: tornado.httpserver.HTTPServer | None = None
        self._closed = False
        self._loop = asyncio.get_running_loop()
        listener.setblocking(False)
        self._loop.add_reader(listener.fileno(), self._first_came)

    @guarded("_broke")
    def _first_came(self) -> None:
        """A first connection waits to be accepted: import what answers it, in a thread."""
        if self._closed:
            return
        self._loop.remove_reader(self._listener.fileno())
        self._loop.run_in_executor(None, pages).add_done_callback(self._serve)

    @guarded("_broke")
    def _serve(self, imported: asyncio.Future[ModuleType]) -> None:
        if not self._closed:
            self._server = imported.result().serve(self, self._listener, self._certificate)

    def _broke(self, error: Exception, *_: object) -> None:
        """Nothing can answer: whoever connects is to learn it at once."""
        log.error("HTTP at %s ends: it cannot be answered: %r", self.address, error)
        self.close()

    def login_code(self) -> str:
        """A code that works once, for the fragment of a URL for a browser; no request line carries it."""
        code = secrets.token_urlsafe(24)
        self.codes = [*self.codes[-LOGIN_CODES_MAX:], code]
        return code

    def close(self) -> None:
        """Stop listening; idempotent."""
        if self._closed:
            return
        self._closed = True
        if self._server is not None:
            self._server.stop()
        else:
            self._loop.remove_reader(self._listener.fileno())
            self._listener.close()


def pages() -> ModuleType:
    """The module that answers."""
    return importlib.import_module("rain.server.http.pages")
