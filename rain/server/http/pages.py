"""What the server answers over HTTP: a status page for browsers, `POST /events` for scripts, figures for Prometheus.

Default-deny: one base handler checks, in this order, the `Host` header against an exact list (stops DNS rebinding),
then `Origin` and `Sec-Fetch-Site`, then the credentials: a bearer header (scripts; `Client.http_headers`) or the cookie
that a single-use login code in the URL's fragment was changed for (browsers). Beyond loopback only TLS is spoken, with
the server's certificate. Nothing that is shown is markup: all text is escaped and the content policy allows no inline
script or style.
"""

from __future__ import annotations

import asyncio
import html
import secrets
import socket
from typing import TYPE_CHECKING, Any

import msgspec
import tornado.httpserver
import tornado.web

from rain.common.errors import RainException
from rain.common.limits import MIB
from rain.common.protocol.address import format_address
from rain.common.protocol.encoding import encode_json
from rain.net.auth import Certificate
from rain.server.event_log.queries import Query, as_json
from rain.server.metrics import CONTENT_TYPE

if TYPE_CHECKING:
    from rain.server.http.listener import Http

COOKIE = "rain_login"
BODY_BYTES_MAX = 1 * MIB
LOGINS_MAX = 1000

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "form-action 'none'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

_STYLE = """body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem;
  color: #1a2a3a; background: #fff }
table { border-collapse: collapse; width: 100%; margin: 0 0 2rem }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #dde4ea }
@media (prefers-color-scheme: dark) { body { color: #dde4ea; background: #10181f } th, td { border-color: #2a3a4a } }
"""

_LOGIN = """"use strict";
const code = location.hash.slice(1);
if (code) {
  history.replaceState(null, "", "/");
  fetch("/login", {method: "POST", headers: {"Content-Type": "text/plain"}, body: code}).then((answer) => {
    if (answer.ok) location.reload();
    else document.getElementById("say").textContent = "This link was used already. For a new one: rain status";
  });
}
"""


def serve(http: Http, listener: socket.socket, certificate: Certificate | None) -> tornado.httpserver.HTTPServer:
    """Answer what comes at a listening socket, with TLS if there is a certificate."""
    application = tornado.web.Application(
        [
            (r"/", _Status, {"http": http}),
            (r"/events", _Events, {"http": http}),
            (r"/login", _Login, {"http": http}),
            (r"/codes", _Codes, {"http": http}),
            (r"/metrics", _Metrics, {"http": http}),
            (r"/restart/([a-z]+)", _Restart, {"http": http}),
            (r"/(style\.css|login\.js)", _Asset, {"http": http}),
        ],
        default_handler_class=_Base,
        default_handler_args={"http": http},
        log_function=lambda handler: None,
    )
    server = tornado.httpserver.HTTPServer(
        application,
        max_body_size=BODY_BYTES_MAX,
        max_header_size=16384,
        idle_connection_timeout=30,
        body_timeout=10,
        ssl_options=certificate.context() if certificate is not None else None,
    )
    server.add_socket(listener)
    return server


class _Base(tornado.web.RequestHandler):
    """Checks every request before its handler sees it; unknown routes end here."""

    public = False

    def initialize(self, http: Http) -> None:
        self.http = http

    def set_default_headers(self) -> None:
        for name, value in _HEADERS.items():
            self.set_header(name, value)
        self.clear_header("Server")

    def prepare(self) -> None:
        request = self.request
        if request.host not in self.http.hosts and request.host != self._reached():
            raise tornado.web.HTTPError(421, reason="Unknown Host")
        origin = request.headers.get("Origin")
        if origin is not None and origin != f"{request.protocol}://{request.host}":
            raise tornado.web.HTTPError(403, reason="Foreign Origin")
        if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            raise tornado.web.HTTPError(403, reason="Foreign Site")
        if not self.public and not self._known():
            self._deny()

    def _reached(self) -> str:
        """Our numeric address to which this request came: no name, because names can be made to mean another."""
        connection: Any = self.request.connection
        return format_address(*connection.stream.socket.getsockname()[:2])

    def _known(self) -> bool:
        scheme, _, bearer = self.request.headers.get("Authorization", "").partition(" ")
        if scheme == "Bearer":
            return _among(bearer, self.http.bearers)
        # A cookie is sent by the browser on its own, so it opens only what changes nothing.
        return self.request.method == "GET" and _among(self.get_cookie(COOKIE) or "", self.http.logins)

    def _deny(self) -> None:
        raise tornado.web.HTTPError(401)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{status_code} {self._reason}\n")

    def _no_such(self, *args: str) -> None:
        raise tornado.web.HTTPError(404 if type(self) is _Base else 405)

    get = post = put = delete = patch = head = options = _no_such


