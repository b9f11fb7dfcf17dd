"""`remote` and `Remote`: Python functions that run in executors."""

from __future__ import annotations

import functools
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from rain.client.active_session import get_active_session
from rain.client.building.calls import LastTemplate, add_call, add_packed
from rain.client.building.mapped import Mapped, call_all
from rain.client.building.options import NAMES, Options
from rain.client.functions.annotations import evaluated, outputs_of
from rain.client.functions.arguments import pack, plain_pickle
from rain.client.functions.function import Payload, Source
from rain.client.functions.function_snapshot import HoldsFunction
from rain.client.functions.local_call import call
from rain.client.functions.parameters import Parameters
from rain.client.functions.results import Results
from rain.client.functions.returned import check_returned
from rain.client.io_spec import InputBase, OutputBase
from rain.client.many.rows import rows
from rain.client.many.tree import tree
from rain.client.reuse.results import results_for
from rain.client.task import Task
from rain.common.errors import RainException
from rain.objects.content_types.registry import check_content_type

if TYPE_CHECKING:
    from rain.client.session import Session

__all__ = ["Remote", "remote"]


class Remote(HoldsFunction):
    """A Python function whose calls become tasks.

    Parameters
    ----------
    function : callable
        Its first parameter is the `Context`.
    outputs : int, str, Output or sequence of (str or Output), optional
        One output if not given here or as return annotation.
    inputs : dict of str to Input, or sequence of Input labelled with parameters' names
    auto_load : bool
        Whether objects arrive as loaded values instead of `DataInstance`.
    auto_encode : str, optional
        Content type in which returned values are encoded.
    name : str, optional
        Of the tasks; the function's if not given.
    cpus : float
        How many cpus each task takes; 0 and fractions are allowed.
    autoload : bool, optional
        Another name of `auto_load`.
    **options
        Options of every task: see `Task`.

    Raises
    ------
    RainException
        If function or declarations are not what they should be.

    Examples
    --------
    >>> add = Remote(lambda ctx, a, b: a + b, auto_encode="json")
    >>> with client.new_session("sum") as session:
    ...     session.run(add(1, 2))
    3
    """

    def __init__(
        self,
        function: Callable[..., Any],
        outputs: Any = None,
        inputs: Mapping[str, InputBase] | Sequence[InputBase] = (),
        auto_load: bool = False,
        auto_encode: str | None = None,
        name: str | None = None,
        cpus: float = 1,
        *,
        autoload: bool | None = None,
        **options: Any,
    ) -> None:
        if isinstance(function, Remote) or not callable(function):
            raise RainException(f"a remote function is made of a function, not of {function!r}")
        functools.update_wrapper(self, function, updated=())
        self._source = Source(function)
        self._label = getattr(function, "__name__", type(function).__name__)
        annotations = evaluated(function)
        load = bool(auto_load if autoload is None else autoload)
        self._parameters = Parameters(function, self._label, annotations, inputs, load)
        self.__signature__ = self._parameters.signature
        self._auto_encode = check_content_type(auto_encode)
        self._is_new = True
        self._last = LastTemplate()
        declared = outputs if outputs is not None else outputs_of(annotations.get("return"))
        self._results = Results(f"remote function {self._label}", declared, self._auto_encode)
        if "cpus" not in (options.get("resources") or ()) or cpus != 1:
            options["cpus"] = cpus
        self._options = Options({"name": name or self._label, **options}, f"remote function {self._label}", remote)

    @property
    def function(self) -> Callable[..., Any]:
        """The plain function."""
        function: Callable[..., Any] = self._source.function
        return function

    def options(self, **options: Any) -> Remote:
        """The same function with other options.

        Parameters
        ----------
        **options
            Options of every task, and `cpus`, `name`, `session`, `user_spec`.

        Returns
        -------
        Remote

        Raises
        ------
        TypeError
            If there is no such option.

        Examples
        --------
        >>> with client.new_session("options") as session:
        ...     square.options(name="first", cpus=0)(2).name
        'first'
        """
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__)
        other._options = self._options.but(options, f"{self._label}.options()")
        other._last = LastTemplate()
        return other

    # -- calls ----------------------------------------------------------------------------------

    def __call__(self, /, *args: Any, output: Any = None, outputs: Any = None, **kwargs: Any) -> Task:
        """Make a task that calls the function with these arguments.

        Parameters
        ----------
        *args, **kwargs
            The function's; keywords that are no parameters of it may be options.
        output : Output or str, optional
            To be merged with the declared only output.
        outputs : sequence of (Output, str or None), optional
            To be merged with the declared outputs, one by one.

        Returns
        -------
        Task

        Raises
        ------
        TypeError
            If the arguments do not fit the function's signature.
        RainException
            If arguments or outputs cannot be used.
        """
        options = self._options
        if kwargs or output is not None or outputs is not None:
            args, kwargs, output, outputs, options = self._split(args, kwargs, output, outputs)
        elif not self._parameters.fits(len(args)):
            args, kwargs = self._parameters.bound(args, kwargs)
        made, encode = self._results.outputs, self._results.encode
        if output is not None or outputs is not None:
            made, encode = self._results.merged(output, outputs)
        session, payload = self._prepared(options, made, encode)
        data = None if payload.objects else plain_pickle(args, kwargs)
        if data is not None:
            template = self._last.of(session, payload, self._parameters, made, encode, options)
            task: Task = add_call(session, template, data)
            return task
        found = results_for(session, options)
        reuse = None if found is None else found.call(payload, self._parameters, options, args, kwargs)
        config, objects = pack(self._parameters, args, kwargs, session, encode)
        return add_packed(session, payload, config, objects, made, options, reuse=reuse)

    def _prepared(self, options: Options, made: Any, encode: list[str | None]) -> tuple[Session, Payload]:
        """The session of new calls, and the function as it is sent."""
        if self._is_new and not encode:
            check_returned(self.function, self._label, made)
            self._is_new = False
        session = options.session
        if session is None:
            session = get_active_session()
        else:
            session._check_open()
        return session, self._source.payload(session)

    def _split(self, args: Any, kwargs: dict[str, Any], output: Any, outputs: Any) -> tuple[Any, Any, Any, Any, Any]:
        """Tell arguments, options and outputs apart."""
        kwargs, output, outputs, options = self._apart(kwargs, output, outputs)
        args, kwargs = self._parameters.bound(args, kwargs)
        return args, kwargs, output, outputs, options

    def _apart(self, kwargs: dict[str, Any], output: Any, outputs: Any) -> tuple[dict[str, Any], Any, Any, Options]:
        """Keyword arguments, outputs and options of a call."""
        named = self._parameters.named
        if "output" in named:
            if output is not None:
                kwargs["output"] = output
            output = None
        if "outputs" in named:
            if outputs is not None:
                kwargs["outputs"] = outputs
            outputs = None
        chosen = {name: kwargs.pop(name) for name in list(kwargs) if name in NAMES and name not in named}
        return kwargs, output, outputs, self._options.but(chosen, f"{self._label}()")

    def map(self, /, *iterables: Iterable[Any], strict: bool | None = None, **kwargs: Any) -> list[Task]:
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
        ...     session.run(*square.map(range(3)))
        [0, 1, 4]
        """
        if "strict" in self._parameters.named:
            kwargs, strict = (kwargs, None) if strict is None else ({**kwargs, "strict": strict}, None)
        calls = rows(iterables, strict, self._label)
        kwargs, output, outputs, options = self._apart(kwargs, kwargs.pop("output", None), kwargs.pop("outputs", None))
        made, encode = self._results.outputs, self._results.encode
        if output is not None or outputs is not None:
            made, encode = self._results.merged(output, outputs)
        session, payload = self._prepared(options, made, encode)
        mapped = Mapped(session, self._label, self._parameters, encode, made, options, payload, False, False)
        return call_all(mapped, calls, kwargs)

    def reduce(self, items: Iterable[Any], /, width: int = 2, **kwargs: Any) -> Task:
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
            The last one.

        Raises
        ------
        RainException
            If there are fewer than two items, or `width` is less than 2.
        """
        return cast("Task", tree(partial(self, **kwargs), items, width, self._label))

    def local(self, /, *args: Any, **kwargs: Any) -> Any:
        """Call the plain function here, with a context of its own, for trying and debugging.

        Data objects among the arguments are fetched (constants are just taken). Results are not encoded.

        Parameters
        ----------
        *args, **kwargs
            The function's, without the context.

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
        >>> square.local(3)
        9
        """
        parameters = self._parameters
        bound_args, bound_kwargs = parameters.bound(args, kwargs)
        named = parameters.with_names(bound_args, bound_kwargs)
        loads = [(parameters.is_loaded(name), parameters.is_writable(name)) for name, _ in named]
        return call(self.function, self._label, bound_args, bound_kwargs, loads)

    def __repr__(self) -> str:
        return f"<Remote {self._source.name}{self.__signature__}>"

    def __reduce__(self) -> Any:
        declared = (self._results.declared, self._parameters.inputs, self._parameters.auto_load, self._auto_encode)
        given = {name: value for name, value in self._options.given.items() if name != "session"}
        return _restored, (self._source.bare(), *declared, given)


