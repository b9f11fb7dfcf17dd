"""Sealing a text for one process: what carries it there may be read by others.

Theory of operation
-------------------
A token has to reach a process that another system started, through that system's own messages, which may be
unencrypted, kept and shown. The process makes a key pair that lives in its memory only and lets the public half travel.
The sender agrees on a key with it (X25519, a pair of its own for each text, HKDF-SHA256 over both public halves) and
encrypts (ChaCha20-Poly1305). Who merely reads has nothing of it; who can change the messages could put in a public half
of its own, so this is no more than the other system's own proof of who its processes are.
"""

from __future__ import annotations

from rain.common.errors import RainException

PUBLIC_BYTES = 32
_LABEL = b"rain sealed 1"
_NONCE = bytes(12)  # each key encrypts one text


class Receiver:
    """A process for which a text can be sealed; holds a key pair of its own.

    Attributes
    ----------
    public : bytes
        What the sender needs; no secret.

    Examples
    --------
    >>> receiver = Receiver()
    >>> receiver.unsealed(sealed("a token", receiver.public))
    'a token'
    """

    __slots__ = ("_private", "public")

    def __init__(self) -> None:
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

        self._private = X25519PrivateKey.generate()
        self.public = self._private.public_key().public_bytes_raw()

    def __reduce__(self) -> str:
        raise TypeError("a Receiver holds a private key, which stays in the process that made it")

    def unsealed(self, sealed_text: bytes) -> str:
        """What was sealed for this process.

        Raises
        ------
        RainException
            If it was sealed for another, or changed on the way.
        """
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

        theirs, body = sealed_text[:PUBLIC_BYTES], sealed_text[PUBLIC_BYTES:]
        try:
            shared = self._private.exchange(X25519PublicKey.from_public_bytes(theirs))
            return ChaCha20Poly1305(_key(shared, theirs, self.public)).decrypt(_NONCE, body, None).decode()
        except (InvalidTag, ValueError):
            raise RainException("the sealed text was not meant for this process, or was changed on the way") from None


def sealed(text: str, public: bytes) -> bytes:
    """`text` for the `Receiver` with the public half `public`, and no other.

    Raises
    ------
    RainException
        If `public` is no such half.
    """
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    own = X25519PrivateKey.generate()
    ours = own.public_key().public_bytes_raw()
    try:
        shared = own.exchange(X25519PublicKey.from_public_bytes(public))
    except (ValueError, TypeError):
        raise RainException("a text can be sealed only for a process that has sent its public key") from None
    return ours + ChaCha20Poly1305(_key(shared, ours, public)).encrypt(_NONCE, text.encode(), None)


def _key(shared: bytes, theirs: bytes, ours: bytes) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), 32, salt=None, info=_LABEL + theirs + ours).derive(shared)
