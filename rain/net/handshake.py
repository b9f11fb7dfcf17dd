"""Opening a connection: dialling, the handshake of both sides, and the errors that newcomers read.

An address on loopback is spoken to in plain, any other one over TLS. Both ends see the same address of the listening
socket, so there is nothing to negotiate; unless a port is forwarded (ssh, containers), which the connecting side
notices by a connection closed at once: then it tries TLS, if its credentials name a certificate.
"""

from __future__ import annotations

import asyncio
import errno
import socket

from rain.common.errors import ProtocolError, RainException
from rain.common.limits import HANDSHAKE_S, PROTOCOL_VERSION, PROTOCOL_VERSION_MIN
from rain.common.protocol.address import is_loopback, parse_address
from rain.host.descriptors import above_the_limit, is_out_of_descriptors, out_of_descriptors
from rain.net import auth
from rain.net.auth import Credentials, OtherVersion, WrongPeer
from rain.net.connection import Link


async def dial(
    address: str, credentials: Credentials, role: str, *, pinned: bool = True, handshake_s: float | None = None
) -> Link:
    """A connection to `address` on which both sides have proved themselves.

    Parameters
    ----------
    address : str
        ``host:port``.
    credentials : Credentials
    role : str
        As whom to connect.
    pinned : bool
        Whether the certificate must be the server's (`Credentials.fingerprint`), as it is at the server itself.
    handshake_s : float or None
        Seconds that it may take; None: `HANDSHAKE_S`.

    Raises
    ------
    NotListening
        If nothing listens there.
    Unanswered
        If the connection was accepted, and nothing was said on it.
    RainException
        With a text for newcomers: it cannot be reached, is not a Rain server, or it has another key or version.
    """
    key = credentials.key(role)
    pool = credentials.pool if role == "governor" else 0
    pin = credentials.fingerprint if pinned else b""
    limit_s = HANDSHAKE_S if handshake_s is None else handshake_s
    try:
        return await _dial(address, role, key, pin, limit_s, pool, secure=False)
    except _ClosedEarly:
        if not pin or not is_loopback(parse_address(address)[0]):
            raise
    return await _dial(address, role, key, pin, limit_s, pool, secure=True)


class _ClosedEarly(RainException):
    pass


class NotRunning(RainException):
    """The host answers, but no server runs there: a server that ran there has not ended its sessions."""


class NotListening(NotRunning):
    """Nothing listens there."""


class Unanswered(NotRunning):
    """A connection was accepted, and nothing was said on it: the process there is stopped, busy, or being started."""


async def _dial(
    address: str,
    role: str,
    key: bytes,
    pin: bytes,
    limit_s: float,
    pool: int,
    *,
    secure: bool,
    version: int = PROTOCOL_VERSION,
) -> Link:
    link: Link | None = None
    accepted = False
    try:
        async with asyncio.timeout(limit_s):
            connected = await _connect(address)
            accepted = True
            link = await _secured(*connected, secure)
            await _prove(link, role, key, pin, pool, version)
    except OtherVersion as error:
        _abandon(link)
        if role == "data" and PROTOCOL_VERSION_MIN <= error.version < version:  # a governor of an earlier version
            return await _dial(address, role, key, pin, limit_s, pool, secure=secure, version=error.version)
        raise ProtocolError(f"what listens at {address} {error}") from None
    except TimeoutError:
        _abandon(link)
        raise (Unanswered if accepted else RainException)(
            f"{address} does not answer within HANDSHAKE_S ({limit_s:g} s): it is unreachable, busy, "
            "or not a Rain server"
        ) from None
    except WrongPeer as error:
        _abandon(link)
        raise ProtocolError(f"what listens at {address} {error}") from None
    except socket.gaierror as error:
        raise RainException(f"the host of {address} is not known: {error.strerror}") from None
    except OSError as error:
        _abandon(link)
        if link is not None:
            raise _ClosedEarly(
                f"{address} closed the connection during the handshake: it is not a Rain server, or it is too busy"
            ) from None
        raise _why_not(address, error) from None
    except BaseException:
        _abandon(link)
        raise
    return link


def _why_not(address: str, error: OSError) -> RainException:
    # Where a name has several addresses, asyncio joins what was said of each into one text.
    if isinstance(error, ConnectionRefusedError) or f"[Errno {errno.ECONNREFUSED}]" in str(error):
        text = f"nothing listens at {address}: is the server running there (`rain start`), and is this its port?"
        return NotListening(text)
    if is_out_of_descriptors(error):
        return out_of_descriptors(f"{address} cannot be reached", error)
    return RainException(f"{address} cannot be reached: {error.strerror or error}")


def _abandon(link: Link | None) -> None:
    if link is not None:
        link.unbind()
        link.abort()


async def _connect(address: str) -> tuple[asyncio.Transport, Link]:
    loop = asyncio.get_running_loop()
    host, port = parse_address(address)
    try:
        return await loop.create_connection(Link, host, port)
    except OSError as error:
        if not is_out_of_descriptors(error):
            raise
        with above_the_limit():
            return await loop.create_connection(Link, host, port)


async def _secured(transport: asyncio.Transport, link: Link, secure: bool) -> Link:
    """With TLS, unless the peer is on this host and that was not asked for."""
    if not secure and is_loopback(transport.get_extra_info("peername")[0]):
        return link
    try:
        # TLS starts from the connecting side's first byte, so nothing has arrived yet.
        secured = await asyncio.get_running_loop().start_tls(
            transport, link, auth.connecting_context(), server_hostname="rain"
        )
    except BaseException:
        transport.abort()
        raise
    link.transport = secured
    return link


async def _prove(link: Link, role: str, key: bytes, pin: bytes, pool: int, version: int) -> None:
    fingerprint = peer_fingerprint(link)
    if fingerprint and pin and fingerprint != pin:
        raise WrongPeer("shows another certificate: the token or connection file belongs to another server")
    ours = auth.Connecting(role, key, fingerprint, pool=pool, version=version)
    link.write(ours.opening)
    magic = await link.exactly(len(auth.MAGIC))
    if magic != auth.MAGIC:
        raise WrongPeer("is not a Rain server (is it the right port?)")
    link.write(ours.prove(magic + await link.exactly(auth.ANSWER_BYTES - len(magic))))


def peer_fingerprint(link: Link) -> bytes:
    """Of the certificate that the peer showed; empty without TLS."""
    secured = link.transport.get_extra_info("ssl_object")
    return auth.fingerprint_of(secured.getpeercert(binary_form=True)) if secured is not None else b""


async def admit(link: Link, keys: dict[str, bytes], fingerprint: bytes) -> tuple[str, int]:
    """The listening side's handshake; returns the peer's role, and the number of the pool whose key it has, or 0.

    Parameters
    ----------
    link : Link
    keys : dict of str to bytes
        By role, those that may connect.
    fingerprint : bytes
        Of this side's certificate; empty without TLS.

    Raises
    ------
    WrongPeer
        If the peer does not prove that it holds a key.
    ConnectionError
        If it is gone.
    """
    ours = auth.Listening(keys, fingerprint)
    link.write(ours.answer(await link.exactly(auth.OPENING_BYTES)))
    return ours.check(await link.exactly(auth.PROOF_BYTES)), ours.pool


def describe(error: BaseException) -> str:
    """The error's text, or its class's name."""
    return str(error) or type(error).__name__
