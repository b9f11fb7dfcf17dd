"""HTTP to a server of this user; over TLS its certificate is its own, and known by its fingerprint only."""

from __future__ import annotations

import socket
import ssl
from typing import Any

from rain.common.errors import RainException
from rain.common.protocol.address import http_url, parse_address
from rain.net.auth import Credentials, connecting_context, fingerprint_of, http_bearer

_ANSWER_BYTES_MAX = 1 << 20


def fingerprint_text(fingerprint: bytes) -> str:
    """As browsers show it.

    Examples
    --------
    >>> fingerprint_text(bytes([1, 171]))
    '01:AB'
    """
    return fingerprint.hex(":").upper()


def pinned_context(address: str, fingerprint: bytes, timeout_s: float = 10.0) -> ssl.SSLContext:
    """A context for HTTPS with what listens at `address`, which accepts no other certificate than that.

    Asks for the certificate, so it blocks for a moment.

    Parameters
    ----------
    address : str
        ``host:port``.
    fingerprint : bytes
        SHA-256 of the certificate in DER form.
    timeout_s : float
        For connecting, in seconds.

    Raises
    ------
    RainException
        If nothing that speaks TLS listens there, or the certificate is not the one with this fingerprint.
    """
    host, port = parse_address(address)
    try:
        with (
            socket.create_connection((host, port), timeout_s) as plain,
            connecting_context().wrap_socket(plain, server_hostname=host) as secured,
        ):
            certificate = secured.getpeercert(binary_form=True) or b""
    except OSError as error:
        raise RainException(f"no certificate can be had from {address}: {error}") from None
    if not fingerprint or fingerprint_of(certificate) != fingerprint:
        raise RainException(
            f"what listens at {address} shows another certificate than the server whose token or connection file was "
            f"used: {fingerprint_text(fingerprint_of(certificate))}, not {fingerprint_text(fingerprint) or 'none'}"
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # it holds no host's name; this very certificate is asked for
    context.load_verify_locations(cadata=certificate)
    return context


class NotAnswered(RainException):
    """A server could not be reached, or ended before it answered."""


def post(http: str, path: str, credentials: Credentials, timeout_s: float) -> tuple[int, bytes]:
    """Post an empty body to a server's HTTP listener; returns the status and what was answered.

    Parameters
    ----------
    http : str
        ``host:port`` of the listener.
    path : str
        Without a slash at its beginning.
    credentials : Credentials
    timeout_s : float

    Raises
    ------
    NotAnswered
        If it cannot be reached.
    RainException
        If it shows another certificate.
    """
    import urllib.error  # servers, which only need the rest of this module, never come here
    import urllib.request

    base = http_url(http)
    role = "http" if "http" in credentials.keys else "client"
    headers = {"Authorization": f"Bearer {http_bearer(credentials.key(role))}"}
    request = urllib.request.Request(base + path, data=b"", headers=headers)
    handlers: list[Any] = [urllib.request.ProxyHandler({})]
    if base.startswith("https:"):
        where = base.removeprefix("https://").rstrip("/")
        handlers.append(urllib.request.HTTPSHandler(context=pinned_context(where, credentials.fingerprint)))
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=timeout_s) as answer:
            return answer.status, answer.read(_ANSWER_BYTES_MAX)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(_ANSWER_BYTES_MAX)
    except (OSError, ValueError) as error:
        raise NotAnswered(f"{base} cannot be reached: {getattr(error, 'reason', error)}") from None
