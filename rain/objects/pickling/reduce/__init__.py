"""Reducers for values whose own pickles copy their memory, or leave it behind: one module for each library.

Theory of operation
-------------------
`reducer` knows by an object's type which module is in charge, and remembers it. A module is only imported when a value
of its library is pickled, so that no library is ever imported by us. Each has

``reducer_of(kind)``
    the `Reducer` for values of that type, or None.

What reducers give names nothing but functions of the library itself and of the standard library: pickles are read
wherever the library is, also without Rain. The parts of a value that are to be made by calls are `Call` objects, which
are pickled as those calls.
"""

from __future__ import annotations

import importlib
import operator
import pickle
from collections.abc import Callable
from typing import Any, NamedTuple

from rain.common.errors import RainException

MODULES = {
    "numpy": "rain.objects.pickling.reduce.arrays",
    "torch": "rain.objects.pickling.reduce.tensors",
    "jaxlib": "rain.objects.pickling.reduce.jax_arrays",
    "polars": "rain.objects.pickling.reduce.polars",
    "pyarrow": "rain.objects.pickling.reduce.arrow",
    "zarr": "rain.objects.pickling.reduce.stores",
    "tensorstore": "rain.objects.pickling.reduce.stores",
}
"""The table: library -> our module for it."""
KINDS_MAX = 4096
"""Types that are remembered; with more of them (of a notebook, say) all are found anew."""


class Reducer(NamedTuple):
    """How values of a type are pickled.

    Attributes
    ----------
    memory : callable
        From a value to the bytes that its own pickle would copy.
    reduce : callable or None
        From a value and the `Reduction` to what ``__reduce__`` would give, or to NotImplemented if its own is as good.
    collect : callable or None
        Gets each value and the `Reduction` before anything is written.
    guard : callable or None
        Instead of `reduce`, and for values of any size: from a value to what ``__reduce__`` would give, or to
        NotImplemented. It raises RainException where the pickle would leave the value's data behind.
    """

    memory: Callable[[Any], int]
    reduce: Callable[[Any, Reduction], Any] | None = None
    collect: Callable[[Any, Reduction], None] | None = None
    guard: Callable[[Any], Any] | None = None

    def bytes_of(self, value: Any) -> int:
        """`memory`, or 0 if the value does not tell."""
        try:
            size = self.memory(value)
        except Exception:  # a type that means something else by it, or a release of its library that we do not know
            return 0
        return size if isinstance(size, int) else 0

    def collected(self, value: Any, reduction: Reduction) -> None:
        """`collect`; what it does not know is written by itself."""
        try:
            if self.collect is not None:
                self.collect(value, reduction)
        except Exception:  # as above
            pass

    def guarded(self, value: Any) -> Any:
        """`guard`, or NotImplemented; what it does not know is written by itself."""
        if self.guard is None:
            return NotImplemented
        try:
            return self.guard(value)
        except RainException:
            raise
        except Exception:  # as above
            return NotImplemented

    def reduced(self, value: Any, reduction: Reduction) -> Any:
        """`reduce`; where that fails the value's own way is as right, only slower."""
        if self.reduce is None:
            return NotImplemented
        try:
            return self.reduce(value, reduction)
        except Exception:  # as above
            return NotImplemented


class Reduction:
    """What reducers remember while one value is pickled.

    Attributes
    ----------
    used : bool
        Whether a reducer changed anything.
    live : dict of int to object
        By id: buffers of values that have no way to be read-only. They get memory of their own when they are loaded.
    parts : dict
        The reducers' own notes. What is in them stays alive until the value is written.
    """

    __slots__ = ("live", "parts", "used")

    def __init__(self) -> None:
        self.used = False
        self.live: dict[int, Any] = {}
        self.parts: dict[Any, Any] = {}


class Call:
    """Pickled as the call of a function, once for each object of this class."""

    __slots__ = ("_function", "_parameters")

    def __init__(self, function: Any, *parameters: Any) -> None:
        self._function = function
        self._parameters = parameters

    def __reduce__(self) -> Any:
        return self._function, self._parameters


_BY_NBYTES = Reducer(operator.attrgetter("nbytes"))
_ARROW_BUFFER = Reducer(operator.attrgetter("size"))
_known: dict[type, Reducer | None] = {pickle.PickleBuffer: None}


def reducer(kind: type) -> Reducer | None:
    """The reducer for values of a type; without a `reduce` where it only tells how large they are."""
    try:
        return _known[kind]
    except KeyError:
        if len(_known) >= KINDS_MAX:
            _known.clear()
        found = _known[kind] = _find(kind)
        return found


def _find(kind: type) -> Reducer | None:
    for base in kind.__mro__:
        library = getattr(base, "__module__", None)
        name = MODULES.get(library.partition(".")[0]) if isinstance(library, str) else None
        if name is not None:
            found: Reducer | None = importlib.import_module(name).reducer_of(kind)
            if found is not None:
                return found
    if hasattr(kind, "nbytes"):
        return _BY_NBYTES
    return _ARROW_BUFFER if kind.__name__ == "Buffer" else None
