"""Pickles whose large buffers can be mapped.

Theory of operation
-------------------
A value without large buffers is stored as exactly ``pickle.dumps(value)``. Otherwise the file is a protocol 5 pickle
with its buffers in band, so that any ``pickle.load`` can read it, in which each large payload begins at a multiple of
`ALIGNMENT` bytes::

    PROTO 5 | FRAME … | BINBYTES padding POP | BYTEARRAY8 n payload | FRAME … STOP | index | footer

The padding is pushed and popped at once. What follows STOP is ignored by ``pickle``: an index of the payloads (where
the padding begins, where the payload begins, its length, what it is) and a footer that finds the index from the end.
To load without copying, `load` feeds ``pickle`` a skeleton in which each payload is a NEXT_BUFFER opcode, and gives it
views of the mapping instead; ``bytes``, ``bytearray`` and ``str`` have to own their memory and are copied once.

Where payloads are is learned from the C pickler's habits, not by parsing opcodes: anything from `LARGE_BYTES` on it
passes to ``write`` by itself, outside of any frame, right behind a chunk that ends with the payload's opcode and
length. `_Aligner` checks all of that, and when something does not fit passes the stream through unchanged, which is
then a plain pickle without an index.
"""

from __future__ import annotations

import functools
import io
import pickle
import struct
import sys
from typing import TYPE_CHECKING, Any

from rain.objects.pickling.own_classes import loads
from rain.objects.pickling.reduce import Reducer, Reduction, reducer

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator

    from typing_extensions import Buffer

LARGE_BYTES = 64 * 1024
"""Where the C pickler begins to write payloads by themselves (its FRAME_SIZE_TARGET)."""
ALIGNMENT = 64

_FRAME = 0x95
_NEXT_BUFFER = b"\x97"
_READONLY_BUFFER = b"\x98"
_FRAME_HEAD = struct.Struct("<BQ")
_LONG_HEAD = struct.Struct("<cQ")  # opcode and length of the opcodes for large payloads …
_SHORT_HEAD = struct.Struct("<cI")  # … and of those for less than 4 GiB
_LONG_OPCODES = {pickle.BINBYTES8: b"b", pickle.BYTEARRAY8: b"a", pickle.BINUNICODE8: b"u"}
_SHORT_OPCODES = {pickle.BINBYTES: b"b", pickle.BINUNICODE: b"u"}
_PADDING = _SHORT_HEAD.size + 1  # bytes of a padding without content: opcode, length, POP

_ENTRY = struct.Struct("<QQQcB6x")  # start of padding, start of payload, length, kind, whether it was a view:
_VIEW = 1  # … of memory …
_LIVE_VIEW = 2  # … that may be written whatever its owner says: no reader may see it read-only
_FOOTER = struct.Struct("<QQ16s")  # where the index begins, number of entries, magic
_MAGIC = b"rain\x00aligned\x00v1\n"

_PLAIN = frozenset({int, float, bool, type(None), complex})


class _LargeFound(Exception):
    """The value has a large buffer: start over with protocol 5."""


class _PlainPickler(pickle.Pickler):
    """Writes what ``pickle.dumps`` would, but gives up before it copies a large buffer."""

    def reducer_override(self, obj: Any) -> Any:
        # Some types know their bytes before they are reduced.
        known = reducer(type(obj))
        if known is None:
            return NotImplemented
        if known.bytes_of(obj) >= LARGE_BYTES:
            raise _LargeFound
        return known.guarded(obj)


@functools.cache
def _cloud_pickler() -> Any:
    """cloudpickle's pickler with our reducers; made when first needed."""
    import cloudpickle

    from rain.objects.pickling.callables import reduced

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        def reducer_override(self, obj: Any) -> Any:
            found = reduced(obj)
            return found if found is not NotImplemented else super().reducer_override(obj)

    return Pickler


class _PlainSink:
    """Passes chunks on until a large payload comes."""

    __slots__ = ("_tail", "_write")

    def __init__(self, write: Callable[[Any], Any]) -> None:
        self._write = write
        self._tail: bytes = b""

    def write(self, chunk: Any) -> int:
        if _payload_kind(self._tail, chunk) is not None:
            raise _LargeFound
        self._tail = chunk[-_LONG_HEAD.size :] if isinstance(chunk, bytes) else b""
        self._write(chunk)
        return len(chunk)


def _payload_kind(before: bytes, chunk: Any) -> tuple[bytes, int] | None:
    """If `chunk` is the payload that the end of `before` announces: its kind and the bytes of the announcement."""
    size = len(chunk)
    if size < LARGE_BYTES:
        return None
    for head, opcodes in ((_LONG_HEAD, _LONG_OPCODES), (_SHORT_HEAD, _SHORT_OPCODES)):
        if len(before) >= head.size:
            opcode, length = head.unpack_from(before, len(before) - head.size)
            if opcode in opcodes and length == size:
                return opcodes[opcode], head.size
    return None


