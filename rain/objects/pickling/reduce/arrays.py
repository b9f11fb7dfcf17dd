"""NumPy's arrays that it gives no buffer of: times, strided and broadcast ones, subclasses, masked ones.

Arrays are made again by ``numpy.ndarray(shape, dtype, buffer, offset, strides)`` around a buffer that holds no more
than their own bytes, and that is the array's own memory wherever that has no gaps.
"""

from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np

from rain.objects.pickling.reduce import Reducer, Reduction

LARGE_BYTES = 64 * 1024
"""Arrays with fewer bytes are left to NumPy."""
_OWN_WAYS = ("__reduce__", "__reduce_ex__", "__setstate__", "__getstate__", "__getnewargs__", "__getnewargs_ex__")


def reducer_of(kind: type) -> Reducer | None:
    """The reducer for a class of arrays."""
    if not issubclass(kind, np.ndarray):
        return None
    if kind is np.ma.MaskedArray:
        return Reducer(_memory, _reduce_masked)
    own = (getattr(kind, name, None) is not getattr(np.ndarray, name, None) for name in _OWN_WAYS)
    return Reducer(_memory) if any(own) else Reducer(_memory, _reduce)


def _memory(array: Any) -> int:
    size: int = array.nbytes
    return size


def _reduce(array: Any, reduction: Reduction) -> Any:
    dtype, kind = array.dtype, type(array)
    if array.nbytes < LARGE_BYTES or dtype.hasobject or dtype.kind == "T":
        return NotImplemented
    if kind is np.ndarray and dtype.kind not in "mM" and (array.flags.c_contiguous or array.flags.f_contiguous):
        return NotImplemented  # NumPy gives a buffer of it
    reduction.used = True
    span, offset, strides = _span(array)
    buffer = pickle.PickleBuffer(span)
    if kind is np.ndarray:
        return np.ndarray, (array.shape, dtype, buffer, offset, strides)
    return np.ndarray.__new__, (kind, array.shape, dtype, buffer, offset, strides)


def _span(array: Any) -> tuple[Any, int, tuple[int, ...]]:
    """Memory that holds an array and nothing beside it, as bytes; where its first item is there, and its strides."""
    low, high = np.lib.array_utils.byte_bounds(array)
    items = math.prod(size for stride, size in zip(array.strides, array.shape, strict=True) if stride)
    if high - low <= items * array.itemsize:
        start = array.__array_interface__["data"][0]
        return _bytes_at(array, low, high - low), start - low, array.strides
    # What is repeated is written once, and what lies between its items is not.
    repeated = tuple(not stride and size > 1 for stride, size in zip(array.strides, array.shape, strict=True))
    core = array.view(np.ndarray)[tuple(slice(1) if again else slice(None) for again in repeated)]
    copy = core.copy(order="K")
    copy.flags.writeable = array.flags.writeable
    strides = tuple(0 if again else stride for again, stride in zip(repeated, copy.strides, strict=True))
    return _bytes_at(copy, copy.__array_interface__["data"][0], copy.nbytes), 0, strides


class _Memory:
    """Bytes at an address, for NumPy; keeps their owner alive."""

    def __init__(self, owner: Any, address: int, size: int) -> None:
        self.owner = owner
        self.__array_interface__ = {
            "version": 3, "typestr": "|u1", "shape": (size,), "data": (address, not owner.flags.writeable),
        }  # fmt: skip


def _bytes_at(owner: Any, address: int, size: int) -> Any:
    return np.asarray(_Memory(owner, address, size))


def _reduce_masked(array: Any, reduction: Reduction) -> Any:
    if array.nbytes < LARGE_BYTES or array.dtype.hasobject:
        return NotImplemented
    reduction.used = True
    # data, mask, dtype, copy, subok, ndmin, fill_value, keep_mask, hard_mask, shrink
    fields = (array._data, array._mask, None, False, True, 0, array._fill_value, True, array._hardmask, False)
    return np.ma.MaskedArray, fields
