"""Which processes may talk to each other: keys, tokens, the handshake that opens every connection, certificates.

Theory of operation
-------------------
A server makes one 32-byte key per role. The connecting side names its role, and both sides prove to each other that
they hold that role's key, without sending it::

    connecting side                                         listening side
    MAGIC version role nonce            (Opening)  ->
                                       <-  (Answer)         MAGIC version role nonce, HMAC(key, "listener" + transcript)
    HMAC(key, "connector" + transcript)   (Proof)  ->

The transcript is all that was said before, and the fingerprint of the TLS certificate that each side sees (zeros
without TLS): an attacker in the middle, who has another certificate, makes the two transcripts differ. The direction's
label keeps a proof from being reflected, the nonces keep it from being replayed, and every message has a fixed size,
so nothing is parsed, allocated or decoded on behalf of a peer that has not proved itself. A peer without the key learns
nothing from the listening side but that the proof did not fit; an unknown role looks like a wrong key.

`Connecting` and `Listening` are that exchange without IO; `rain.net.handshake` drives them.

A pool's governors have a key of their own, which ends with the pool. The client that has the pool derives it from the
governors' key and a salt, tells the server the salt, and gets a number for it; the server derives the same. A client
without the governors' key can derive none. The number is in the opening, 0 for the role's own key.

The key of data connections is sent to authenticated peers in `Welcome`, since governors and clients hold different keys
and fetch from each other.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
import struct
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rain.common.errors import ProtocolError, RainException
from rain.common.limits import PROTOCOL_VERSION, PROTOCOL_VERSION_MIN

if TYPE_CHECKING:
    import ssl

MAGIC = b"RAIN"
KEY_BYTES = 32
NONCE_BYTES = 32
PROOF_BYTES = 32
_OPENING = struct.Struct(f"<4sHBB{NONCE_BYTES}s")
OPENING_BYTES = _OPENING.size
ANSWER_BYTES = OPENING_BYTES + PROOF_BYTES
NO_CERTIFICATE = bytes(32)

ROLES = {"client": 1, "governor": 2, "data": 3, "http": 4}
_ROLE_NAMES = {number: name for name, number in ROLES.items()}
_TOKEN_PREFIX = "rain1-"
_POOL_TOKEN = 0x80
"""Marks the role in a token whose key is a pool's; the pool's number follows."""


class WrongPeer(ProtocolError):
    """The handshake failed; the text lacks only the address, which stands before it."""


class OtherVersion(WrongPeer):
    """The peer speaks another version of the protocol."""

    def __init__(self, version: int) -> None:
        super().__init__(
            f"speaks version {version} of Rain's protocol, this process speaks version {PROTOCOL_VERSION}: "
            "install the same version of Rain on both sides"
        )
        self.version = version


def pool_key(governor_key: bytes, salt: bytes) -> bytes:
    """The key by which governors of a pool prove themselves."""
    return hmac.digest(governor_key, b"rain pool" + salt, "sha256")


def pool_role(number: int) -> str:
    """Under which name the key of a pool's governors is held.

    Examples
    --------
    >>> pool_role(3)
    'governor/3'
    """
    return f"governor/{number}"


def _proof(key: bytes, label: bytes, transcript: bytes, fingerprint: bytes) -> bytes:
    return hmac.digest(key, b"rain " + label + b"\0" + (fingerprint or NO_CERTIFICATE) + transcript, "sha256")


class Connecting:
    """The connecting side of the handshake.

    Parameters
    ----------
    role : str
        A key of `ROLES`.
    key : bytes
    fingerprint : bytes
        Of the certificate that the listening side showed; empty without TLS.
    pool : int
        Number of the pool whose key it is; 0: none's.
    version : int
        Of the protocol.

    Examples
    --------
    >>> key = bytes(32)
    >>> ours, theirs = Connecting("client", key), Listening({"client": key})
    >>> theirs.check(ours.prove(theirs.answer(ours.opening)))
    'client'
    """

    __slots__ = ("_fingerprint", "_key", "_pool", "_version", "opening")

    def __init__(
        self,
        role: str,
        key: bytes,
        fingerprint: bytes = b"",
        nonce: bytes | None = None,
        pool: int = 0,
        version: int = PROTOCOL_VERSION,
    ) -> None:
        self._version = version
        self._key = key
        self._fingerprint = fingerprint
        self._pool = pool
        nonce = nonce or secrets.token_bytes(NONCE_BYTES)
        self.opening = _OPENING.pack(MAGIC, version, ROLES[role], pool, nonce)

    def prove(self, answer: bytes) -> bytes:
        """Our proof, once theirs in `answer` (`ANSWER_BYTES` long) is found right.

        Raises
        ------
        WrongPeer
            If it is not.
        """
        magic, version, *_ = _OPENING.unpack_from(answer)
        if magic != MAGIC:
            raise WrongPeer("is not a Rain server (is it the right port?)")
        if version != self._version:
            raise OtherVersion(version)
        transcript = self.opening + answer[:OPENING_BYTES]
        expected = _proof(self._key, b"listener", transcript, self._fingerprint)
        if not hmac.compare_digest(expected, answer[OPENING_BYTES:]):
            whose = "its pool is over, or the token" if self._pool else "the token or connection file"
            raise WrongPeer(f"has another key: {whose} is of another server, or an earlier one")
        return _proof(self._key, b"connector", transcript, self._fingerprint)


class Listening:
    """The listening side of the handshake.

    Parameters
    ----------
    keys : dict of str to bytes
        By role.
    fingerprint : bytes
        Of our certificate, if the connection uses TLS.

    Attributes
    ----------
    pool : int
        Number of the pool by whose key the peer proves itself; 0: none's.
    """

    __slots__ = ("_expected", "_fingerprint", "_keys", "_nonce", "_role", "pool")

    def __init__(self, keys: dict[str, bytes], fingerprint: bytes = b"", nonce: bytes | None = None) -> None:
        self._keys = keys
        self._fingerprint = fingerprint
        self._nonce = nonce or secrets.token_bytes(NONCE_BYTES)
        self._expected = b""
        self._role = ""
        self.pool = 0

    def answer(self, opening: bytes) -> bytes:
        """What to answer to an `opening` (`OPENING_BYTES` long).

        Raises
        ------
        WrongPeer
            If it is not an opening at all.
        """
        magic, version, number, pool, _ = _OPENING.unpack(opening)
        if magic != MAGIC:
            raise WrongPeer("does not speak Rain's protocol")
        role = _ROLE_NAMES.get(number, "")
        # A role without a key, or another version, gets an answer of the same shape, with another proof.
        held = pool_role(pool) if pool and role == "governor" else role if not pool else ""
        spoken = PROTOCOL_VERSION_MIN <= version <= PROTOCOL_VERSION
        key = self._keys.get(held) if spoken else None
        if key is not None:
            self._role, self.pool = role, pool
        else:
            key = secrets.token_bytes(KEY_BYTES)
        ours = _OPENING.pack(MAGIC, version if spoken else PROTOCOL_VERSION, number, pool, self._nonce)
        transcript = opening + ours
        self._expected = _proof(key, b"connector", transcript, self._fingerprint)
        return ours + _proof(key, b"listener", transcript, self._fingerprint)

    def check(self, proof: bytes) -> str:
        """The peer's role, once its `proof` (`PROOF_BYTES` long) is found right.

        Raises
        ------
        WrongPeer
            If it is not; the text says no more than that.
        """
        if not (hmac.compare_digest(self._expected, proof) and self._role):
            raise WrongPeer("did not prove that it holds the key")
        return self._role


@dataclass(slots=True)
class Certificate:
    """A self-signed certificate and its private key.

    Attributes
    ----------
    certificate, key : bytes
        PEM.
    fingerprint : bytes
        SHA-256 of the certificate's DER form.
    """

    certificate: bytes = field(repr=False)
    key: bytes = field(repr=False)
    fingerprint: bytes

    @classmethod
    def generate(cls) -> Certificate:
        """A new one, for as long as a server may run."""
        import datetime

        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "rain")])
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=3650))
            .sign(key, hashes.SHA256())
        )
        return cls(
            certificate.public_bytes(serialization.Encoding.PEM),
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
            certificate.fingerprint(hashes.SHA256()),
        )

    def context(self) -> ssl.SSLContext:
        """For listening; TLS 1.3 only."""
        import ssl

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        # OpenSSL reads the key from a path; one in memory keeps it off the disk.
        descriptor = os.memfd_create("rain-certificate")
        try:
            with open(descriptor, "wb", closefd=False) as file:
                file.write(self.certificate + self.key)
            context.load_cert_chain(f"/proc/self/fd/{descriptor}")
        finally:
            os.close(descriptor)
        return context


def http_bearer(key: bytes) -> str:
    """What a holder of `key` puts into an ``Authorization: Bearer`` header; the key itself never travels."""
    return hmac.digest(key, b"rain http bearer", "sha256").hex()


def connecting_context() -> ssl.SSLContext:
    """For connecting: TLS 1.3, and no authority is asked, because the handshake proves the certificate."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def fingerprint_of(certificate: bytes) -> bytes:
    """Of a certificate in DER form."""
    return hashlib.sha256(certificate).digest()


