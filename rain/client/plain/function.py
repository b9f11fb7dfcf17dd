"""`PlainFunction` and `task`: functions without a context, whose calls become tasks."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast, overload

from rain.client.active_session import get_active_session
from rain.client.building.calls import LastTemplate, add_call, add_packed
from rain.client.building.mapped import Mapped, call_all
from rain.client.building.options import NAMES, Options
from rain.client.functions.annotations import evaluated
from rain.client.functions.arguments import pack, plain_pickle
from rain.client.functions.function import Source
from rain.client.functions.function_snapshot import HoldsFunction
from rain.client.functions.local_call import call
from rain.client.functions.parameters import Parameters
from rain.client.functions.results import Results
from rain.client.io_spec import Output
from rain.client.many.rows import rows
from rain.client.many.tree import tree
from rain.client.plain.callables import Called, taken_apart
from rain.client.reuse.results import results_for
from rain.client.task import Task
from rain.common.errors import RainException
from rain.objects.content_types.registry import check_content_type

if TYPE_CHECKING:
    from rain.client.session import Session

__all__ = ["PlainFunction", "task"]

P = ParamSpec("P")
R = TypeVar("R")
RESULT = "result"
"""The label of the only output."""


class PlainFunction(HoldsFunction, Generic[P, R]):
    """A function that knows nothing of Rain; its calls become tasks. `rain.task` makes it.

    Parameters
    ----------
    function : callable
        A function (also ``async``, or a generator), method, lambda, partial, class, or an instance that can be called.
    encode : str, optional
        Content type of its results. If not given text and bytes are stored as they are, and all else is pickled.
    **options
        Options of every task: see `Task`.

    Raises
    ------
    RainException
        If it cannot be called.
    TypeError
        If there is no such option.

    Examples
    --------
    >>> power = PlainFunction(pow, cpus=0.5)
    >>> with client.new_session("power"):
    ...     power(2, 5).result()
    32
    """

    def __init__(self, function: Callable[P, R], encode: str | None = None, **options: Any) -> None:
        if isinstance(function, HoldsFunction):
            raise RainException(f"{function!r} makes tasks already: call it, or take its plain function")
        if not callable(function):
            raise RainException(f"a plain function is made of a function, not of {function!r}")
        functools.update_wrapper(cast("Any", self), function, updated=())
        called = taken_apart(function)
        self._called = called
        self._encode = check_content_type(encode)
        self._source = Source(called.function)
        self._last = LastTemplate()
        self._parameters = Parameters(called.function, called.name, evaluated(called.function), (), True, False)
        self._results = Results(f"function {called.name}", Output(RESULT), self._encode)
        self._options = Options({"name": called.name, **options}, f"function {called.name}", task)

    @property
    def function(self) -> Callable[..., Any]:
        """The function itself."""
        function: Callable[..., Any] = self._source.function
        return function

    def options(self, **options: Any) -> PlainFunction[P, R]:
        """The same function with other options.

        Parameters
        ----------
        **options
            Options of every task: `name`, `cpus`, `session`, `resources`, `timeout`, `retries`, ….

        Returns
        -------
        PlainFunction

        Raises
        ------
        TypeError
            If there is no such option.

        Examples
        --------
        >>> with client.new_session("options"):
        ...     task(pow).options(name="first", cpus=0)(2, 3).name
        'first'
        """
        return self._changed(_options=self._options.but(options, f"{self._called.name}.options()"))

    def _changed(self, **attributes: Any) -> PlainFunction[P, R]:
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__)
        other.__dict__.update(attributes)
        other._last = LastTemplate()
        return other

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """As a method: with the instance before its arguments."""
        if instance is None:
            return self
        called = self._called
        return self._changed(_called=called._replace(args=(instance, *called.args)))

    # -- calls ----------------------------------------------------------------------------------

    # A task or object may stand for any value, also inside of lists: so type checkers get what is returned, and show
    # the parameters, but refuse no argument.
    @overload
    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> Task[R]: ...
    @overload
    def __call__(self, /, *args: Any, **kwargs: Any) -> Task[R]: ...
    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Make a task that calls the function with these arguments; inside of a task, call it.

        Parameters
        ----------
        *args, **kwargs
            All are the function's. Tasks and data objects in them arrive as loaded values; options are given by
            `options`.

        Returns
        -------
        Task
            With one output, which is kept as long as there is a handle of the task or the output. `Task.result` gives
            the value.

        Raises
        ------
        TypeError
            If the arguments do not fit the function's signature.
        RainException
            If arguments cannot be used, or no session is active.
        """
        if _in_task():
            called = self._called
            return called.function(*called.args, *args, **{**called.kwargs, **kwargs})
        return self._task(self._options.session or get_active_session(), args, kwargs)

    def _task(self, session: Session, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Task[R]:
        """The task of a call in `session`."""
        called, parameters = self._called, self._parameters
        if called.args:
            args = (*called.args, *args)
        if called.kwargs:
            kwargs = {**called.kwargs, **kwargs}
        if kwargs or not parameters.fits(len(args)):
            try:
                args, kwargs = parameters.bound(args, kwargs)
            except TypeError as error:
                raise _with_cure(error, called, kwargs) from None
        session._check_open()
        payload, results = self._source.payload(session), self._results
        data = None if payload.objects else plain_pickle(args, kwargs)
        if data is not None:
            template = self._last.of(session, payload, parameters, results.outputs, results.encode, self._options, True)
            return cast("Task[R]", add_call(session, template, data, kept=True))
        found = results_for(session, self._options)
        reuse = None if found is None else found.call(payload, parameters, self._options, args, kwargs)
        config, objects = pack(parameters, args, kwargs, session, results.encode)
        config.plain = True
        return add_packed(session, payload, config, objects, results.outputs, self._options, kept=True, reuse=reuse)

    def map(self, /, *iterables: Iterable[Any], strict: bool | None = None, **kwargs: Any) -> list[Task[R]]:
        """A task for each item (or for the first items of several iterables, the second ones, and so on).

        Parameters
        ----------
        *iterables
            One for each positional argument; the shortest says how many tasks are made.
        strict : bool, optional
            True: lengths that differ are an error; False: they are meant. If not given, those that are known warn.
            A function with a parameter of this name gets it.
        **kwargs
            The same for each call.

        Returns
        -------
        list of Task

        Raises
        ------
        TypeError
            If no iterable is given, or arguments do not fit the function's signature.
        RainException
            If arguments cannot be used; the text says of which item. Then no task is made.

        Examples
        --------
        >>> with client.new_session("squares") as session:
        ...     session.run(*task(pow).map(range(3), [2, 2, 2]))
        [0, 1, 4]
        """
        if "strict" in self._parameters.named:
            kwargs, strict = (kwargs, None) if strict is None else ({**kwargs, "strict": strict}, None)
        called, results = self._called, self._results
        calls = rows(iterables, strict, called.name)
        if _in_task():
            return cast("list[Task[R]]", [self(*args, **kwargs) for args in calls])
        if called.args:
            calls = [(*called.args, *args) for args in calls]
        kwargs = {**called.kwargs, **kwargs}
        session = self._options.session or get_active_session()
        session._check_open()
        mapped = Mapped(
            session, called.name, self._parameters, results.encode, results.outputs, self._options,
            self._source.payload(session), True, True,
        )  # fmt: skip
        try:
            return call_all(mapped, calls, kwargs)
        except TypeError as error:
            raise _with_cure(error, called, kwargs) from None

    def reduce(self, items: Iterable[Any], /, width: int = 2, **kwargs: Any) -> Task[R]:
        """Combine many items to one by a tree of tasks: each combines neighbours, so the order stays.

        Parameters
        ----------
        items : iterable of (Task, DataObject or any)
            At least two.
        width : int
            How many items a task gets at most, as positional arguments.
        **kwargs
            The same for each call.

        Returns
        -------
        Task
            The last one. What the others make goes as soon as it is used.

        Raises
        ------
        RainException
            If there are fewer than two items, or `width` is less than 2.

        Examples
        --------
        >>> with client.new_session("joined"):
        ...     task(lambda *parts: "".join(parts)).reduce("abcdefgh", width=3).result()
        'abcdefgh'
        """
        root: Task[R] = tree(functools.partial(self, **kwargs), items, width, self._called.name)
        return root

    def local(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function here, with a context of its own for `current_task`, for trying and debugging.

        Data objects among the arguments are fetched (constants are just taken). Results are not encoded.

        Parameters
        ----------
        *args, **kwargs
            The function's.

        Returns
        -------
        any
            What the function returns.

        Raises
        ------
        TypeError
            If the arguments do not fit the function's signature.
        RainException
            If a data object among them is not kept, or not finished.

        Examples
        --------
        >>> task(pow).local(2, 3)
        8
        """
        called, parameters = self._called, self._parameters
        given, named = parameters.bound((*called.args, *args), {**called.kwargs, **kwargs})
        loads = [
            (parameters.is_loaded(name), parameters.is_writable(name))
            for name, _ in parameters.with_names(given, named)
        ]
        found: R = call(self.function, called.name, given, named, loads, plain=True)
        return found

    def __repr__(self) -> str:
        return f"<PlainFunction {self._source.name}{self._parameters.signature}>"

    def __reduce__(self) -> Any:
        given = {name: value for name, value in self._options.given.items() if name != "session"}
        return _restored, (self._source.bare(), self._called.args, self._called.kwargs, self._encode, given)


def _restored(
    function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], encode: str | None, given: dict[str, Any]
) -> PlainFunction[..., Any]:
    """What is left of a `PlainFunction` where it was pickled into."""
    target = functools.partial(function, *args, **kwargs) if args or kwargs else function
    return PlainFunction(target, encode, **given)


def _in_task() -> bool:
    """Whether this process is an executor that runs a task: it can make none, so that a call is a call."""
    return bool(getattr(sys.modules.get("rain.executor.loop"), "serving", False))  # not imported: clients have none


def _with_cure(error: TypeError, called: Called, kwargs: dict[str, Any]) -> TypeError:
    """The error of arguments that do not fit; where options of tasks are among them it says how these are given."""
    options = [name for name in kwargs if name in NAMES]
    if not options:
        return error
    listed = ", ".join(f"{name}={kwargs[name]!r}" for name in options)
    return TypeError(f"{error}; options of the task are given as {called.name}.options({listed})(…)")


@overload
def task(function: Callable[P, R], /, *, encode: str | None = None, **options: Any) -> PlainFunction[P, R]: ...
@overload
def task(*, encode: str | None = None, **options: Any) -> Callable[[Callable[P, R]], PlainFunction[P, R]]: ...
def task(function: Any = None, /, *, encode: str | None = None, **options: Any) -> Any:
    """Decorator that makes calls of a function tasks. Also works bare, and as ``task(function, cpus=2)``.

    The function is as it would be without Rain: it gets values and returns a value. Tasks and data objects among its
    arguments arrive as what they load to; what it returns is stored as any value that can be pickled. An ``async def``
    is run to its end, and a generator to the list of what it yields. `current_task` inside gives the context.

    Parameters
    ----------
    function : callable
        A function, method, lambda, partial, class, or an instance that can be called.
    encode : str, optional
        Content type of its results. If not given text and bytes are stored as they are, and all else is pickled.
    **options
        Options of every task: `name`, `cpus`, `resources`, `timeout` (s), `retries`, …: see `Task`.

    Returns
    -------
    PlainFunction, or callable
        The decorator, if it was called with options.

    Raises
    ------
    RainException
        If it cannot be called.
    TypeError
        If there is no such option.

    Examples
    --------
    >>> @task
    ... def add(a, b):
    ...     return a + b
    >>> with client.new_session("sum"):
    ...     add(add(1, 2), 3).result()
    6
    """
    if function is None:
        return lambda function: PlainFunction(function, encode, **options)
    return PlainFunction(function, encode, **options)