def _among(text: str, secrets_known: Any) -> bool:
    given, found = text.encode(), False
    for known in secrets_known:  # to the last one: the time it takes shows neither content nor place
        found |= secrets.compare_digest(given, known.encode())
    return found


class _Events(_Base):
    async def post(self) -> None:
        try:
            query = msgspec.json.decode(self.request.body or b"{}", type=Query)
            query.matcher()
        except (msgspec.MsgspecError, RainException) as error:
            self.set_status(400)
            self.set_header("Content-Type", "application/json")
            self.finish(encode_json({"error": str(error)}))
            return
        log = self.http.log
        log.push()

        def answer() -> bytes:
            log.flush()
            return encode_json([as_json(record) for record in log.query(query)])

        self.set_header("Content-Type", "application/json")
        try:
            body = await asyncio.get_running_loop().run_in_executor(None, answer)
        except RainException as error:
            self.set_status(500)
            body = encode_json({"error": str(error)})
        self.finish(body)


class _Login(_Base):
    public = True

    def post(self) -> None:
        code = self.request.body[:200].decode("utf-8", "replace")
        if not _among(code, self.http.codes):
            raise tornado.web.HTTPError(403, reason="Unknown Code")
        self.http.codes = [known for known in self.http.codes if known != code]
        login = secrets.token_urlsafe(32)
        self.http.logins = [*self.http.logins[-LOGINS_MAX:], login]
        self.set_cookie(COOKIE, login, httponly=True, samesite="Strict", path="/", secure=self.http.secure)
        self.finish("")


class _Codes(_Base):
    """Gives a client that proves a key (`rain status`) a code with which its user's browser may log in."""

    def post(self) -> None:
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(self.http.login_code())


class _Metrics(_Base):
    """For Prometheus, which proves a key as scripts do."""

    def get(self) -> None:
        if self.http.metrics is None:
            raise tornado.web.HTTPError(404)
        self.set_header("Content-Type", CONTENT_TYPE)
        self.finish(self.http.metrics())


class _Restart(_Base):
    """Steps of `rain restart`. Who has a key may only say when: what is to come says a file of the server's user."""

    async def post(self, step: str) -> None:
        if self.http.restart is None:
            raise tornado.web.HTTPError(404)
        self.set_header("Content-Type", "application/json")
        try:
            answer = await self.http.restart(step)
        except RainException as error:
            self.set_status(409)
            answer = {"error": str(error)}
        await self.finish(encode_json(answer))


class _Asset(_Base):
    public = True

    def get(self, name: str) -> None:
        kind, text = ("text/css", _STYLE) if name == "style.css" else ("text/javascript", _LOGIN)
        self.set_header("Content-Type", f"{kind}; charset=utf-8")
        self.finish(text)


class _Status(_Base):
    def _deny(self) -> None:
        self.set_status(401)
        self.finish(
            _page(
                "Rain",
                '<p id="say">Open the link that <code>rain status</code> prints.</p><script src="/login.js"></script>',
            )
        )

    def get(self) -> None:
        info = self.http.status()
        governors = [
            (
                g.governor_id,
                ", ".join(f"{name} {amount:g}" for name, amount in sorted(g.resources.items())),
                len(g.tasks),
                len(g.objects),
            )
            for g in info.governors
        ]
        sessions = [
            (s.session_id, s.name, ", ".join(f"{n} {state}" for state, n in s.tasks.items() if n) or "no tasks")
            for s in info.sessions
        ]
        trouble = self.http.log.error
        self.finish(
            _page(
                f"Rain {info.version} at {info.address}",
                (f"<p>The event log cannot be written: {html.escape(trouble)}</p>" if trouble else "")
                + "<h2>Governors</h2>"
                + _table(("governor", "resources", "tasks", "objects"), governors)
                + "<h2>Sessions</h2>"
                + _table(("session", "name", "tasks"), sessions),
            )
        )


def _page(title: str, body: str) -> str:
    name = html.escape(title)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{name}</title>'
        f'<link rel="stylesheet" href="/style.css"></head><body><h1>{name}</h1>{body}</body></html>\n'
    )


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    if not rows:
        return "<p>none</p>"

    def line(cells: tuple[Any, ...], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(str(cell))}</{tag}>" for cell in cells) + "</tr>"

    return f"<table>{line(head, 'th')}{''.join(line(row, 'td') for row in rows)}</table>"
