"""Python values to bytes and back, by content type; the only place of Rain that unpickles.

Executors and clients import this; servers and governors never do.

=====================  ==========================================  =========================
type                   takes                                       gives back
=====================  ==========================================  =========================
``pickle``             what `pickle` can do                        the value
``cloudpickle``        functions and local classes too             the value
``json``, ``cbor``     what those formats can say                  the value
``arrow``              see `rain.objects.content_types.arrow`                        what it was
``text``, ``text-E``   str                                         str
``protobuf…``          bytes, or a message (SerializeToString)     bytes
``mime/…``, ``user/…`` bytes-like                                  bytes
=====================  ==========================================  =========================
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from rain.common.content_type import PICKLES, check_content_type, text_encoding
from rain.common.errors import RainException
from rain.common.ids import ID
from rain.common.limits import INLINE_BYTES_MAX
from rain.objects.files import Sink, Written, write_file
from rain.objects.pickling import buffers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from typing_extensions import Buffer

__all__ = [
    "Written",
    "decode_value",
    "encode_buffers",
    "encode_to_file",
    "encode_value",
    "placeholder",
    "resolving",
    "write_file",
]

# -- data objects inside pickled arguments ---------------------------------------------------------

_resolver: ContextVar[Callable[[ID], Any] | None] = ContextVar("rain_resolver", default=None)


def placeholder(session_id: int, id: int) -> Any:
    """Stands for a data object inside pickled arguments: unpickling calls it, and gets what the resolver says.

    Raises
    ------
    RainException
        If no resolver is installed: data objects only make sense in the arguments of a task.
    """
    resolver = _resolver.get()
    if resolver is None:
        raise RainException(
            f"data object {session_id}/{id} was pickled into something that is not the argument of a task; "
            "give the object itself to the task, as an argument or input"
        )
    return resolver(ID(session_id, id))


@contextmanager
def resolving(resolver: Callable[[ID], Any]) -> Iterator[None]:
    """While this is open (in this thread), unpickled placeholders become ``resolver(id)``."""
    token = _resolver.set(resolver)
    try:
        yield
    finally:
        _resolver.reset(token)


# -- encoding ----------------------------------------------------------------------------------------


def encode_buffers(value: Any, content_type: str | None) -> list[Buffer]:
    """`value` as pieces to be written one after the other; large pieces may be views of the value itself.

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


def encode_to_file(
    value: Any,
    content_type: str | None,
    path: str,
    inline_max: int = INLINE_BYTES_MAX,
    *,
    spill_path: str | None = None,
    bytes_max: int | None = None,
) -> bytes | Written:
    """`value` as bytes, or in a new file if it has more than `inline_max` bytes.

    Large buffers are written from where they lie, in one pass with the checksum.

    Parameters
    ----------
    path : str
        The file to be made; must not exist.
    inline_max : int
        Bytes.
    spill_path : str or None
        The file to be made instead if `path` lies on a full file system or outgrows `bytes_max`.
    bytes_max : int or None
        Largest file at `path`, in bytes.

    Returns
    -------
    bytes or Written
        `Written` is ``(file: LocalFile, checksum: int)``.

    Raises
    ------
    RainException
        If `value` cannot be encoded as this type, or the disk is full (`ResourceError`).
    ValueError
        If there is no such content type.
    """
    if content_type == "json":  # the most frequent small results need no more than this
        data = encode_value(value, content_type)
        if len(data) <= inline_max:
            return data
        return write_file([data], path, inline_max, spill_path=spill_path, bytes_max=bytes_max)
    sink = Sink(path, inline_max, spill_path=spill_path, bytes_max=bytes_max)
    try:
        _encode_into(value, content_type, sink.write, sink.discard)
        return sink.finish()
    except BaseException:
        sink.discard()
        raise


def _encode_into(value: Any, content_type: str | None, write: Callable[[Any], Any], restart: Callable[[], Any]) -> None:
    """Write `value`; after a `restart` everything comes again."""
    name = check_content_type(content_type)
    try:
        if name in PICKLES:
            buffers.dump(value, write, restart, cloud=name == "cloudpickle")
        elif name == "arrow":
            from rain.objects.content_types import arrow

            arrow.dump(value, write)
        else:
            write(_encode_small(value, name))
    except RainException:
        raise
    except OSError:
        raise
    except Exception as error:
        hint = ""
        if name == "pickle":
            hint = '; content type "cloudpickle" can do functions, lambdas and classes of a notebook'
        elif name not in PICKLES:
            hint = '; content type "pickle" can do more'
        problem = f"{type(error).__name__}: {error}{hint}"
        raise RainException(f"a {type(value).__name__} cannot be encoded as {name!r}: {problem}") from error


def _encode_small(value: Any, name: str | None) -> Buffer:
    if name == "json":
        import json

        return json.dumps(value).encode()
    if name == "cbor":
        from rain.objects.content_types import cbor

        return cbor.dumps(value)
    if name is None:
        raise RainException("a value cannot be encoded without a content type")
    if name == "dir":
        raise RainException(
            "a value cannot be encoded as a directory; use directory(path), or ctx.stage_directory(path)"
        )
    if name == "text" or name.startswith("text-"):
        if not isinstance(value, str):
            raise RainException(f"content type {name!r} takes str, not {type(value).__name__}")
        return value.encode(text_encoding(name))
    if isinstance(value, bytes | bytearray | memoryview):
        return value
    if name.startswith("protobuf") and hasattr(value, "SerializeToString"):
        return bytes(value.SerializeToString())
    raise RainException(f"content type {name!r} takes bytes, not {type(value).__name__}")


# -- decoding ----------------------------------------------------------------------------------------


def decode_value(data: Buffer, content_type: str | None) -> Any:
    """The value that `data` says.

    Parameters
    ----------
    data : bytes-like
        May be a mapped file: arrays and tables in it are then views of the mapping, not copies, and may be written if
        it may (a copy-on-write mapping).
    content_type : str

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
    if name == "dir":
        raise RainException("a directory cannot be loaded; use write(path) or link(path)")
    try:
        if name in PICKLES:
            return buffers.load(data)
        if name == "arrow":
            from rain.objects.content_types import arrow

            return arrow.load(data)
        if name == "json":
            import json

            return json.loads(bytes(data))
        if name == "cbor":
            from rain.objects.content_types import cbor

            return cbor.loads(data)
        if name == "text" or name.startswith("text-"):
            return str(data, text_encoding(name))
    except RainException:
        raise
    except (Exception, SystemExit, GeneratorExit) as error:  # what a class does when it is unpickled ends nobody
        hint = ""
        if name in PICKLES and isinstance(error, AttributeError) and "__main__" in str(error):
            hint = (
                "; a pickle only names the classes and functions of a script or notebook: encode such values as "
                '"cloudpickle", for instance blob(value, encode="cloudpickle")'
            )
        text = f"the data cannot be loaded as {name!r}: {type(error).__name__}: {error}{hint}"
        raise RainException(text) from error
    return bytes(data)
