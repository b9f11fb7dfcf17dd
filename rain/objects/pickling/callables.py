"""Reducers for what cloudpickle cannot carry: what functools and typing make of a notebook's functions and classes, and
exceptions whose constructor takes something else than `args`.

`reduced` is asked by our picklers for each object that pickle has no opcode for, so the common answer must come fast: a
look into a table by exact type. What can be imported elsewhere is left alone.

Circles (a cached function that calls itself by its name) are no trouble: pickle finds an object that was finished while
its own arguments were written, and cloudpickle makes functions and classes before it fills them.
"""

from __future__ import annotations

import functools
import sys
import threading
import typing
import weakref
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any

from rain.objects.pickling.importable import tell
from rain.objects.pickling.reduce import reducer as reducer_of

_LruWrapper: Any = type(functools.lru_cache(lambda: None))
_DISPATCHER = functools.singledispatch(lambda _: None).__code__  # type: ignore[attr-defined]
_OF_DISPATCHERS = frozenset({"register", "dispatch", "registry", "_clear_cache"})
_METHOD_CACHE = "_method_cache"
_HAS_LOCK = sys.version_info < (3, 12)
_NAMES = ("__module__", "__name__", "__qualname__", "__doc__")
_NOT_OF_CLASSES = frozenset(
    {"__dict__", "__weakref__", "__annotations__", "__annotate__", "__annotate_func__", "__annotations_cache__"}
)


def reduced(value: Any) -> Any:
    """How `value` is pickled, as of `__reduce__`; NotImplemented for what pickle and cloudpickle can do."""
    kind = type(value)
    reducer = _REDUCERS.get(kind)
    if reducer is not None:
        return reducer(value)
    if issubclass(kind, BaseException):
        return reduced_exception(value)
    if issubclass(kind, type):
        tell(value.__module__)
        if kind.__name__ == "_TypedDictMeta":  # of typing, or of typing_extensions
            return _typed_dict(value)
    known = reducer_of(kind)
    return NotImplemented if known is None else known.guarded(value)


def by_reference(value: Any) -> bool:
    """Whether a pickle only says where `value` can be imported from, as of functions and classes of modules."""
    from cloudpickle import cloudpickle

    tell(getattr(value, "__module__", None))
    found = cloudpickle._lookup_module_and_qualname(value)
    return found is not None and not cloudpickle._is_registered_pickle_by_value(found[0])


def _set(value: Any, state: dict[str, Any]) -> None:
    for name, item in state.items():
        setattr(value, name, item)


def _named(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in _NAMES if hasattr(value, name)}


# -- functools -------------------------------------------------------------------------------------


def _lru_cache(value: Any) -> Any:
    if by_reference(value):
        return NotImplemented
    options = value.cache_parameters()
    state = {**vars(value), **_named(value)}
    state.pop("cache_parameters", None)
    return make_lru_cache, (value.__wrapped__, options["maxsize"], options["typed"]), state, None, None, _set


def make_lru_cache(function: Callable[..., Any], maxsize: int | None, typed: bool) -> Any:
    """The function with a cache, which is empty."""
    return functools.lru_cache(maxsize, typed)(function)


def _cached_property(value: Any) -> Any:
    state = {name: item for name, item in vars(value).items() if name != "lock"}
    return make_cached_property, (type(value),), state


def make_cached_property(kind: type[functools.cached_property[Any]]) -> Any:
    """One that is yet to be told of which function."""
    made = kind.__new__(kind)
    if _HAS_LOCK:
        made.lock = threading.RLock()  # type: ignore[attr-defined]
    return made


def _module(value: ModuleType) -> Any:
    tell(value.__name__)
    return NotImplemented


def _function(value: FunctionType) -> Any:
    tell(value.__module__)
    if value.__code__ is not _DISPATCHER or "registry" not in value.__dict__ or by_reference(value):
        return NotImplemented
    registry: Any = value.__dict__["registry"]
    state = {name: item for name, item in vars(value).items() if name not in _OF_DISPATCHERS}
    state.update(_named(value))
    others = {kind: function for kind, function in registry.items() if kind is not object}
    return make_dispatcher, (registry[object],), (state, others), None, None, _fill_dispatcher


