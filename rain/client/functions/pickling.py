"""Pickling of arguments and functions, and of the data objects inside them.

Theory of operation
-------------------
A handle that is pickled reports itself to the collector that is open at the time and is written as a call of
`rain.objects.pickling.placeholders.placeholder`; an executor's unpickler finds the data instead. Outside of a collector
handles cannot be pickled: they would be of no use in another process.

Most arguments are a few plain values, for which the standard `pickle` suffices: `is_plain` tells.

Code that is pickled by value keeps the name of its file, which cloudpickle leaves out: tracebacks need it to show
lines. `code_files` gives these files, so that their source can be sent too.
"""

from __future__ import annotations

import io
import pickle
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from types import CodeType, FunctionType, GeneratorType, ModuleType
from typing import TYPE_CHECKING, Any

from rain.client.functions.annotations import settling
from rain.client.functions.function_snapshot import global_names
from rain.client.functions.modules import imported_by
from rain.client.handles import record_of
from rain.common.errors import RainException
from rain.objects.pickling.callables import reduced
from rain.objects.pickling.placeholders import placeholder

if TYPE_CHECKING:
    from rain.client.data import DataObject

PLAIN = frozenset({int, float, str, bytes, bool, type(None), complex})
RUN_AT_CALL = frozenset({GeneratorType, map, filter, zip})
"""Types of lazy values, which are run in the process that made them."""
_ITEMS_MAX = 64
_DEPTH_MAX = 4
_DEPTH_LOOKED = 8
_CULPRITS_MAX = 10

_open = threading.local()


def placeholder_of(session_id: int, number: int) -> tuple[Callable[..., Any], tuple[int, int]]:
    """The call that is written for a data object in a pickle."""
    return placeholder, (session_id, number)


def collect(obj: DataObject) -> Any:
    """Called by a handle that is being pickled.

    Raises
    ------
    RainException
        If no collector is open in this thread.
    """
    found = getattr(_open, "found", None)
    if found is None:
        raise RainException(
            f"{obj!r} cannot be pickled: it is a promise of this client. Give it to a remote function as an argument, "
            "or fetch() it and use the data"
        )
    found.setdefault(obj, None)
    return placeholder_of(*record_of(obj).spec.id)


def open_collector(found: dict[DataObject, Any]) -> Any:
    """Let handles be pickled in this thread, and be added to `found`; gives what `close_collector` needs."""
    outer = getattr(_open, "found", None)
    if outer is None:
        _open.runs = {}
        _open.codes = []
        _open.modules = {}
    _open.found = found
    return outer


def close_collector(outer: Any) -> None:
    """Undo `open_collector`."""
    _open.found = outer
    if outer is None:
        _open.runs = _open.codes = _open.modules = None


@contextmanager
def collecting() -> Iterator[dict[DataObject, None]]:
    """While this is open in this thread, handles can be pickled; they are added to the dict, in order."""
    found: dict[DataObject, None] = {}
    outer = open_collector(found)
    try:
        yield found
    finally:
        close_collector(outer)


def _run(generator: Iterator[Any]) -> list[Any]:
    """What `generator` yields; it is run once, however often it is pickled while a collector is open."""
    runs = getattr(_open, "runs", None)
    if runs is None:
        return list(generator)
    if id(generator) not in runs:
        runs[id(generator)] = (generator, list(generator))
    items: list[Any] = runs[id(generator)][1]
    return items


def generators_ran() -> bool:
    """Whether a generator was run, and so used up, since the outermost collector of this thread was opened."""
    return bool(getattr(_open, "runs", None))


def code_files() -> list[str]:
    """Files of the code that was pickled by value since the outermost collector of this thread was opened."""
    return list(dict.fromkeys(code.co_filename for code in getattr(_open, "codes", None) or ()))


def module_names() -> set[str]:
    """Modules that the pickles made since then name: those of functions and classes, and those that code pickled by
    value imports."""
    names = set(getattr(_open, "modules", None) or ())
    for code in getattr(_open, "codes", None) or ():
        names |= imported_by(code, "")
    return names


def is_plain(value: Any, depth: int = 0) -> bool:
    """Whether `value` is of a simple builtin type, or a small container of such values: `pickle` suffices for these."""
    kind = type(value)
    if kind in PLAIN:
        return True
    if depth >= _DEPTH_MAX:
        return False
    if kind is tuple or kind is list or kind is set or kind is frozenset:
        if len(value) > _ITEMS_MAX:
            return False
        return all(is_plain(item, depth + 1) for item in value)
    if kind is dict:
        if len(value) > _ITEMS_MAX:
            return False
        return all(is_plain(key, depth + 1) and is_plain(item, depth + 1) for key, item in value.items())
    return False


_pickler: Any = None


def _pickler_class() -> Any:
    """A pickler class made of cloudpickle's, which also runs generators and keeps names of files; made when first
    needed."""
    global _pickler
    if _pickler is None:
        import cloudpickle

        reduced_code = cloudpickle.Pickler.dispatch_table[CodeType]

        class Pickler(settling(cloudpickle.Pickler)):  # type: ignore[misc]
            instead: Callable[[Any], Any] | None = None

            def reducer_override(self, obj: Any) -> Any:
                if self.instead is not None and (other := self.instead(obj)) is not NotImplemented:
                    return other
                kind = type(obj)
                if kind in RUN_AT_CALL:
                    return iter, (_run(obj),)
                if kind is CodeType:
                    return _with_file(obj, reduced_code(obj))
                if kind is FunctionType or kind is ModuleType or issubclass(kind, type):
                    _note(obj.__name__ if kind is ModuleType else obj.__module__)
                found = reduced(obj)
                return found if found is not NotImplemented else super().reducer_override(obj)

        _pickler = Pickler
    return _pickler