class _Aligner:
    """Gets the chunks of a C pickler with protocol 5, writes them with the payloads aligned and an index behind."""

    __slots__ = ("_entries", "_first", "_held", "_live", "_offset", "_write")

    def __init__(self, write: Callable[[Any], Any], live: Container[int] = ()) -> None:
        self._write = write
        self._live = live  # ids of buffers that no reader may see read-only
        self._offset = 0
        self._entries: list[bytes] = []
        self._held: bytes | None = None  # the last chunk: only the next one tells whether it ends with a head
        self._first = True

    def write(self, chunk: Any) -> int:
        view = 0
        if type(chunk) is pickle.PickleBuffer:
            view = _LIVE_VIEW if id(chunk) in self._live else _VIEW
            chunk = chunk.raw()
        held = self._held
        if held is not None:
            self._held = None
            self._first, first = False, self._first
            head = self._head_size(held, chunk, first)
            if head:
                self._put_payload(held, head, chunk, view)
                return len(chunk)
            self._put(held)
        if type(chunk) is bytes:
            self._held = chunk
        else:
            self._put(chunk)
        return len(chunk)

    @staticmethod
    def _head_size(held: bytes, chunk: Any, first: bool) -> int:
        """Bytes of the payload's head at the end of `held`, 0 if `chunk` is not such a payload."""
        kind = _payload_kind(held, chunk)
        if kind is None:
            return 0
        # The head must be all that follows the frame (or the few bytes that got none); then it is no coincidence.
        position = 2 if first else 0
        if len(held) >= position + _FRAME_HEAD.size and held[position] == _FRAME:
            position += _FRAME_HEAD.size + _FRAME_HEAD.unpack_from(held, position)[1]
            return kind[1] if len(held) - position == kind[1] else 0
        return kind[1] if 0 <= len(held) - position - kind[1] < 4 else 0

    def _put_payload(self, held: bytes, head: int, payload: Any, view: int) -> None:
        self._put(held[:-head])
        start = self._offset
        padding = -(start + _PADDING + head) % ALIGNMENT
        self._put(_SHORT_HEAD.pack(pickle.BINBYTES, padding) + bytes(padding) + pickle.POP + held[-head:])
        opcodes = _LONG_OPCODES if head == _LONG_HEAD.size else _SHORT_OPCODES
        kind = opcodes[held[-head:][:1]]
        if type(payload) is memoryview and not view:
            # Memory of a str that may be gone when its pickler is; views of other objects keep them alive.
            payload = bytes(payload)
        self._entries.append(_ENTRY.pack(start, self._offset, len(payload), kind, view))
        self._put(payload)

    def _put(self, data: Any) -> None:
        if len(data):
            self._write(data)
            self._offset += len(data)

    def finish(self) -> bool:
        """Write what is left and the index; gives whether there was any large buffer."""
        if self._held is not None:
            self._put(self._held)
        if self._entries:
            index = self._offset
            self._put(b"".join(self._entries) + _FOOTER.pack(index, len(self._entries), _MAGIC))
        return bool(self._entries)


class _Writer:
    """The little of a file that a pickler needs."""

    __slots__ = ("write",)

    def __init__(self, write: Callable[[Any], Any]) -> None:
        self.write = write


def small_pickle(value: Any) -> bytes | None:
    """What `dump` writes of a value that is seen at a glance to have no large buffers and nothing of its own to say how
    it is pickled; None for any other."""
    kind = type(value)
    if kind in _PLAIN or ((kind is str or kind is bytes) and len(value) < LARGE_BYTES):
        return pickle.dumps(value)
    return None


def dump(value: Any, write: Callable[[Any], Any], restart: Callable[[], Any], *, cloud: bool = False) -> None:
    """Pickle `value` in pieces.

    Parameters
    ----------
    value : object
    write : callable
        Gets bytes-like pieces, in order; large ones are views of the value's own memory.
    restart : callable
        Called when everything written so far is to be forgotten and comes again.
    cloud : bool
        Whether to use cloudpickle, for functions and local classes.
    """
    if not cloud:
        small = small_pickle(value)
        if small is not None:
            write(small)
            return
        try:
            _PlainPickler(_PlainSink(write)).dump(value)
            return
        except _LargeFound:
            restart()
    reduction = Reduction()
    if "torch" in sys.modules:
        _pickler(_Nowhere(), reduction, cloud, True).dump(value)
    aligner = _Aligner(write, reduction.live)
    _pickler(aligner, reduction, cloud).dump(value)
    if not aligner.finish() and not reduction.used and not cloud:
        # An array of objects, for instance, has many bytes but no buffer that could be mapped.
        restart()
        pickle.Pickler(_Writer(write)).dump(value)


