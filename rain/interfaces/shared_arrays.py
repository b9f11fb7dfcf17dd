"""Large arrays among the arguments of calls: each is sent once, however many calls use it.

Theory of operation
-------------------
The pickler of arguments asks `SharedArrays.instead` for each object. A large array is written as a constant of the
session, which takes its place in the pickle, and which executors map. Its digest tells whether an array was sent
before, so that an array that was changed meanwhile is sent again. While many calls come at a time (`trust`) its
identity and a sample of its bytes are enough, and its digest is compared once more at the end.

A constant stays as long as this process has an array with that content, or tasks need it.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import xxhash

from rain.client.data import make_constant
from rain.client.handles import inside, record_of
from rain.client.operations.constant_values import encoded
from rain.common.limits import SHARED_ARRAY_BYTES_MIN, SHARED_ARRAY_SAMPLE_BYTES

if TYPE_CHECKING:
    from rain.client.data import DataObject
    from rain.client.session import Session

_Key = tuple[bytes, int]


class _Trusted:
    """An array that was sent, and its constant."""

    def __init__(self, array: Any, constant: DataObject, digest: bytes) -> None:
        self.array, self.constant, self.digest = array, constant, digest
        self.sample = sample_of(array)
        self.used_again = False


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
        self._trusting = 0
        self._trusted: dict[int, _Trusted] = {}

    def trust(self) -> None:
        """Until `distrust`, which is called as often, take arrays that were sent for unchanged if a few thousand of
        their bytes are. They and their constants stay until then."""
        self._trusting += 1

    def distrust(self) -> list[str]:
        """End what `trust` began; returns texts that name the arrays that were changed nevertheless."""
        self._trusting -= 1
        if self._trusting:
            return []
        trusted, self._trusted = self._trusted, {}
        return [
            f"an array of {one.array.dtype} of the shape {one.array.shape}"
            for one in trusted.values()
            if one.used_again and digest_of(one.array) != one.digest
        ]

    def instead(self, value: Any) -> Any:
        """What is pickled in the place of `value`, as `__reduce__` would return it; NotImplemented: `value` itself."""
        kind = type(value)
        if kind.__name__ != "ndarray" or kind.__module__ != "numpy" or value.nbytes < SHARED_ARRAY_BYTES_MIN:
            return NotImplemented
        flags = value.flags
        if value.dtype.hasobject or not (flags.c_contiguous or flags.f_contiguous):
            return NotImplemented
        return self._constant(value).__reduce__()

    def _constant(self, array: Any) -> DataObject:
        trusted = self._trusted.get(id(array))
        if trusted is not None and sample_of(array) == trusted.sample:
            trusted.used_again = True
            return trusted.constant
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
        if self._trusting:
            self._trusted[id(array)] = _Trusted(array, constant, digest)
        return constant

    def _hold(self, digest: bytes, array: Any) -> None:
        """Keep the constant as long as the array exists, or the array that it is a view of."""
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


def sample_of(array: Any) -> bytes:
    """Bytes from all over a contiguous array."""
    flat = _bytes_of(array)
    return bytes(flat[:: max(1, len(flat) // SHARED_ARRAY_SAMPLE_BYTES)])


def _bytes_of(array: Any) -> Any:
    return array.reshape(-1, order="C" if array.flags.c_contiguous else "F").view("u1")


def digest_of(array: Any) -> bytes:
    """Digest of a contiguous array: of its bytes, type and shape."""
    order = "C" if array.flags.c_contiguous else "F"
    digest = xxhash.xxh3_128(repr((array.dtype.descr, array.dtype.str, array.shape, order)).encode())
    digest.update(_bytes_of(array))
    found: bytes = digest.digest()
    return found
