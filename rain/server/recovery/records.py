"""The records, one kind for each thing that can happen to a server: the input of `Machine.apply`, kept in a journal.

A record carries `now`, the monotonic seconds at which it happened; time goes on from there after a restart. A
conversation has a number, counted from 1 as they are opened. A kind has its number for ever; a field is only added,
behind the others and with a default.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec

from rain.common.errors import RainException
from rain.common.location import LocalFile, Upload
from rain.common.protocol.encoding import encode
from rain.common.protocol.messages import Hello, Retry, Submit
from rain.server.core import events as ev

FollowUp: TypeAlias = (
    ev.AssignmentFailed | ev.SessionBroken | ev.ClientGone | ev.GovernorGone | ev.ClientPace | ev.Tick | ev.TurnEnded
)
"""Events that the server itself makes from an error."""


class Begun(msgspec.Struct, array_like=True):
    """A server's process began to apply records.

    Attributes
    ----------
    now : float
    wall : float
        Seconds since the epoch at that time.
    events : int
        Number of the next event of the log.
    address : str
        ``host:port`` of its listener.
    folders : list of str
        Folders with the files of large constants.
    """

    now: float
    wall: float
    events: int
    address: str
    folders: list[str]


class Opened(msgspec.Struct, array_like=True):
    """A peer opened a conversation; `pool`: the number of the one by whose key it proved itself, or 0."""

    now: float
    conversation: int
    pool: int
    address: str
    hello: Hello


class Claim(msgspec.Struct, array_like=True):
    """What became of the uploads that a message names.

    Attributes
    ----------
    index : int
        Index of the message among those of its record.
    trouble : str
        Why the message is refused; empty: it is not.
    files : list of LocalFile or None
        The files that its uploads are now, in the order of its constants.
    """

    index: int
    trouble: str
    files: list[LocalFile | None]


class Came(msgspec.Struct, array_like=True):
    """Packets of a peer, as they came, which brought messages."""

    now: float
    conversation: int
    packets: list[bytes]
    claims: list[Claim] = []


class Gone(msgspec.Struct, array_like=True):
    """A conversation is over; `waits_s` as in `rain.server.core.events.ClientGone`."""

    now: float
    conversation: int
    reason: str
    waits_s: float = 0.0


class Paced(msgspec.Struct, array_like=True, gc=False):
    """A client lags behind with its updates, or has caught up."""

    now: float
    conversation: int
    behind: bool


class Ticked(msgspec.Struct, array_like=True, gc=False):
    """Time passed without another record."""

    now: float


class TurnEnded(msgspec.Struct, array_like=True, gc=False):
    """The end of a turn of the loop in which anything happened."""

    now: float


class Followed(msgspec.Struct, array_like=True):
    """An event that the server itself made from an error; `tries`: how often the event raised an error before."""

    now: float
    event: FollowUp
    tries: int = 0


class Uploaded(msgspec.Struct, array_like=True, gc=False):
    """A client brought a file over a data connection."""

    now: float
    conversation: int
    name: str


class Acknowledged(msgspec.Struct, array_like=True, gc=False):
    """A peer acknowledged messages; recorded now and then for peers that send nothing else."""

    now: float
    conversation: int
    received: int


Record: TypeAlias = Begun | Opened | Came | Gone | Paced | Ticked | TurnEnded | Followed | Uploaded | Acknowledged

KINDS: dict[type, int] = {
    Begun: 1, Opened: 2, Came: 3, Gone: 4, Paced: 5, Ticked: 6, TurnEnded: 7, Followed: 8, Uploaded: 9,
    Acknowledged: 10,
}  # fmt: skip
_DECODERS: dict[int, Any] = {kind: msgspec.msgpack.Decoder(record).decode for record, kind in KINDS.items()}


def encode_record(record: Record) -> bytes:
    """The payload of a record; its kind is ``KINDS[type(record)]``."""
    return encode(record)


def decode_record(kind: int, payload: bytes) -> Record:
    """The record of a kind and a payload.

    Raises
    ------
    RainException
        If this version knows no such record.

    Examples
    --------
    >>> decode_record(KINDS[Ticked], encode_record(Ticked(1.5)))
    Ticked(now=1.5)
    """
    try:
        record: Record = _DECODERS[kind](payload)
    except KeyError:
        raise RainException(f"this version of Rain knows no record of the kind {kind}") from None
    except msgspec.MsgspecError as error:
        raise RainException(f"a record of the kind {kind} cannot be read: {error}") from None
    return record


def put_claims(messages: Sequence[Any], claims: Sequence[Claim]) -> dict[int, str]:
    """Put the files of claims into the messages that named them; returns why messages are refused, by their index."""
    troubles: dict[int, str] = {}
    for claim in claims:
        for constant, file in zip(getattr(messages[claim.index], "constants", ()), claim.files, strict=True):
            if isinstance(constant.location, Upload):
                constant.location.file = file
        if claim.trouble:
            troubles[claim.index] = claim.trouble
    return troubles


def without_work(message: Any) -> Any:
    """A message that asks for new work, reduced to what the answer needs if it is refused."""
    if isinstance(message, Submit):
        return Submit(message.request, message.session_id, [], [], [], [], message.more)
    if isinstance(message, Retry):
        return Retry(message.request, message.session_id, [])
    return message


def names_of_uploads(message: Any) -> list[str]:
    """Names of the uploads that a message is about."""
    if not isinstance(message, Submit | Retry):
        return []
    return [constant.location.name for constant in message.constants if isinstance(constant.location, Upload)]