def _note(module: Any) -> None:
    modules = getattr(_open, "modules", None)
    if modules is not None and isinstance(module, str):
        modules[module] = None


def _with_file(code: CodeType, reduced: tuple[Any, tuple[Any, ...]]) -> tuple[Any, tuple[Any, ...]]:
    """`code` as cloudpickle reduced it, with the name of its file: that is the first text among the parts."""
    make, parts = reduced
    codes = getattr(_open, "codes", None)
    if codes is not None:
        codes.append(code)
    place = next(index for index, part in enumerate(parts) if isinstance(part, str))
    # A text of its own: pickles must not depend on which texts happen to be the same object.
    return make, (*parts[:place], "".join(code.co_filename), *parts[place + 1 :])


def dumps(value: Any, instead: Callable[[Any], Any] | None = None, aside: Callable[[Any], Any] | None = None) -> bytes:
    """`value` pickled by cloudpickle; generators are run and become iterators.

    `instead` is asked first how an object is to be pickled, and gives what ``__reduce__`` would, or NotImplemented; it
    is not asked of objects of builtin types. `aside` is asked of all, as ``persistent_id`` of a pickler.
    """
    file = io.BytesIO()
    pickler = _pickler_class()(file, protocol=pickle.HIGHEST_PROTOCOL)
    pickler.instead = instead
    if aside is not None:
        pickler.persistent_id = aside
    pickler.dump(value)
    return file.getvalue()


def scan(value: Any) -> dict[DataObject, None]:
    """The data objects inside `value`, in order."""
    with collecting() as found:
        dumps(value)
    return found


def why_not(value: Any, name: str, error: BaseException) -> str:
    """A text that says which part of `value` cannot be pickled, as a path like ``x['model'].lock``, and why."""
    path, culprit = next(_culprits(value, name, set(), 0, False))
    return _cannot(path, culprit, error)


def why_nots(value: Any, name: str) -> list[str]:
    """What `why_not` says, of each part of `value` that cannot be pickled; no generator is run for it."""
    error = _failure(value, set(), True)
    if error is None:
        return []
    found = []
    for path, culprit in islice(_culprits(value, name, set(), 0, True), _CULPRITS_MAX):
        found.append(_cannot(path, culprit, _failure(culprit, set(), True) or error))
    return found


def _cannot(path: str, culprit: Any, error: BaseException) -> str:
    text = str(error) if not isinstance(error, RecursionError) else "it is nested too deeply"
    return f"{path} (of type {type(culprit).__name__}) cannot be pickled: {text}"


def _failure(value: Any, beside: set[int], idle: bool) -> BaseException | None:
    """Why `value` cannot be pickled, even if the objects with the ids `beside`, which refer to it, are left out. With
    `idle` generators are not run."""

    class Pickler(_pickler_class()):  # type: ignore[misc]
        def persistent_id(self, obj: Any) -> Any:
            return "seen" if id(obj) in beside else None

    try:
        with collecting():
            pickler = Pickler(io.BytesIO(), protocol=pickle.HIGHEST_PROTOCOL)
            pickler.instead = without_running if idle else None
            pickler.dump(value)
    except (Exception, SystemExit, GeneratorExit) as error:
        return error
    return None


def without_running(value: Any) -> Any:
    """What is pickled in the place of `value` where no generator is to be run; see `dumps`."""
    return (iter, ([],)) if type(value) in RUN_AT_CALL else NotImplemented


def _parts(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    within = f"{name}, at " if name.endswith(" uses") else name
    if isinstance(value, dict):
        for key, item in list(value.items())[:1000]:
            yield f"{within}[{key!r}]", item
    elif isinstance(value, list | tuple | set | frozenset):
        for index, item in enumerate(list(value)[:1000]):
            yield f"{within}[{index}]", item
    elif callable(value) and hasattr(value, "__code__"):
        yield from function_parts(value, name)
    else:
        for key, item in list(getattr(value, "__dict__", {}).items())[:1000]:
            yield f"{within}.{key}", item


def function_parts(function: Any, name: str) -> Iterator[tuple[str, Any]]:
    """What is pickled with a function: closure variables, globals, defaults."""
    code = function.__code__
    for variable, cell in zip(code.co_freevars, function.__closure__ or (), strict=False):
        try:
            yield f"variable {variable!r} that {name} uses", cell.cell_contents
        except ValueError:
            continue
    for variable in sorted(global_names(code)):
        if variable in function.__globals__:
            yield f"global {variable!r} that {name} uses", function.__globals__[variable]
    for number, default in enumerate(function.__defaults__ or ()):
        yield f"default {number} of {name}", default
    for variable, default in (function.__kwdefaults__ or {}).items():
        yield f"default of {variable!r} of {name}", default


def _culprits(value: Any, name: str, seen: set[int], depth: int, idle: bool) -> Iterator[tuple[str, Any]]:
    """The innermost parts of `value` that cannot be pickled by themselves; of several names of one the first."""
    inside = False
    if depth < _DEPTH_LOOKED:
        seen.add(id(value))
        for path, part in _parts(value, name):
            if id(part) not in seen and _failure(part, seen, idle) is not None:
                inside = True
                yield from _culprits(part, path, seen, depth + 1, idle)
    if not inside:
        yield name, value
