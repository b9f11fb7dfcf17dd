"""jax's arrays, whose own pickles copy their memory twice: here NumPy gives a buffer of it.

As with jax's own pickles an array comes to the default device of the process that loads it.
"""

from __future__ import annotations

import sys
from typing import Any

from rain.objects.pickling.reduce import Reducer, Reduction

LARGE_BYTES = 64 * 1024
"""Arrays with fewer bytes are left to jax."""


def reducer_of(kind: type) -> Reducer | None:
    """The reducer for jax's arrays of numbers; its arrays of random keys are another class."""
    jax = sys.modules.get("jax")
    if jax is None or kind.__name__ != "ArrayImpl" or not issubclass(kind, jax.Array):
        return None
    return Reducer(_memory, _reduce)


def _memory(array: Any) -> int:
    size: int = array.nbytes
    return size


def _reduce(array: Any, reduction: Reduction) -> Any:
    import jax
    import numpy as np

    if array.nbytes < LARGE_BYTES or array.weak_type or not array.is_fully_addressable:
        return NotImplemented
    host = np.asarray(array)
    if not host.flags.c_contiguous and not host.flags.f_contiguous:
        return NotImplemented
    reduction.used = True
    return jax.device_put, (host,)
