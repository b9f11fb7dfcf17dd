"""Large arrays among the arguments of calls: each is sent once, however many calls use it.

Theory of operation
-------------------
The pickler of arguments asks `SharedArrays.instead` for each object. A large array is written as a constant of the
session, and its place in the pickle is taken by that constant, which executors map. Whether an array was sent before is
told by its digest, so that one that was changed meanwhile is another one; inside `trusting` its identity is enough.

A constant stays as long as an array with that content lives here, or tasks need it.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import xxhash

from rain.client.data import make_constant
from rain.client.handles import inside, record_of
from rain.client.operations.constant_values import encoded
from rain.common.limits import SHARED_ARRAY_BYTES_MIN

if TYPE_CHECKING:
    from rain.client.data import DataObject
    from rain.client.session import Session

_Key = tuple[bytes, int]


class SharedArrays:
    """The constants of one session that stand for large arrays. One thread at a time may use it.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._constants: dict[bytes, DataObject] = {}
        self._owners: dict[_Key, weakref.ref[Any]] = {}
        self._trusted: dict[int, tuple[Any, DataObject]] | None = None

    @contextmanager
    def trusting(self) -> Iterator[None]:
        """While this is open, an array that was sent is taken for unchanged; it and its constant stay until the end."""
        self.trust()
        try:
            yield
        finally:
            self.distrust()

    def trust(self) -> None:
        """Begin what `trusting` does."""
        self._trusted = {}

    def distrust(self) -> None:
        """End what `trusting` does."""
        self._trusted = None

    def instead(self, value: Any) -> Any:
        """What is pickled in the place of `value`, as of ``__reduce__``; NotImplemented: the value itself."""
        kind = type(value)
        if kind.__name__ != "ndarray" or kind.__module__ != "numpy" or value.nbytes < SHARED_ARRAY_BYTES_MIN:
            return NotImplemented
        flags = value.flags
        if value.dtype.hasobject or not (flags.c_contiguous or flags.f_contiguous):
            return NotImplemented
        return self._constant(value).__reduce__()

    def _constant(self, array: Any) -> DataObject:
        trusted = self._trusted
        if trusted is not None and id(array) in trusted:
            return trusted[id(array)][1]
        digest = digest_of(array)
        constant = self._constants.get(digest)
        if constant is None:
            value = encoded(array, "pickle", inside(self._session).connection.room)
            constant = make_constant(self._session, "array", "pickle", value)
            record = record_of(constant)
            # The server drops it when it is neither kept nor needed by a task.
            record.hidden = record.ephemeral = record.kept = True
            self._constants[digest] = constant
        self._hold(digest, array)
        if trusted is not None:
            trusted[id(array)] = array, constant
        return constant

    def _hold(self, digest: bytes, array: Any) -> None:
        """Keep the constant as long as the array lives, or the one that it is a view of."""
        while type(array.base) is type(array):
            array = array.base
        key = digest, id(array)
        owners, constants = self._owners, self._constants

        def gone(_: Any) -> None:  # called by any thread, at any time
            owners.pop(key, None)
            if not any(other == digest for other, _ in list(owners)):
                constants.pop(digest, None)

        if key not in owners:
            owners[key] = weakref.ref(array, gone)


def digest_of(array: Any) -> bytes:
    """Digest of a contiguous array: of its bytes, type and shape."""
    order = "C" if array.flags.c_contiguous else "F"
    digest = xxhash.xxh3_128(repr((array.dtype.descr, array.dtype.str, array.shape, order)).encode())
    digest.update(array.reshape(-1, order=order).view("u1"))
    found: bytes = digest.digest()
    return found
