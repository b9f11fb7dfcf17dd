"""HTTPS to a server's status page: its certificate is its own, and known by its fingerprint only."""

from __future__ import annotations

import socket
import ssl

from rain.common.errors import RainException
from rain.common.protocol.address import parse_address
from rain.net.auth import connecting_context, fingerprint_of


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
