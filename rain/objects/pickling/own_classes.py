"""Loading pickles that hold classes, without changing the classes that this process has defined itself.

Theory of operation
-------------------
cloudpickle gives each class that it pickles by value (of a script or a notebook) an id. Where that id is known when the
pickle is loaded, there is the class already, and so an instance that comes back is one of the very class that the
script defined. But cloudpickle also fills that class anew, with methods and class attributes as they were pickled:
methods see copies of their globals from then on, and counters go back. Here a class is filled only if it came by a
pickle.
"""

from __future__ import annotations

import io
import pickle
import re
import sys
import threading
import weakref
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Buffer

_MODULE = "cloudpickle.cloudpickle"
_FILL = "_class_setstate"
_MAKERS = ("_make_skeleton_class", "_make_skeleton_enum")
_ID = -2  # the place of a class's id among the arguments of a maker

_fills = re.compile(_FILL.encode()).search
_came: weakref.WeakSet[type] = weakref.WeakSet()
"""Classes that were made here by a pickle."""
_lock = threading.Lock()


def loads(data: Buffer, buffers: Iterable[Any] = ()) -> Any:
    """As `pickle.loads`; classes that were defined in this process stay as they are."""
    if _fills(data) is None:  # most hold no class
        return pickle.loads(data, buffers=buffers)
    return _Unpickler(io.BytesIO(data), buffers=buffers).load()


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        found = super().find_class(module, name)
        if module == _MODULE:
            if name == _FILL:
                return _filling(found)
            if name in _MAKERS:
                return _noting(found)
        return found


def _noting(make: Callable[..., type]) -> Callable[..., type]:
    by_id = sys.modules[_MODULE]._DYNAMIC_CLASS_TRACKER_BY_ID

    def noted(*args: Any) -> type:
        known: type | None = by_id.get(args[_ID])
        if known is not None:
            return known
        made = make(*args)
        with _lock:
            _came.add(made)
        return made

    return noted


def _filling(fill: Callable[[type, Any], type]) -> Callable[[type, Any], type]:
    def filled(kind: type, state: Any) -> type:
        return fill(kind, state) if kind in _came else kind

    return filled
