"""Digests of values by their content: the same in each process, for equal values of builtin types whatever made them.

A pickle alone would not do: the order of a set differs between processes, texts that happen to be one object are
written once, and classes of a notebook carry a number that is drawn anew in each process.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from struct import pack
from types import FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

import xxhash

from rain.client.building.task_list import TaskList
from rain.client.functions.pickling import RUN_AT_CALL, collecting, dumps
from rain.client.handles import Handle, as_object
from rain.objects.pickling.callables import by_reference

if TYPE_CHECKING:
    from rain.client.data import DataObject

_DEPTH_MAX = 50


class Unclear(Exception):
    """A value's content cannot be told; the text says why."""


def stand_in(text: str) -> str:
    """What a pickle that is only digested calls in the place of code and objects."""
    return text


class Digester:
    """Digests values.

    Parameters
    ----------
    code_of : callable
        ``code_of(function or class) -> str``: the digest of code that travels by value.

    Attributes
    ----------
    objects : dict of DataObject to int
        The data objects in what was digested, numbered as they came.
    modules : set of str
        The modules whose classes and functions are named.
    """

    def __init__(self, code_of: Callable[[Any], str]) -> None:
        self._code_of = code_of
        self.objects: dict[DataObject, int] = {}
        self.modules: set[str] = set()

    def digest(self, value: Any) -> str:
        """The digest of a value.

        Raises
        ------
        Unclear
            If it cannot be told.
        """
        hasher = xxhash.xxh3_128()
        try:
            self._feed(hasher.update, value, 0)
        except (Unclear, KeyboardInterrupt):
            raise
        except RecursionError:
            raise Unclear("it is nested too deeply") from None
        except Exception as error:
            raise Unclear(f"it cannot be pickled ({type(error).__name__}: {error})") from None
        return hasher.hexdigest()

    def _feed(self, update: Callable[[Any], None], value: Any, depth: int) -> None:
        kind = type(value)
        if kind is int or kind is bool or value is None:
            update(f"{kind.__name__} {value:#x};".encode() if kind is int else f"{value};".encode())
        elif kind is str:
            data = value.encode("utf-8", "surrogatepass")
            update(b"str %d " % len(data) + data)
        elif kind is float:
            update(b"float " + pack("<d", value))
        elif kind is complex:
            update(b"complex " + pack("<dd", value.real, value.imag))
        elif kind is bytes or kind is bytearray:
            update(f"{kind.__name__} {len(value)} ".encode())
            update(value)
        elif depth < _DEPTH_MAX and (kind is tuple or kind is list or kind is TaskList):
            update(b"%s %d " % (b"tuple" if kind is tuple else b"list", len(value)))
            for item in value:
                self._feed(update, item, depth + 1)
        elif depth < _DEPTH_MAX and kind is dict:
            update(b"dict %d " % len(value))
            for key, item in value.items():
                self._feed(update, key, depth + 1)
                self._feed(update, item, depth + 1)
        elif kind is set or kind is frozenset:
            digests = sorted(self.digest(item) for item in value)
            update(f"{kind.__name__} {len(value)} {digests}".encode())
        elif kind.__module__ == "numpy" and kind.__name__ == "ndarray" and not value.dtype.hasobject:
            self._feed_array(update, value)
        else:
            found = self._instead(value)
            if found is NotImplemented:
                update(b"pickle ")
                update(self._pickled(value))
            else:
                update(found[1][0].encode("utf-8", "surrogatepass"))

    def _feed_array(self, update: Callable[[Any], None], array: Any) -> None:
        numpy = sys.modules["numpy"]
        self.modules.add("numpy")
        update(f"array {array.dtype.descr!r} {array.shape} ".encode())
        if array.size:
            update(numpy.ascontiguousarray(array).reshape(-1).view("u1").data)

    def _pickled(self, value: Any) -> bytes:
        with collecting():
            return dumps(value, self._instead, self._aside)

    def _aside(self, value: Any) -> Any:
        """What stands in a pickle for a set, whose order means nothing."""
        if type(value) is set or type(value) is frozenset:
            return f"{type(value).__name__} {sorted(self.digest(item) for item in value)}"
        return None

    def _instead(self, value: Any) -> Any:
        """What stands in a pickle for code and data objects; NotImplemented for all else."""
        kind = type(value)
        if value is stand_in:
            return NotImplemented
        if isinstance(value, Handle):
            obj = as_object(value, "an argument")
            return stand_in, (f"object {self.objects.setdefault(obj, len(self.objects))}",)
        if kind in RUN_AT_CALL:
            raise Unclear(f"it holds a {kind.__name__}, which is used up when it is looked at: give list(…) of it")
        if kind is ModuleType:
            self.modules.add(value.__name__)
            return stand_in, (f"module {value.__name__}",)
        if kind is FunctionType or isinstance(value, type):
            module = getattr(value, "__module__", None)
            if by_reference(value) and isinstance(module, str):
                self.modules.add(module)
                return stand_in, (f"{module}:{value.__qualname__} {self._code_of(value)}",)
            return stand_in, (f"code {self._code_of(value)}",)
        if kind is MethodType:
            return NotImplemented
        if isinstance(kind.__module__, str):
            self.modules.add(kind.__module__)
        return NotImplemented
