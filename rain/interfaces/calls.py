"""Tasks that call plain functions, for interfaces whose users know nothing of tasks.

They are tasks as `rain.task` makes them, but for their arguments: a large array, wherever it is in them, is sent once
(`SharedArrays`), other large values are sent without a warning, and no reference to an argument is kept here.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import TYPE_CHECKING, Any

from rain.client.building.calls import add_packed
from rain.client.building.options import Options
from rain.client.data import make_constant
from rain.client.functions.function import Source, has_other_hosts, sources_of
from rain.client.functions.function_snapshot import HoldsFunction
from rain.client.functions.pickling import (
    close_collector,
    code_files,
    dumps,
    is_plain,
    module_names,
    open_collector,
    why_not,
)
from rain.client.functions.results import Results
from rain.client.handles import inside, record_of
from rain.client.operations.constant_values import encoded, gathered
from rain.client.plain.callables import Called, taken_apart
from rain.client.plain.function import PlainFunction
from rain.client.task import Task
from rain.common.errors import RainException
from rain.common.limits import PICKLED_ARGUMENT_WARN_BYTES
from rain.common.task_configs import PyConfig, SourceText
from rain.interfaces.shared_arrays import SharedArrays

if TYPE_CHECKING:
    from rain.client.data import DataObject
    from rain.client.session import Session

_FUNCTIONS_MAX = 256
"""How many functions are remembered with their pickles, at most."""
_OUTPUTS = Results("a call", "result", None).outputs


def checked(options: Mapping[str, Any], owner: str = "an executor") -> Options:
    """Options of all calls of an interface.

    Raises
    ------
    RainException
        If one has no meaning there.
    """
    found = Options(options, owner)
    if found.cache:
        raise RainException(
            f"{owner} computes each call: cache=True is an option of @rain.task and @rain.remote, whose tasks it takes "
            "as arguments"
        )
    return found


class Calls:
    """Makes tasks of one session that call plain functions. One thread at a time may use it.

    Parameters
    ----------
    session : Session
    options : dict
        Options of every task.

    Attributes
    ----------
    cpus : float
        Cpus that each task takes.
    arrays : SharedArrays

    Raises
    ------
    TypeError
        If an option does not exist.
    """

    def __init__(self, session: Session, options: dict[str, Any]) -> None:
        self.session = session
        self.arrays = SharedArrays(session)
        self._options = checked(options)
        self.cpus = self._options.resources.get("cpus", 0.0)
        self._named: dict[str, Options] = {}
        self._sources: OrderedDict[int, Source] = OrderedDict()

    def task(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        name: str | None = None,
        kept: bool = True,
    ) -> Task[Any]:
        """A task that calls `function`; data objects, tasks and futures among the arguments arrive as their values.

        Parameters
        ----------
        name : str, optional
            The function's name, if not given.
        kept : bool
            Whether its output is kept as long as there is a handle of it.

        Raises
        ------
        RainException
            If function or arguments cannot be pickled.
        """
        called = _called(function)
        objects: dict[DataObject, str | None] = {}
        args, kwargs = (*called.args, *args), {**called.kwargs, **kwargs}
        data, sources = self._pickled(called.name, args, kwargs, objects)
        if len(data) > PICKLED_ARGUMENT_WARN_BYTES:
            data = self._as_constant(data, objects)
        source, remembered = self._source(called.function)
        options = self._options if self._options.name is not None else self._options_named(name or called.name)
        config = PyConfig(data, True, sources=sources, plain=True)
        payload = source.payload(self.session)
        task = add_packed(self.session, payload, config, objects, _OUTPUTS, options, remembered=False)
        record_of(task).outputs[0].kept = kept
        if not remembered:
            source.forget()
        return task

    def _options_named(self, name: str) -> Options:
        found = self._named.get(name)
        if found is None:
            if len(self._named) > _FUNCTIONS_MAX:
                self._named.clear()
            found = self._named[name] = self._options.but({"name": name})
        return found

    def _source(self, function: Callable[..., Any]) -> tuple[Source, bool]:
        """The function as it is sent, and whether it is remembered."""
        known = self._sources.get(id(function))
        if known is not None:
            return known, True
        source = Source(function)
        if not isinstance(function, FunctionType | type):
            return source, False  # methods of C, for instance, hold a value that its user may let go
        self._sources[id(function)] = source
        if len(self._sources) > _FUNCTIONS_MAX:
            self._sources.popitem(last=False)
        return source, True

    def _pickled(
        self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], objects: dict[DataObject, Any]
    ) -> tuple[bytes, list[SourceText]]:
        """The pickle of the arguments, and the sources of code in it; the objects in it are added to `objects`."""
        if is_plain(args) and is_plain(kwargs):
            return pickle.dumps((args, kwargs), pickle.HIGHEST_PROTOCOL), []
        outer = open_collector(objects)
        try:
            data = dumps((args, kwargs), self.arrays.instead)
            files, names = code_files(), module_names()
        except RainException:
            raise
        except Exception as error:
            raise RainException(why_not((args, kwargs), f"the arguments of {name}", error)) from error
        finally:
            close_collector(outer)
        elsewhere = has_other_hosts(self.session)
        if names and elsewhere:
            inside(self.session).surroundings.need(names)
        return data, sources_of(files, elsewhere) if files else []

    def constant(self, value: Any) -> DataObject:
        """A value for several tasks of the next submit; the server drops it with the last of them.

        Raises
        ------
        RainException
            If it cannot be pickled.
        """
        constant = make_constant(
            self.session, "value", "cloudpickle", encoded(value, "cloudpickle", inside(self.session).connection.room)
        )
        record = record_of(constant)
        record.hidden = record.ephemeral = True
        return constant

    def _as_constant(self, data: bytes, objects: dict[DataObject, Any]) -> bytes:
        """Make the pickle of large arguments a constant, which the server drops with the task; returns the pickle of
        that constant, which takes its place."""
        value = gathered([data], inside(self.session).connection.room)
        value.encoded = True
        value.inside = tuple(objects)
        constant = make_constant(self.session, "arguments", "cloudpickle", value)
        record = record_of(constant)
        record.hidden = record.ephemeral = True
        objects[constant] = None
        outer = open_collector(objects)
        try:
            return pickle.dumps(constant, pickle.HIGHEST_PROTOCOL)
        finally:
            close_collector(outer)


def _called(function: Any) -> Called:
    if isinstance(function, PlainFunction):
        return function._called
    if isinstance(function, HoldsFunction) or not callable(function):
        hint = ": a call of it makes a task already" if callable(function) else ""
        raise RainException(f"a plain function is expected, not {function!r}{hint}")
    return taken_apart(function)
