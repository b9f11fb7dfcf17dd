"""`remote` and `Remote`: Python functions that run in executors."""

from __future__ import annotations

import functools
import inspect
import pickle
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rain.client.active_session import get_active_session
from rain.client.building.given import check_labels
from rain.client.building.options import NAMES, Options
from rain.client.data import DataObject, make_constant, value_of
from rain.client.functions.annotations import annotations_of, signature_of
from rain.client.functions.call_sites import warn
from rain.client.functions.function import Source, function_constant, has_other_hosts, sources_of
from rain.client.functions.function_snapshot import HoldsFunction
from rain.client.functions.local_call import call
from rain.client.functions.pickling import (
    PLAIN,
    RUN_AT_CALL,
    close_collector,
    code_files,
    collecting,
    dumps,
    is_plain,
    module_names,
    open_collector,
    scan,
    why_not,
)
from rain.client.handles import as_object, inside, record_of
from rain.client.io_spec import InputBase, Output, OutputBase, as_output, merge_outputs
from rain.client.operations.constant_values import encoded
from rain.client.task import Task
from rain.common.errors import RainException
from rain.common.jupyter.tracebacks import shorten
from rain.common.limits import FRAME_BYTES_MAX, PICKLED_ARGUMENT_WARN_BYTES
from rain.common.states import DataType
from rain.common.task_configs import PYTHON, PyConfig, SourceText
from rain.objects.content_types.registry import check_content_type, merge_content_types

if TYPE_CHECKING:
    from rain.client.session import Session

__all__ = ["Remote", "remote"]