def make_dispatcher(function: Callable[..., Any]) -> Any:
    """A dispatcher that knows only what to do with any object."""
    return functools.singledispatch(function)


def _fill_dispatcher(value: Any, state: tuple[dict[str, Any], dict[type, Any]]) -> None:
    names, others = state
    _set(value, names)
    for kind, function in others.items():
        value.register(kind, function)


def _singledispatchmethod(value: Any) -> Any:
    state = {name: item for name, item in vars(value).items() if name != _METHOD_CACHE}
    return make_singledispatchmethod, (type(value), _METHOD_CACHE in vars(value)), state


def make_singledispatchmethod(kind: Any, caches: bool) -> Any:
    """One that is yet to be told of its functions; `caches`: this Python gives it a cache of bound methods."""
    made = kind.__new__(kind)
    if caches:
        setattr(made, _METHOD_CACHE, weakref.WeakKeyDictionary())
    return made


# -- typing ----------------------------------------------------------------------------------------


def _typed_dict(value: Any) -> Any:
    if by_reference(value):
        return NotImplemented
    known = vars(value)
    body = {name: known[name] for name in ("__module__", "__qualname__", "__orig_bases__") if name in known}
    state = {name: item for name, item in known.items() if name not in _NOT_OF_CLASSES and name not in body}
    try:
        state["__annotations__"] = dict(value.__annotations__)
    except NameError:  # of a name that is still to be defined: kept as text where Python evaluates late
        pass
    return make_typed_dict, (type(value), value.__name__, value.__bases__, body), state, None, None, _set


def make_typed_dict(kind: type, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> Any:
    """A TypedDict without items. Its own metaclass refuses what is not written as a class statement."""
    return type.__new__(kind, name, bases, dict(body))


def _new_type(value: Any) -> Any:
    if by_reference(value):
        return NotImplemented
    return typing.NewType, (value.__name__, value.__supertype__), dict(vars(value))


def _parameter(value: Any) -> Any:
    return NotImplemented if by_reference(value) else (type(value), (value.__name__,))


# -- exceptions ------------------------------------------------------------------------------------


def reduced_exception(error: BaseException) -> Any:
    """As exceptions are pickled, but without a call of a constructor that may want other arguments than `args`."""
    kind = type(error)
    builtin = builtin_base(kind)
    if (
        kind is builtin
        or kind.__reduce__ is not builtin.__reduce__
        or kind.__reduce_ex__ is not builtin.__reduce_ex__
        or (kind.__init__ is builtin.__init__ and kind.__new__ is builtin.__new__)  # `kind(*args)` does
    ):
        return NotImplemented
    parts: Any = error.__reduce__()
    return (make_exception, (kind, parts[1]), *parts[2:]) if parts[0] is kind else NotImplemented


def builtin_base(kind: type[BaseException]) -> Any:
    """The class of the interpreter's that `kind` is made of."""
    return next(base for base in kind.__mro__ if base.__module__ == "builtins")


def make_exception(kind: type[BaseException], arguments: tuple[Any, ...]) -> BaseException:
    """An exception as its builtin base would make it of these arguments."""
    builtin = builtin_base(kind)
    made: BaseException = builtin.__new__(kind, *arguments)
    builtin.__init__(made, *arguments)
    return made


_REDUCERS: dict[type, Callable[[Any], Any]] = {
    _LruWrapper: _lru_cache,
    functools.cached_property: _cached_property,
    functools.singledispatchmethod: _singledispatchmethod,
    FunctionType: _function,
    ModuleType: _module,
    typing.NewType: _new_type,
    typing.ParamSpec: _parameter,
    typing.TypeVarTuple: _parameter,
}
"""exact type -> how it is pickled."""
