"""What is stored of a result, as bytes; and which results go first when there is no room."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
import xxhash

from rain.client.core.reuse.keys import FORMAT

MAGIC = b"rain-result "
_CHECK_BYTES = 16


class Damaged(Exception):
    """The bytes of an entry are not what was written."""


class OtherFormat(Exception):
    """The entry is of another version of Rain; the text says of which format."""


class Output(msgspec.Struct, array_like=True):
    """One output of a task.

    Attributes
    ----------
    label : str or None
    data_type : str
        ``"blob"`` or ``"dir"``; the bytes of a directory are its tar archive.
    content_type : str or None
    size : int
        Bytes that are stored.
    content_size : int
        Bytes of the object; of a directory the sum of its files.
    encoded : bool
        Whether it was made from a value.
    user : dict
        What its task noted of it.
    checksum : str
        Of the bytes.
    data : bytes or None
        The bytes, if they are few; else they are a file of their own.
    """

    label: str | None
    data_type: str
    content_type: str | None
    size: int
    content_size: int
    encoded: bool
    user: dict[str, Any]
    checksum: str
    data: bytes | None = None


class Entry(msgspec.Struct, array_like=True):
    """One result.

    Attributes
    ----------
    key : str
    path, name : str
        Those of the code that made it.
    made : float
        Seconds since the epoch.
    took : float or None
        Seconds that the task's own code took.
    arguments : str
        The call as text, for people.
    user : dict
    debug : str
        What the task noted.
    outputs : list of Output
    """

    key: str
    path: str
    name: str
    made: float
    took: float | None
    arguments: str
    user: dict[str, Any]
    debug: str
    outputs: list[Output]


def encode(entry: Entry) -> bytes:
    """The file of an entry: a line with the format, a checksum, and the entry.

    Examples
    --------
    >>> entry = Entry("k", "m:f", "f", 0.0, None, "f(1)", {}, "", [])
    >>> decode(encode(entry)) == entry
    True
    """
    payload = msgspec.msgpack.encode(entry)
    return MAGIC + b"%d\n" % FORMAT + xxhash.xxh3_128_digest(payload) + payload


def decode(data: bytes) -> Entry:
    """The entry in a file.

    Raises
    ------
    Damaged
    OtherFormat
    """
    head, line, rest = data.partition(b"\n")
    if not line or not head.startswith(MAGIC) or not head[len(MAGIC) :].isdigit():
        raise Damaged
    if int(head[len(MAGIC) :]) != FORMAT:
        raise OtherFormat(f"it is of format {int(head[len(MAGIC) :])}, this Rain writes {FORMAT}")
    check, payload = rest[:_CHECK_BYTES], rest[_CHECK_BYTES:]
    if xxhash.xxh3_128_digest(payload) != check:
        raise Damaged
    try:
        return msgspec.msgpack.decode(payload, type=Entry)
    except msgspec.MsgspecError:
        raise Damaged from None


class Kept(NamedTuple):
    """A result, or a pack of results, as it lies there: its key or name, all its bytes, and when it was used last
    (seconds since the epoch)."""

    key: str
    size: int
    used: float


def to_evict(results: Iterable[Kept], bytes_max: int, now: float, fresh_s: float) -> list[str]:
    """Keys of what goes so that the rest has at most `bytes_max`: that first which was used longest ago. What was used
    within `fresh_s` stays, as it may be in use.

    Examples
    --------
    >>> to_evict([Kept("a", 5, 1.0), Kept("b", 5, 3.0), Kept("c", 5, 2.0)], 10, 100.0, 10.0)
    ['a']
    """
    found = sorted(results, key=lambda kept: kept.used)
    size = sum(kept.size for kept in found)
    gone = []
    for kept in found:
        if size <= bytes_max or kept.used > now - fresh_s:
            break
        gone.append(kept.key)
        size -= kept.size
    return gone
