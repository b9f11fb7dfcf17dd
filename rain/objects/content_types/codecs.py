"""Python values to bytes and back, by content type; with `rain.objects.pickling` all of Rain that unpickles.

Executors and clients import this; servers and governors never do.

=====================  ==========================================  =========================
type                   takes                                       gives back
=====================  ==========================================  =========================
``pickle``             what `pickle` can do                        the value
``cloudpickle``        functions and local classes too             the value
``json``, ``cbor``     what those formats can say                  the value
``arrow``              see `rain.objects.content_types.arrow`      what it was
``text``, ``text-E``   str                                         str
``protobuf…``          bytes, or a message (SerializeToString)     bytes
``mime/…``, ``user/…`` bytes-like                                  bytes
``plugin/…``           what the plug-in can do                     what the plug-in makes
=====================  ==========================================  =========================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rain.common.errors import RainException
from rain.common.location import Stored
from rain.objects.content_types.content_type import ContentType
from rain.objects.content_types.registry import check_content_type, content_type_of
from rain.objects.files import inline
from rain.objects.sink import Sink

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer

__all__ = ["decode_value", "encode_buffers", "encode_to_file", "encode_value"]


def encode_buffers(value: Any, content_type: str | None) -> list[Buffer]:
    """`value` as pieces to be written one after the other; large pieces may be views of the value itself.

    Parameters
    ----------
    value : object
    content_type : str or None

    Raises
    ------
    RainException
        If `value` cannot be encoded as this type.
    ValueError
        If there is no such content type.
    """
    pieces: list[Buffer] = []
    _encode_into(value, content_type, pieces.append, pieces.clear)
    return pieces


def encode_value(value: Any, content_type: str | None) -> bytes:
    """`value` as bytes of that content type.

    Parameters
    ----------
    value : any
    content_type : str or None
        None takes bytes as they are.

    Returns
    -------
    bytes

    Raises
    ------
    RainException
        If `value` cannot be encoded as this type.
    ValueError
        If there is no such content type.

    Examples
    --------
    >>> encode_value({"a": [1, 2]}, "json")
    b'{"a": [1, 2]}'
    """
    pieces = encode_buffers(value, content_type)
    return pieces[0] if len(pieces) == 1 and isinstance(pieces[0], bytes) else b"".join(pieces)


def encode_to_file(value: Any, content_type: str | None, sink: Sink) -> Stored:
    """`value` as bytes, or as a file if it is more than `sink` holds as bytes.

    Large buffers are written from where they lie, in one pass with the checksum.

    Parameters
    ----------
    value : object
    content_type : str or None
    sink : Sink
        A new one.

    Returns
    -------
    Inline or LocalFile
        With the checksum.

    Raises
    ------
    RainException
        If `value` cannot be encoded as this type, or the disk is full (`ResourceError`).
    ValueError
        If there is no such content type.
    """
    with sink:
        if content_type == "json":  # the most frequent small results need no more than this
            data = encode_value(value, content_type)
            if len(data) <= sink.inline_max:
                return inline(data)
            sink.write(data)
        else:
            _encode_into(value, content_type, sink.write, sink.discard)
        return sink.finish()


def _encode_into(value: Any, content_type: str | None, write: Callable[[Any], Any], restart: Callable[[], Any]) -> None:
    """Write `value`; after a `restart` everything comes again."""
    name = check_content_type(content_type)
    if name is None:
        raise RainException("a value cannot be encoded without a content type")
    kind = content_type_of(name)
    try:
        kind.dump(value, name, write, restart)
    except (RainException, OSError):
        raise
    except Exception as error:
        problem = "; ".join(filter(None, (f"{type(error).__name__}: {error}", kind.advice)))
        raise RainException(f"a {type(value).__name__} cannot be encoded as {name!r}: {problem}") from error


def decode_value(data: Buffer, content_type: str | None) -> Any:
    """The value that `data` says.

    Parameters
    ----------
    data : bytes-like
        May be a mapped file: arrays and tables in it are then views of the mapping, not copies, and may be written if
        it may (a copy-on-write mapping).
    content_type : str or None

    Returns
    -------
    any

    Raises
    ------
    RainException
        If there is no content type, or the data are not of that type.
    ValueError
        If there is no such content type.

    Examples
    --------
    >>> decode_value(b'{"a": [1, 2]}', "json")
    {'a': [1, 2]}
    """
    name = check_content_type(content_type)
    if name is None:
        raise RainException(
            "the data have no content type; use get_bytes(), or give a content type where they are made"
        )
    kind: ContentType = content_type_of(name)
    try:
        return kind.decode(data, name)
    except RainException:
        raise
    except (Exception, SystemExit, GeneratorExit) as error:  # a class that is unpickled must not end the process
        problem = "; ".join(filter(None, (f"{type(error).__name__}: {error}", kind.why_not_decoded(error))))
        raise RainException(f"the data cannot be loaded as {name!r}: {problem}") from error