@typing.overload
def remote(
    outputs: Callable[..., Any],
    inputs: Mapping[str, InputBase] | Sequence[InputBase] = (),
    auto_load: bool = False,
    auto_encode: str | None = None,
    name: str | None = None,
    cpus: float = 1,
    **options: Any,
) -> Remote: ...
@typing.overload
def remote(
    outputs: int | str | OutputBase | Iterable[str | OutputBase] | None = None,
    inputs: Mapping[str, InputBase] | Sequence[InputBase] = (),
    auto_load: bool = False,
    auto_encode: str | None = None,
    name: str | None = None,
    cpus: float = 1,
    **options: Any,
) -> Callable[[Callable[..., Any]], Remote]: ...
def remote(
    outputs: Any = None,
    inputs: Mapping[str, InputBase] | Sequence[InputBase] = (),
    auto_load: bool = False,
    auto_encode: str | None = None,
    name: str | None = None,
    cpus: float = 1,
    **options: Any,
) -> Any:
    """Decorator that makes a function a `Remote`, whose calls become tasks. Also works bare, and as
    ``remote(function, cpus=2)``.

    Parameters
    ----------
    outputs : int, str, Output or sequence of (str or Output), optional
        One output if not given here or as return annotation.
    inputs : dict of str to Input, or sequence of Input labelled with parameters' names
    auto_load : bool
        Whether objects arrive as loaded values instead of `DataInstance`.
    auto_encode : str, optional
        Content type in which returned values are encoded.
    name : str, optional
        Of the tasks; the function's if not given.
    cpus : float
        How many cpus each task takes; 0 and fractions are allowed.
    **options
        Options of every task: see `Task`.

    Returns
    -------
    Remote, or callable
        The decorator, if it was called with options.

    Raises
    ------
    RainException
        If function or declarations are not what they should be.

    Examples
    --------
    >>> @remote(auto_load=True, auto_encode="json")
    ... def total(ctx, *parts):
    ...     return sum(map(sum, parts))
    >>> with client.new_session("total") as session:
    ...     session.run(total(pickled([1, 2]), pickled([3])))
    6
    """
    if callable(outputs) and not isinstance(outputs, OutputBase | type):
        return Remote(outputs, None, inputs, auto_load, auto_encode, name, cpus, **options)

    def decorate(function: Callable[..., Any]) -> Remote:
        return Remote(function, outputs, inputs, auto_load, auto_encode, name, cpus, **options)

    return decorate


def _restored(
    function: Any, outputs: Any, inputs: Any, auto_load: bool, auto_encode: str | None, given: dict[str, Any]
) -> Remote:
    return Remote(function, outputs, inputs, auto_load, auto_encode, **given)