_PROTOCOL = pickle.HIGHEST_PROTOCOL
_LARGE = PICKLED_ARGUMENT_WARN_BYTES
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


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
        self._read_signature(function)
        self._auto_load = bool(auto_load if autoload is None else autoload)
        self._auto_encode = check_content_type(auto_encode)
        self._inputs = self._declared_inputs(inputs)
        annotated = self._annotations.get("return")
        self._prototypes = self._declared_outputs(outputs if outputs is not None else _outputs_of(annotated))
        self._outputs, self._encode = self._finished(self._prototypes)
        if "cpus" not in (options.get("resources") or ()) or cpus != 1:
            options["cpus"] = cpus
        self._options = Options({"name": name or self._label, **options}, f"remote function {self._label}")

    @property
    def function(self) -> Callable[..., Any]:
        """The plain function."""
        function: Callable[..., Any] = self._source.function
        return function

    # -- what was declared ----------------------------------------------------------------------

    def _read_signature(self, function: Any) -> None:
        try:
            signature = signature_of(function)
        except (TypeError, ValueError) as error:
            raise RainException(f"the signature of {function!r} cannot be read: {error}") from None
        parameters = list(signature.parameters.values())
        if not parameters or parameters[0].kind not in (*_POSITIONAL, inspect.Parameter.VAR_POSITIONAL):
            raise RainException(
                f"the first parameter of remote function {self._label} must be the context: def {self._label}(ctx, ...)"
            )
        self._signature = signature
        if parameters[0].kind in _POSITIONAL:
            parameters = parameters[1:]
        self.__signature__ = signature.replace(parameters=parameters)
        self._names = [parameter.name for parameter in parameters]
        self._named = frozenset(p.name for p in parameters if p.kind not in _VARIADIC)
        self._var_positional = next((p.name for p in parameters if p.kind is inspect.Parameter.VAR_POSITIONAL), None)
        self._var_keyword = next((p.name for p in parameters if p.kind is inspect.Parameter.VAR_KEYWORD), None)
        self._fixed = sum(parameter.kind in _POSITIONAL for parameter in parameters)
        # Calls with so many positional arguments need no `bind`.
        plain = all(parameter.kind in _POSITIONAL for parameter in parameters)
        required = sum(parameter.default is inspect.Parameter.empty for parameter in parameters)
        self._count_min, self._count_max = (required, len(parameters)) if plain else (1, 0)
        self._annotations = _annotations(function)

    def _declared_inputs(self, inputs: Any) -> dict[str, InputBase]:
        declared = {}
        for name in self._names:
            found = _from_annotation(self._annotations.get(name), InputBase)
            if found is not None:
                declared[name] = found
        if isinstance(inputs, Mapping):
            given = dict(inputs)
        else:
            given = {}
            for item in (inputs,) if isinstance(inputs, InputBase) else inputs:
                if not isinstance(item, InputBase) or item.label is None:
                    raise RainException(
                        f"remote function {self._label}: inputs= is a dict of parameter names and Inputs, not {item!r}"
                    )
                given[item.label] = item
        for name, item in given.items():
            if name not in self._names and self._var_keyword is None:
                raise RainException(f"remote function {self._label} has no parameter {name!r}, but inputs= names it")
            if isinstance(item, type) and issubclass(item, InputBase):
                item = item()
            if not isinstance(item, InputBase):
                raise RainException(f"remote function {self._label}: inputs[{name!r}] is an Input, not {item!r}")
            declared[name] = item
        return declared

    def _declared_outputs(self, outputs: Any) -> list[OutputBase]:
        owner = f"remote function {self._label}"
        if outputs is None:
            outputs = 1
        if isinstance(outputs, bool):
            raise RainException(f"{owner}: outputs are a number, labels or Outputs, not {outputs}")
        if isinstance(outputs, int):
            if outputs < 0:
                raise RainException(f"{owner}: the number of outputs cannot be {outputs}")
            outputs = [None] * outputs
        elif isinstance(outputs, str | OutputBase) or not isinstance(outputs, Iterable):
            outputs = [outputs]
        made = []
        for index, item in enumerate(outputs):
            output = as_output(item, owner)
            made.append(output.merge(f"out{index}") if output.label is None else output)
        check_labels([output.label for output in made], f"outputs of {owner}")
        return made

    def _finished(self, prototypes: list[OutputBase]) -> tuple[list[OutputBase], list[str | None]]:
        """Outputs with `auto_encode` applied where they say nothing else, and how each is encoded."""
        made, encode = [], []
        for output in prototypes:
            if self._auto_encode is not None and output.encode is None and output.data_type is DataType.BLOB:
                try:
                    merge_content_types(output.content_type, self._auto_encode)
                except RainException:
                    pass  # it has a type of its own, which the function itself writes
                else:
                    output = output.merge(Output(encode=self._auto_encode))
            made.append(output)
            encode.append(output.encode)
        return made, encode if any(encode) else []

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
        elif not self._count_min <= len(args) <= self._count_max:
            args, kwargs = self._bound(args, kwargs)
        made, encode = self._outputs, self._encode
        if output is not None or outputs is not None:
            owner = f"remote function {self._label}"
            made, encode = self._finished(merge_outputs(self._prototypes, output, outputs, owner))
            check_labels([item.label for item in made], f"outputs of {owner}")
        session = options.session or get_active_session()
        session._check_open()
        payload = self._source.payload(session)
        types: list[tuple[int, int, str]] = []
        sources: list[SourceText] = []
        read_only: list[tuple[int, int]] = []
        data, objects, load = self._pickled(args, kwargs, session, types, sources, read_only)
        for obj in payload.objects:
            objects.setdefault(obj, None)
        task = Task.__new__(Task)
        task._create(
            session,
            PYTHON,
            PyConfig(data, load, encode, types, sources, read_only),
            list(objects.items()) if objects else (),
            made,
            options.name,
            options,
            function_constant(session, payload),
        )
        record_of(task).source = self._source
        return task

    def _split(self, args: Any, kwargs: dict[str, Any], output: Any, outputs: Any) -> tuple[Any, Any, Any, Any, Any]:
        """Tell arguments, options and outputs apart."""
        named = self._named
        if "output" in named:
            if output is not None:
                kwargs["output"] = output
            output = None
        if "outputs" in named:
            if outputs is not None:
                kwargs["outputs"] = outputs
            outputs = None
        chosen = {name: kwargs.pop(name) for name in list(kwargs) if name in NAMES and name not in named}
        options = self._options.but(chosen, f"{self._label}()")
        args, kwargs = self._bound(args, kwargs)
        return args, kwargs, output, outputs, options

    def _bound(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        try:
            bound = self._signature.bind(None, *args, **kwargs)
        except TypeError as error:
            wrong = TypeError(f"{self._label}(): {error}")
            shorten(wrong)
            raise wrong from None
        return bound.args[1:], bound.kwargs

    def map(self, /, *iterables: Iterable[Any], **kwargs: Any) -> list[Task]:
        """A task for each item (or for the first items of several iterables, the second ones, and so on).

        Parameters
        ----------
        *iterables
            One for each positional argument; the shortest says how many tasks are made.
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
            If arguments cannot be used.

        Examples
        --------
        >>> with client.new_session("squares") as session:
        ...     session.run(*square.map(range(3)))
        [0, 1, 4]
        """
        if not iterables:
            raise TypeError(f"{self._label}.map() needs at least one iterable")
        return [self(*args, **kwargs) for args in zip(*iterables, strict=False)]

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
        bound_args, bound_kwargs = self._bound(args, kwargs)
        named = self._arguments(bound_args, bound_kwargs)
        loads = [(self._is_loaded(name), self._is_writable(name)) for name, _ in named]
        return call(self.function, self._label, bound_args, bound_kwargs, loads)

    def __repr__(self) -> str:
        return f"<Remote {self._source.name}{self.__signature__}>"

    def __reduce__(self) -> Any:
        declared = (self._prototypes, self._inputs, self._auto_load, self._auto_encode)
        given = {name: value for name, value in self._options.given.items() if name != "session"}
        return _restored, (self._source.bare(), *declared, given)

    # -- arguments ------------------------------------------------------------------------------

    def _arguments(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[tuple[str, Any]]:
        """Arguments with the names of their parameters."""
        names, fixed, rest = self._names, self._fixed, self._var_positional or ""
        named = [(names[index] if index < fixed else rest, value) for index, value in enumerate(args)]
        named += kwargs.items()
        return named

    def _config_of(self, name: str) -> InputBase | None:
        return self._inputs.get(name) or (
            self._inputs.get(self._var_keyword or "") if name not in self._names else None
        )

    def _is_loaded(self, name: str) -> bool:
        config = self._config_of(name)
        return self._auto_load if config is None or config.load is None else config.load

    def _is_writable(self, name: str) -> bool:
        config = self._config_of(name)
        return config is None or config.writable

    def _pickled(
        self,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        session: Session,
        types: list[tuple[int, int, str]],
        sources: list[SourceText],
        read_only: list[tuple[int, int]],
    ) -> tuple[bytes, dict[DataObject, str | None], list[tuple[int, int]] | bool]:
        """The arguments' pickle, the objects inside with their labels, and which are to be loaded.

        Adds to `types` what is declared of submitted objects that have no content type, to `sources` that of code among
        the arguments, to `read_only` the objects that are not to be written.
        """
        plain, handles = True, False
        for value in args if not kwargs else (*args, *kwargs.values()):
            kind = type(value)
            if kind in PLAIN:
                continue
            if kind is DataObject or isinstance(value, Task):
                handles = True
            elif not is_plain(value):
                plain = False
                break
        if plain and not handles:
            data = pickle.dumps((args, kwargs), _PROTOCOL)
            if len(data) <= _LARGE:
                return data, {}, self._auto_load
        elif plain and not self._inputs:
            quick = self._pickled_handles(args, kwargs)
            if quick is not None:
                return (*quick, self._auto_load)
        return self._pickled_carefully(args, kwargs, session, plain, types, sources, read_only)

    def _pickled_handles(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[bytes, dict[DataObject, str | None]] | None:
        """The common case: plain values and handles that are arguments themselves; None if it is too large."""
        labels: dict[DataObject, str | None] = {}
        given: list[Any] = []
        for name, value in self._arguments(args, kwargs):
            if isinstance(value, DataObject | Task):
                value = as_object(value, f"argument {name!r} of {self._label}")
                if value not in labels:
                    labels[value] = f"{name}[{len(given) - self._fixed}]" if name == self._var_positional else name
            given.append(value)
        count = len(args)
        args, kwargs = tuple(given[:count]), dict(zip(kwargs, given[count:], strict=True))
        outer = open_collector(labels)
        try:
            data = pickle.dumps((args, kwargs), _PROTOCOL)
        finally:
            close_collector(outer)
        return (data, labels) if len(data) <= _LARGE else None

    def _pickled_carefully(
        self,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        session: Session,
        plain: bool,
        types: list[tuple[int, int, str]],
        sources: list[SourceText],
        read_only: list[tuple[int, int]],
    ) -> tuple[bytes, dict[DataObject, str | None], list[tuple[int, int]] | bool]:
        large: list[DataObject] = []
        args, kwargs = self._replaced(args, kwargs, session, large, by_guess=True)
        data, found, files, names = self._dumped(args, kwargs, plain)
        if len(data) > _LARGE:
            args, kwargs = self._replaced(args, kwargs, session, large, by_guess=False)
            data, found, files, _ = self._dumped(args, kwargs, plain)
            if len(data) > FRAME_BYTES_MAX // 2:
                raise RainException(
                    f"the arguments of {self._label} are {len(data)} bytes pickled, more than a message may hold "
                    f"(FRAME_BYTES_MAX is {FRAME_BYTES_MAX}); make the large parts blobs with pickled(...)"
                )
        if files:
            sources += sources_of(files, has_other_hosts(session))
        if names and has_other_hosts(session):
            inside(session).surroundings.need(names)
        for obj in large:
            for inner in value.inside if (value := value_of(obj)) is not None else ():
                found.setdefault(inner, None)
        labels = self._labels(args, kwargs, found)
        return data, labels, self._load_list(args, kwargs, found, large, types, read_only)

    def _dumped(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], plain: bool
    ) -> tuple[bytes, dict[DataObject, None], list[str], set[str]]:
        with collecting() as found:
            try:
                data = pickle.dumps((args, kwargs), _PROTOCOL) if plain else dumps((args, kwargs))
                files, names = code_files(), module_names()
            except Exception as error:
                if isinstance(error, RainException):
                    raise
                raise RainException(f"{self._label}: {self._blame(args, kwargs, error)}") from error
        return data, found, files, names

    def _blame(self, args: tuple[Any, ...], kwargs: dict[str, Any], error: Exception) -> str:
        for name, value in self._arguments(args, kwargs):
            try:
                scan(value)
            except Exception as own:
                return why_not(value, f"argument {name!r}", own)
        return f"the arguments cannot be pickled: {error}"

    def _replaced(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], session: Session, large: list[DataObject], by_guess: bool
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments with large ones replaced by hidden constants, and generators by what they yield."""

        def one(name: str, value: Any) -> Any:
            if isinstance(value, DataObject | Task):
                return as_object(value, f"argument {name!r} of {self._label}")
            if type(value) in RUN_AT_CALL:
                value = iter(list(value))
            if (guessed_bytes(value) if by_guess else _pickled_bytes(value)) <= _LARGE:
                return value
            with collecting() as found:
                content = encoded(value, "cloudpickle", inside(session).connection.room)
            content.inside = tuple(found)
            warn(
                f"Pickled object {name} length {content.size} > PICKLED_ARGUMENT_WARN_BYTES ({_LARGE}): it travels as "
                f"a blob for this call of {self._label} only; make it one with pickled(...) to use it in several calls"
            )
            obj = make_constant(session, name, "cloudpickle", content)
            record = record_of(obj)
            record.hidden = record.ephemeral = True
            large.append(obj)
            return obj

        names = [name for name, _ in self._arguments(args, {})]
        return (
            tuple([one(name, value) for name, value in zip(names, args, strict=True)]),
            {name: one(name, value) for name, value in kwargs.items()},
        )

    def _labels(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], found: Iterable[DataObject]
    ) -> dict[DataObject, str | None]:
        """Labels of the found objects: the parameter's name for what is an argument itself."""
        labels: dict[DataObject, str | None] = dict.fromkeys(found)
        for count, (name, value) in enumerate(self._arguments(args, kwargs)):
            if isinstance(value, DataObject) and labels.get(value, "") is None:
                labels[value] = f"{name}[{count - self._fixed}]" if name == self._var_positional else name
        return labels

    def _load_list(
        self,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        found: Iterable[DataObject],
        large: list[DataObject],
        types: list[tuple[int, int, str]],
        read_only: list[tuple[int, int]],
    ) -> list[tuple[int, int]] | bool:
        """Which objects arrive loaded; checks declared content types and data types on the way."""
        if not self._inputs:
            if self._auto_load or not large:
                return self._auto_load
            return [(obj.id.session_id, obj.id.id) for obj in large]
        chosen: dict[DataObject, tuple[bool, bool]] = {}
        for name, value in self._arguments(args, kwargs):
            config = self._config_of(name)
            within: Iterator[DataObject] | tuple[DataObject, ...]
            if isinstance(value, DataObject):
                within = (value,)
            elif type(value) in PLAIN or is_plain(value):
                continue
            else:
                within = tuple(scan(value))
            for obj in within:
                if config is not None and obj not in large:
                    config.check(obj)
                    if config.content_type is not None and obj.content_type is None:
                        if obj.state is None:
                            record_of(obj).spec.content_type = config.content_type
                        else:
                            types.append((*obj.id, config.content_type))
                want = (self._is_loaded(name) or obj in large, self._is_writable(name))
                known = chosen.setdefault(obj, want)
                if known != want:
                    how = "load it" if known[0] != want[0] else "may write to it"
                    raise RainException(
                        f"{self._label}: {obj!r} is used by parameters of which some {how} and some do not; "
                        "declare them alike"
                    )
        for obj in found:
            chosen.setdefault(obj, (self._auto_load, True))
        loaded = [obj for obj, (load, _) in chosen.items() if load and obj.data_type is DataType.BLOB]
        read_only += [(obj.id.session_id, obj.id.id) for obj in loaded if not chosen[obj][1]]
        return [(obj.id.session_id, obj.id.id) for obj in loaded]


@typing.overload
def remote(outputs: Callable[..., Any], /) -> Remote: ...
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
    """Decorator that makes a function a `Remote`, whose calls become tasks. Also works bare.

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
        return Remote(outputs)

    def decorate(function: Callable[..., Any]) -> Remote:
        return Remote(function, outputs, inputs, auto_load, auto_encode, name, cpus, **options)

    return decorate


def _restored(
    function: Any, outputs: Any, inputs: Any, auto_load: bool, auto_encode: str | None, given: dict[str, Any]
) -> Remote:
    return Remote(function, outputs, inputs, auto_load, auto_encode, **given)


# -- annotations -----------------------------------------------------------------------------------


def _annotations(function: Any) -> dict[str, Any]:
    """The annotations that can be of interest; written as text (``from __future__ import annotations``) evaluated."""
    found: dict[str, Any] = {}
    names = dict(getattr(function, "__globals__", {}))
    code = getattr(function, "__code__", None)
    for variable, cell in zip(
        code.co_freevars if code else (), getattr(function, "__closure__", None) or (), strict=False
    ):
        try:
            names[variable] = cell.cell_contents
        except ValueError:
            continue
    for name, annotation in annotations_of(function).items():
        if isinstance(annotation, str):
            if "put" not in annotation:
                continue
            try:
                annotation = eval(annotation, names)
            except Exception:  # a type that is only there for type checkers
                continue
        found[name] = annotation
    return found


def _from_annotation(annotation: Any, kind: type) -> Any:
    """The `Input` or `Output` that an annotation is or holds."""
    if isinstance(annotation, kind):
        return annotation
    if isinstance(annotation, type) and issubclass(annotation, kind):
        return annotation()
    if typing.get_origin(annotation) is typing.Annotated:
        for item in annotation.__metadata__:
            found = _from_annotation(item, kind)
            if found is not None:
                return found
    return None


def _outputs_of(annotation: Any) -> Any:
    """Outputs that a return annotation declares, None if it is something else."""
    if isinstance(annotation, int) and not isinstance(annotation, bool):
        return annotation
    if isinstance(annotation, list | tuple):
        items = [_from_annotation(item, OutputBase) or item for item in annotation]
        if all(isinstance(item, str | OutputBase) for item in items):
            return items
    return _from_annotation(annotation, OutputBase)


# -- sizes -----------------------------------------------------------------------------------------


def guessed_bytes(value: Any) -> int:
    """About how large the pickle of `value` is, if that can be told at once; else 0."""
    if isinstance(value, bytes | bytearray | str):
        return len(value)
    size = getattr(value, "nbytes", 0)  # arrays and tables
    if type(size) is int:
        return size
    return 0


def _pickled_bytes(value: Any) -> int:
    if type(value) in PLAIN and not isinstance(value, str | bytes):
        return 0
    with collecting():
        return len(dumps(value))