@dataclass(slots=True)
class Credentials:
    """What a process may prove, and demands of others.

    Attributes
    ----------
    keys : dict of str to bytes
        By role, those that this process holds; a server holds those of its pools too (`pool_role`).
    fingerprint : bytes
        Of the server's certificate, empty if the server listens on loopback only.
    certificate : Certificate or None
        Our own, for listening beyond loopback.
    pool : int
        Number of the pool whose key the governors' is; 0: none's.
    """

    keys: dict[str, bytes] = field(repr=False)
    fingerprint: bytes = b""
    certificate: Certificate | None = field(default=None, repr=False)
    pool: int = 0

    @classmethod
    def generate(cls) -> Credentials:
        """Those of a new server: a key for every role, no certificate yet."""
        return cls({role: secrets.token_bytes(KEY_BYTES) for role in ROLES})

    def certify(self) -> Certificate:
        """The certificate, made if there is none yet."""
        if self.certificate is None:
            self.certificate = Certificate.generate()
        self.fingerprint = self.certificate.fingerprint
        return self.certificate

    def key(self, role: str) -> bytes:
        """The key of `role`.

        Raises
        ------
        RainException
            If this process was not given that key.
        """
        try:
            return self.keys[role]
        except KeyError:
            held = ", ".join(sorted(self.keys)) or "nothing"
            raise RainException(f"a key for the role {role} is needed; the token given is for: {held}") from None

    def of_pool(self, number: int, salt: bytes) -> Credentials:
        """Those of the governors of a pool.

        Raises
        ------
        RainException
            If this process was not given the governors' key.
        """
        return Credentials({"governor": pool_key(self.key("governor"), salt)}, self.fingerprint, pool=number)

    def token(self, role: str) -> str:
        """The key of `role` and the server's fingerprint as one opaque string."""
        first = bytes([_POOL_TOKEN | ROLES[role], self.pool]) if self.pool else bytes([ROLES[role]])
        body = first + self.key(role) + self.fingerprint
        body += zlib.crc32(body).to_bytes(4, "little")
        return _TOKEN_PREFIX + base64.urlsafe_b64encode(body).decode().rstrip("=")

    @classmethod
    def from_token(cls, token: str) -> Credentials:
        """What `token` wrote.

        Raises
        ------
        RainException
            If it is not a whole token; the text does not repeat it.
        """
        if not isinstance(token, str):
            raise RainException(f"a Rain token is a text, not {type(token).__name__}")
        text = token.strip()
        if not text.startswith(_TOKEN_PREFIX):
            raise RainException(f"this is not a Rain token: it should start with {_TOKEN_PREFIX!r}")
        text = text[len(_TOKEN_PREFIX) :]
        try:
            body = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            body = b""
        pool = bool(body) and body[0] == _POOL_TOKEN | ROLES["governor"]
        role = "governor" if pool else _ROLE_NAMES.get(body[0], "") if body else ""
        start = 2 if pool else 1
        whole = len(body) in (start + KEY_BYTES + 4, start + KEY_BYTES + 32 + 4)
        if not whole or zlib.crc32(body[:-4]).to_bytes(4, "little") != body[-4:] or not role:
            raise RainException("this Rain token is damaged: copy the whole of it again")
        end = start + KEY_BYTES
        return cls({role: body[start:end]}, body[end:-4], pool=body[1] if pool else 0)
