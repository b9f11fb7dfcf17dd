"""Public methods that wait, written once: the one that blocks and its awaitable twin `…_async`.

Theory of operation
-------------------
A method that waits is written as the *operation* that it carries out (see `rain.client.operations.operation`)::

    @blocking
    def wait(self, items: Item, timeout: float | None = None) -> Operation[None]:
        \"\"\"Wait until `items` are finished.\"\"\"
        return self._checked(session_operations.wait(self, items))

    wait_async = awaitable(wait)

Both names are then plain functions with the parameters, the docstring and the source of the method as written, and
with the operation's result as theirs: for `help`, `inspect`, subclasses, and for type checkers, which see `Blocking`
and `Awaitable`. One of the parameters is `timeout`, the seconds in all; the drivers use it, the body need not.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, cast, overload

from rain.client.operations.operation import Operation, block, perform
from rain.common.suggestions.keywords import suggesting

S = TypeVar("S")
P = ParamSpec("P")
T = TypeVar("T")

_OPERATION = re.compile(r"Operation\[(.*)\]", re.DOTALL)


def _ended() -> Operation[None]:
    return
    yield


DONE = _ended()
"""The operation that has nothing to wait for: a generator that has ended, and so can be carried out any number of
times."""
next(DONE, None)


class Blocking(Generic[S, P, T]):
    """What type checkers see of a method made by `blocking`."""

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> Callable[Concatenate[S, P], T]: ...
    @overload
    def __get__(self, instance: S, owner: type[Any]) -> Callable[P, T]: ...
    def __get__(self, instance: Any, owner: Any) -> Any:
        raise NotImplementedError  # a function stands in its place


class Awaitable(Generic[S, P, T]):
    """What type checkers see of a method made by `awaitable`."""

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> Callable[Concatenate[S, P], Coroutine[Any, Any, T]]: ...
    @overload
    def __get__(self, instance: S, owner: type[Any]) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, instance: Any, owner: Any) -> Any:
        raise NotImplementedError  # a function stands in its place


def blocking(method: Callable[Concatenate[S, P], Operation[T]]) -> Blocking[S, P, T]:
    """The method that carries out the operation of `method` in the calling thread.

    Parameters
    ----------
    method : function
        Gets what the call gets, and returns an operation. `timeout` is one of its parameters.
    """
    time_limit, begun = _time_limit(method), suggesting(method)

    def blocks(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        operation = begun(self, *args, **kwargs)
        return None if operation is DONE else block(operation, time_limit(args, kwargs))

    return cast("Blocking[S, P, T]", _presented(blocks, method, ""))


def awaitable(twin: Blocking[S, P, T], *, begin_at_call: bool = False) -> Awaitable[S, P, T]:
    """The twin of a method made by `blocking`, which waits in the running asyncio loop.

    Parameters
    ----------
    twin : function
        Made by `blocking`.
    begin_at_call : bool
        Whether the method's body (not yet its operation) runs when the twin is called, instead of when it is awaited:
        for a body whose notes must be made before other operations that are awaited with this one begin.
    """
    method: Callable[..., Operation[Any]] = twin.__wrapped__  # type: ignore[attr-defined]
    time_limit, begun = _time_limit(method), suggesting(method)

    def begins(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        return perform(begun(self, *args, **kwargs), time_limit(args, kwargs))

    async def waits(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        return await perform(begun(self, *args, **kwargs), time_limit(args, kwargs))

    return cast("Awaitable[S, P, T]", _presented(begins if begin_at_call else waits, method, "_async"))


def operation_of(method: Callable[P, T]) -> Callable[P, Operation[T]]:
    """The operation of a bound method made by `blocking`, as a part of another operation."""
    operation: Callable[P, Operation[T]] = method.__wrapped__.__get__(method.__self__)  # type: ignore[attr-defined]
    return operation


def _time_limit(method: Callable[..., Any]) -> Callable[[tuple[Any, ...], dict[str, Any]], Any]:
    """A function that finds the argument for `timeout` among the arguments of a call of `method`, without `self`."""
    parameters = list(inspect.signature(method).parameters.values())
    timeout = next(parameter for parameter in parameters if parameter.name == "timeout")
    if timeout.kind is inspect.Parameter.KEYWORD_ONLY:
        return lambda args, kwargs: kwargs.get("timeout")
    index = parameters.index(timeout) - 1
    return lambda args, kwargs: args[index] if len(args) > index else kwargs.get("timeout")


def _presented(driver: Any, method: Callable[..., Any], suffix: str) -> Any:
    """`driver` with the name, docstring and signature of `method`, and the result of its operation."""
    functools.update_wrapper(driver, method)
    driver.__name__ += suffix
    driver.__qualname__ += suffix
    driver.__code__ = driver.__code__.replace(co_name=driver.__name__, co_qualname=driver.__qualname__)  # in tracebacks
    result = _OPERATION.sub(r"\1", method.__annotations__["return"])
    driver.__annotations__ = {**method.__annotations__, "return": result}
    driver.__signature__ = inspect.signature(method).replace(return_annotation=result)
    return driver
