"""HTTP is default-deny: every route, method, host, origin and credential that is not meant is refused."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPResponse

from rain.common.errors import RainException
from rain.common.protocol.messages import GovernorSummary, ServerInfo, SessionSummary
from rain.net.auth import Certificate
from rain.net.https import pinned_context
from rain.net.transport import listen
from rain.server.core.effects import Happened
from rain.server.event_log.event_log import EventLog
from rain.server.http import listener
from rain.server.http.listener import Http

BEARER = "b" * 64
EVIL = "<script>alert(1)</script>"


def status() -> ServerInfo:
    governors = [GovernorSummary(EVIL, [], [], [], {"cpus": 2.0})]
    sessions = [SessionSummary(1, EVIL, False, {"finished": 3})]
    return ServerInfo(0, "0.1.0", "127.0.0.1:1", "", governors, sessions)


def with_http(
    tmp_path: Path,
    check: Callable[[Http, Callable[..., Awaitable[HTTPResponse]]], Awaitable[Any]],
    metrics: Callable[[], str] | None = None,
) -> None:
    async def main() -> None:
        log = EventLog(str(tmp_path / "events.sqlite"))
        http = Http(listen("127.0.0.1", 0), {BEARER}, log, status, metrics=metrics)

        async def ask(path: str, method: str = "GET", **headers: str) -> HTTPResponse:
            body = headers.pop("body", None)
            return await AsyncHTTPClient(force_instance=True).fetch(
                f"http://{http.address}{path}",
                method=method,
                headers={name.replace("_", "-"): value for name, value in headers.items()},
                body=body,
                raise_error=False,
                follow_redirects=False,
                allow_nonstandard_methods=True,
            )

        try:
            await check(http, ask)
        finally:
            http.close()
            log.close()

    asyncio.run(main())


def test_what_nobody_asked_for_is_closed_too(tmp_path: Path) -> None:
    async def main() -> None:
        log = EventLog(str(tmp_path / "events.sqlite"))
        http = Http(listen("127.0.0.1", 0), {BEARER}, log, status)
        http.close()
        http.close()
        log.close()
        with pytest.raises(OSError, match="Connect"):
            await asyncio.open_connection("127.0.0.1", http.port)

    asyncio.run(main())


def test_where_nothing_can_answer_connections_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> ModuleType:
        raise ImportError("no tornado")

    monkeypatch.setattr(listener, "pages", broken)

    async def check(http: Http, ask: Any) -> None:
        with pytest.raises(OSError, match=r"reset|refused|closed"):
            await ask("/")

    with_http(tmp_path, check)
    assert "no tornado" in caplog.text


METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT")
PUBLIC = {("/style.css", "GET"), ("/login.js", "GET")}


def test_without_credentials_all_is_refused(tmp_path: Path) -> None:
    async def check(http: Http, ask: Any) -> None:
        for path in (
            "/",
            "/events",
            "/login",
            "/codes",
            "/style.css",
            "/login.js",
            "/metrics",
            "/nothing",
            "/../etc/passwd",
        ):
            for method in METHODS:
                if (path, method) not in PUBLIC:
                    answer = await ask(path, method)
                    assert 400 <= answer.code < 500, (path, method, answer.code)
                    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]

    with_http(tmp_path, check)


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1:1"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Authorization": "Bearer " + "c" * 64},
        {"Authorization": f"Basic {BEARER}"},
        {"Authorization": "Bearer "},
        {"Cookie": "rain_login="},
    ],
)
def test_wrong_hosts_origins_and_credentials(tmp_path: Path, headers: dict[str, str]) -> None:
    async def check(http: Http, ask: Any) -> None:
        for path, method in (("/", "GET"), ("/events", "POST")):
            answer = await ask(path, method, **{"Authorization": f"Bearer {BEARER}", **headers}, body=None)
            if "Cookie" in headers:
                answer = await ask(path, method, **headers)
            assert 400 <= answer.code < 500, (path, answer.code)

    with_http(tmp_path, check)


def test_the_status_page_shows_text_only(tmp_path: Path) -> None:
    async def check(http: Http, ask: Any) -> None:
        answer = await ask("/", Authorization=f"Bearer {BEARER}")
        page = answer.body.decode()
        assert answer.code == 200
        assert EVIL not in page
        assert "&lt;script&gt;" in page
        assert "3 finished" in page

    with_http(tmp_path, check)


def test_a_login_code_works_once_and_its_cookie_only_reads(tmp_path: Path) -> None:
    async def check(http: Http, ask: Any) -> None:
        code = (await ask("/codes", "POST", Authorization=f"Bearer {BEARER}")).body.decode()
        answer = await ask("/login", "POST", body=code)
        assert answer.code == 200
        cookie = answer.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        value = cookie.partition(";")[0]
        assert (await ask("/login", "POST", body=code)).code == 403
        assert (await ask("/", Cookie=value)).code == 200
        assert (await ask("/events", "POST", Cookie=value, body="{}")).code == 401

    with_http(tmp_path, check)


def test_events(tmp_path: Path) -> None:
    async def check(http: Http, ask: Any) -> None:
        http.log.add(Happened("SessionNew", 1, None, {"name": "s"}))
        query = {"event_types": [{"value": "SessionNew", "mode": "="}]}
        answer = await ask("/events", "POST", Authorization=f"Bearer {BEARER}", body=json.dumps(query))
        (event,) = json.loads(answer.body)
        assert event["event"] == {"type": "SessionNew", "session": 1, "name": "s"}
        for wrong in ('{"event_types": [{"value": "No"}]}', '{"unknown": 1}', "[", '{"session": "x"}'):
            answer = await ask("/events", "POST", Authorization=f"Bearer {BEARER}", body=wrong)
            assert answer.code == 400
            assert json.loads(answer.body)["error"]

    with_http(tmp_path, check)


# -- beyond loopback ------------------------------------------------------------------------------


def test_beyond_loopback_there_is_tls_only(tmp_path: Path) -> None:
    async def main() -> None:
        log = EventLog(str(tmp_path / "events.sqlite"))
        certificate = Certificate.generate()
        http = Http(listen("0.0.0.0", 0), {BEARER}, log, status, certificate)
        reached = f"127.0.0.2:{http.port}"  # as another machine reaches it: by an address of ours
        loop = asyncio.get_running_loop()
        try:
            context = await loop.run_in_executor(None, pinned_context, reached, certificate.fingerprint)

            async def ask(path: str, **options: Any) -> HTTPResponse:
                headers = {"Authorization": f"Bearer {BEARER}"} | options.pop("headers", {})
                return await AsyncHTTPClient(force_instance=True).fetch(
                    f"https://{reached}{path}", ssl_options=context, raise_error=False, headers=headers, **options
                )

            code = (await ask("/codes", method="POST", body="")).body.decode()
            assert (await ask("/", headers={"Origin": f"https://{reached}"})).code == 200
            assert (await ask("/", headers={"Origin": f"http://{reached}"})).code == 403
            assert (await ask("/", headers={"Host": f"evil.example:{http.port}"})).code == 421
            login = await ask("/login", method="POST", body=code)
            assert "Secure" in login.headers["Set-Cookie"]
            reader, writer = await asyncio.open_connection("127.0.0.2", http.port)
            writer.write(f"GET / HTTP/1.1\r\nHost: {reached}\r\n\r\n".encode())
            said = b""
            with contextlib.suppress(ConnectionResetError):
                said = await reader.read()
            assert b"HTTP" not in said
            assert b"html" not in said
            writer.close()
            with pytest.raises(RainException, match="another certificate"):
                await loop.run_in_executor(None, pinned_context, reached, bytes(32))
            other = Certificate.generate()
            wrong = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            wrong.check_hostname = False
            wrong.load_verify_locations(cadata=other.certificate.decode())
            with pytest.raises(ssl.SSLCertVerificationError):
                await asyncio.open_connection("127.0.0.2", http.port, ssl=wrong)
        finally:
            http.close()
            log.close()

    asyncio.run(main())


def test_beyond_loopback_there_is_nothing_without_a_certificate(tmp_path: Path) -> None:
    async def main() -> None:
        with listen("0.0.0.0", 0) as listener, pytest.raises(ValueError, match="needs a certificate"):
            Http(listener, {BEARER}, None, status)  # type: ignore[arg-type]

    asyncio.run(main())


def test_metrics_are_there_where_they_are_asked_for_and_for_who_has_a_key(tmp_path: Path) -> None:
    async def off(_http: Http, ask: Any) -> None:
        assert (await ask("/metrics", Authorization=f"Bearer {BEARER}")).code == 404

    async def on(_http: Http, ask: Any) -> None:
        assert (await ask("/metrics")).code == 401
        answer = await ask("/metrics", Authorization=f"Bearer {BEARER}")
        assert (answer.code, answer.body) == (200, b"rain_info 1\n")
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"

    with_http(tmp_path, off)
    with_http(tmp_path, on, lambda: "rain_info 1\n")
