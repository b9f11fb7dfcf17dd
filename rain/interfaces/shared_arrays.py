"""Large arrays among the arguments of calls: each is sent once, however many calls use it.

Theory of operation
-------------------
The pickler of arguments asks `SharedArrays.instead` for each object. A large array is written as a constant of the
session, which takes its place in the pickle, and which executors map. Its digest tells whether an array was sent
before, so that an array that was changed meanwhile is sent again. The digest is that of what is written, and comes with
the writing: an array is digested by itself only if an array of its kind and with its sample of bytes was sent. While
many calls come at a time (`trust`) its identity and the sample are enough, and its digest is compared once more at the
end.

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
from rain.objects.content_types.codecs import encode_buffers

if TYPE_CHECKING:
    from rain.client.data import DataObject
    from rain.client.session import Session

_Digest = tuple[str, tuple[int, ...], bytes, int]
"""Type, shape, a sample of the bytes, and the checksum of all of them."""


class _Trusted:
    """An array that was sent, and its constant."""

    def __init__(self, array: Any, constant: DataObject, digest: _Digest) -> None:
        self.array, self.constant, self.digest = array, constant, digest
        self.used_again = False


class SharedArrays:
    """The constants of one session that stand for large arrays. One thread at a time may use it.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._constants: dict[_Digest, DataObject] = {}
        self._alike: dict[_Digest, None] = {}  # without checksums, of what was sent; that of one of two may be missing
        self._owners: dict[tuple[_Digest, int], weakref.ref[Any]] = {}
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
        trusted, alike = self._trusted.get(id(array)), _alike(array)
        if trusted is not None and alike == (*trusted.digest[:3], 0):
            trusted.used_again = True
            return trusted.constant
        digest = digest_of(array) if alike in self._alike else None
        constant = None if digest is None else self._constants.get(digest)
        if constant is None:
            value = encoded(array, "pickle", inside(self._session).connection.room)
            constant = make_constant(self._session, "array", "pickle", value)
            record = record_of(constant)
            # The server drops it when it is neither kept nor needed by a task.
            record.hidden = record.ephemeral = record.kept = True
            checksum = value.checksum if value.checksum is not None else xxhash.xxh3_64_intdigest(value.view())
            digest = (*alike[:3], checksum)
            self._constants[digest], self._alike[alike] = constant, None
        assert digest is not None
        self._hold(digest, array)
        if self._trusting:
            self._trusted[id(array)] = _Trusted(array, constant, digest)
        return constant

    def _hold(self, digest: _Digest, array: Any) -> None:
        """Keep the constant as long as the array exists, or the array that it is a view of."""
        while type(array.base) is type(array):
            array = array.base
        key = digest, id(array)
        owners, constants, likes = self._owners, self._constants, self._alike

        def gone(_: Any) -> None:  # called by any thread, at any time
            owners.pop(key, None)
            if not any(other == digest for other, _ in list(owners)):
                constants.pop(digest, None)
                likes.pop((*digest[:3], 0), None)

        if key not in owners:
            owners[key] = weakref.ref(array, gone)


def _alike(array: Any) -> _Digest:
    """What equal contiguous arrays have in common, found without reading all of them: a digest without checksum."""
    order = "C" if array.flags.c_contiguous else "F"
    flat = array.reshape(-1, order=order).view("u1")
    sample = bytes(flat[:: max(1, len(flat) // SHARED_ARRAY_SAMPLE_BYTES)])
    return repr((array.dtype.descr, array.dtype.str, order)), array.shape, sample, 0


def digest_of(array: Any) -> _Digest:
    """Digest of a contiguous array: as of what is written of it."""
    checksum = xxhash.xxh3_64()
    for piece in encode_buffers(array, "pickle"):
        checksum.update(memoryview(piece).cast("B"))
    return (*_alike(array)[:3], checksum.intdigest())