def _pickler(file: Any, reduction: Reduction, cloud: bool, collecting: bool = False) -> Any:
    """A pickler with our reducers; one that only collects writes nothing that matters, and gives no buffer a look."""
    base: Any = pickle.Pickler
    if cloud:
        base = _cloud_pickler()
    options = {"buffer_callback": _not_in_band} if collecting else {}
    return _with_reducers(base)(file, reduction, collecting, **options)


def _not_in_band(_buffer: Any) -> bool:
    return False


@functools.cache
def _with_reducers(base: Any) -> Any:
    """`base`, a class of picklers, with our reducers before its own."""
    inner = getattr(base, "reducer_override", None)

    class WithReducers(base):  # type: ignore[misc]
        def __init__(self, file: Any, reduction: Reduction, collecting: bool, **options: Any) -> None:
            super().__init__(file, protocol=5, **options)
            self._reduction = reduction
            self._collecting = collecting

        def reducer_override(self, obj: Any) -> Any:
            known = reducer(type(obj))
            if known is not None:
                found = self._reduced(known, obj) if known.guard is None else known.guarded(obj)
                if found is not NotImplemented:
                    return found
            return NotImplemented if inner is None else inner(self, obj)

        def _reduced(self, known: Reducer, obj: Any) -> Any:
            if self._collecting and known.collect is not None:
                known.collected(obj, self._reduction)
                return int, ()
            return known.reduced(obj, self._reduction)

    return WithReducers


class _Nowhere:
    """A file that forgets what is written."""

    __slots__ = ()

    def write(self, chunk: Any) -> int:
        return len(chunk) if type(chunk) is bytes else 0


def load(data: Buffer) -> Any:
    """The value of a pickle, by `dump` or any other pickler.

    Arrays in an aligned pickle are views of `data`: writable if `data` is and they were when they were pickled.
    """
    view = memoryview(data)
    entries = _read_index(view)
    if not entries:
        return loads(view)
    skeleton = bytearray()
    position = 0
    for start, payload, length, kind, is_view in entries:
        skeleton += view[position:start]
        skeleton += _NEXT_BUFFER
        if is_view and kind == b"b" and not view.readonly:
            # It was read-only when it was pickled, and stays so.
            skeleton += _READONLY_BUFFER
        position = payload + length
    skeleton += view[position : _FOOTER.unpack_from(view, len(view) - _FOOTER.size)[0]]
    return loads(skeleton, buffers=_payloads(view, entries))


def _payloads(view: memoryview, entries: list[tuple[int, int, int, bytes, int]]) -> Iterator[Any]:
    for _, payload, length, kind, is_view in entries:
        piece = view[payload : payload + length]
        if is_view == _LIVE_VIEW and piece.readonly:
            yield bytearray(piece)
        elif is_view:
            yield piece
        elif kind == b"u":
            yield str(piece, "utf-8", "surrogatepass")
        elif kind == b"a":
            yield bytearray(piece)
        else:
            yield bytes(piece)


def _read_index(view: memoryview) -> list[tuple[int, int, int, bytes, int]]:
    """The entries of an aligned pickle's index; empty for any other pickle."""
    size = len(view)
    if size < LARGE_BYTES:
        return []
    index, count, magic = _FOOTER.unpack_from(view, size - _FOOTER.size)
    if magic != _MAGIC or index + count * _ENTRY.size + _FOOTER.size != size:
        return []
    entries = []
    position = 0
    for number in range(count):
        start, payload, length, kind, is_view = _ENTRY.unpack_from(view, index + number * _ENTRY.size)
        if not position <= start < payload <= payload + length <= index:
            return []
        entries.append((start, payload, length, kind, is_view))
        position = payload + length
    return entries


def large_buffers(data: Buffer) -> int:
    """How many buffers of this pickle can be mapped.

    Examples
    --------
    >>> large_buffers(pickle.dumps([1, 2, 3]))
    0
    """
    return len(_read_index(memoryview(data)))


def mapped_bytes(data: Buffer) -> int:
    """How many bytes of this pickle are not read when it is loaded by mapping it.

    Examples
    --------
    >>> mapped_bytes(pickle.dumps([1, 2, 3]))
    0
    """
    return sum(length for _, _, length, _, is_view in _read_index(memoryview(data)) if is_view)


def dumps(value: Any, *, cloud: bool = False) -> bytes:
    """`dump` into bytes."""
    buffer = io.BytesIO()

    def restart() -> None:
        buffer.seek(0)
        buffer.truncate()

    dump(value, buffer.write, restart, cloud=cloud)
    return buffer.getvalue()
