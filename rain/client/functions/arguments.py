"""One pass over the arguments of a call: their pickle, the data objects inside, and how each of these arrives."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Sequence
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

from rain.client.data import DataObject, make_constant, value_of
from rain.client.functions.call_sites import warn
from rain.client.functions.function import has_other_hosts, sources_of
from rain.client.functions.parameters import Parameters
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
from rain.client.handles import Handle, as_object, inside, record_of
from rain.client.io_spec import InputBase
from rain.client.operations.constant_values import encoded
from rain.common.errors import RainException
from rain.common.limits import FRAME_BYTES_MAX, PICKLED_ARGUMENT_WARN_BYTES
from rain.common.protocol.blobs import Blobs, joined
from rain.common.states import DataType
from rain.common.task_configs import PyConfig

if TYPE_CHECKING:
    from rain.client.session import Session

_PROTOCOL = pickle.HIGHEST_PROTOCOL
_LARGE = PICKLED_ARGUMENT_WARN_BYTES


def plain_pickle(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes | None:
    """The pickle of the arguments if they are a few plain values, which hold no data objects and no code; else None."""
    for value in args if not kwargs else (*args, *kwargs.values()):
        if type(value) not in PLAIN and (isinstance(value, Handle) or not is_plain(value)):
            return None
    data = pickle.dumps((args, kwargs), _PROTOCOL)
    return data if len(data) <= _LARGE else None


def plain_pickles(calls: Iterable[tuple[Any, ...]]) -> Sequence[bytes] | None:
    """What `plain_pickle` gives for each of these positional arguments, without a look at each; None if that does not
    suffice for one of them."""
    if not PLAIN.issuperset(map(type, chain.from_iterable(calls))):
        return None
    none: dict[str, Any] = {}
    packed: Sequence[bytes] = joined(map(pickle.dumps, zip(calls, repeat(none)), repeat(_PROTOCOL)))
    longest = packed.longest if isinstance(packed, Blobs) else max(map(len, packed), default=0)
    return packed if longest <= _LARGE else None


def pack(
    parameters: Parameters,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    session: Session,
    encode: list[str | None],
    large: list[DataObject] | None = None,
) -> tuple[PyConfig, dict[DataObject, str | None]]:
    """The config of the task for a call, and the data objects in the call's arguments with their labels.

    Parameters
    ----------
    parameters : Parameters
        The parameters of the function.
    args : tuple
    kwargs : dict
        The arguments; they fit the function's signature.
    session : Session
    encode : list of (str or None)
        How results are encoded, for the config.
    large : list of DataObject, optional
        Takes the constants that were made in the place of large arguments, also if this raises.

    Raises
    ------
    RainException
        If the arguments cannot be pickled, are too large, or do not fit the declared inputs.
    """
    found = plain_pickle(args, kwargs)
    if found is not None:
        return PyConfig(found, parameters.auto_load, encode), {}
    handles = any(isinstance(value, Handle) for value in (*args, *kwargs.values()))
    plain = all(isinstance(value, Handle) or is_plain(value) for value in (*args, *kwargs.values()))
    if plain and handles and not parameters.inputs:
        data, labels = _with_handles(parameters, args, kwargs)
        if len(data) <= _LARGE:
            return PyConfig(data, parameters.auto_load, encode), labels
    return _Packing(parameters, args, kwargs, session, plain, [] if large is None else large).packed(encode)


def _with_handles(
    parameters: Parameters, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[bytes, dict[DataObject, str | None]]:
    """The pickle and the labels in the common case: arguments that are plain values or handles."""
    labels: dict[DataObject, str | None] = {}
    given: list[Any] = []
    for name, value in parameters.with_names(args, kwargs):
        if isinstance(value, Handle):
            value = as_object(value, f"argument {name!r} of {parameters.owner}")
            if value not in labels:
                labels[value] = parameters.label(name, len(given))
        given.append(value)
    count = len(args)
    outer = open_collector(labels)
    try:
        data = pickle.dumps((tuple(given[:count]), dict(zip(kwargs, given[count:], strict=True))), _PROTOCOL)
    finally:
        close_collector(outer)
    return data, labels


class _Packing:
    """Makes the config of one call whose arguments need a closer look."""

    def __init__(
        self,
        parameters: Parameters,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        session: Session,
        plain: bool,
        constants: list[DataObject],
    ) -> None:
        self._parameters = parameters
        self._session = session
        self._plain = plain
        self._names: list[str] = []
        self._values: list[Any] = []
        self._count = len(args)
        self._keywords = tuple(kwargs)
        self._labels: dict[DataObject, str] = {}  # of objects that are arguments themselves
        self._others: set[int] = set()  # numbers of arguments that may hold objects
        self._constants = constants
        self._large: list[DataObject] = []  # constants in the place of large arguments
        self._types: list[tuple[int, int, str]] = []
        self._read_only: list[tuple[int, int]] = []
        for name, value in parameters.with_names(args, kwargs):
            self._take(name, value)

    def _take(self, name: str, value: Any) -> None:
        """Look at the next argument."""
        number = len(self._values)
        if isinstance(value, Handle):
            value = as_object(value, f"argument {name!r} of {self._parameters.owner}")
        elif type(value) not in PLAIN or isinstance(value, str | bytes):
            if type(value) in RUN_AT_CALL:
                value = iter(list(value))
            if guessed_bytes(value) > _LARGE:
                value = self._constant(name, value)
            elif not self._plain and not is_plain(value):
                self._others.add(number)
        self._names.append(name)
        self._values.append(value)
        if isinstance(value, DataObject):
            self._labels.setdefault(value, self._parameters.label(name, number))

    def _constant(self, name: str, value: Any) -> DataObject:
        """A hidden constant that stands for a large argument."""
        with collecting() as found:
            content = encoded(value, "cloudpickle", inside(self._session).connection.room)
        content.inside = tuple(found)
        warn(
            f"Pickled object {name} length {content.size} > PICKLED_ARGUMENT_WARN_BYTES ({_LARGE}): it travels as a "
            f"blob for this call of {self._parameters.owner} only; make it one with pickled(...) to use it in several "
            "calls"
        )
        obj = make_constant(self._session, name, "cloudpickle", content)
        record = record_of(obj)
        record.hidden = record.ephemeral = True
        self._large.append(obj)
        self._constants.append(obj)
        return obj

    def packed(self, encode: list[str | None]) -> tuple[PyConfig, dict[DataObject, str | None]]:
        """The result of `pack`."""
        data, found, files, names = self._dumped()
        if len(data) > _LARGE:
            self._replace_large()
            data, found, files, _ = self._dumped()
            if len(data) > FRAME_BYTES_MAX // 2:
                raise RainException(
                    f"the arguments of {self._parameters.owner} are {len(data)} bytes pickled, more than a message may "
                    f"hold (FRAME_BYTES_MAX is {FRAME_BYTES_MAX}); make the large parts blobs with pickled(...)"
                )
        if names and has_other_hosts(self._session):
            inside(self._session).surroundings.need(names)
        for obj in self._large:
            for inner in value.inside if (value := value_of(obj)) is not None else ():
                found.setdefault(inner, None)
        load = self._load_list(found)
        sources = sources_of(files, has_other_hosts(self._session)) if files else []
        config = PyConfig(data, load, encode, self._types, sources, self._read_only)
        return config, {obj: self._labels.get(obj) for obj in found}

    def _given(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        count, values = self._count, self._values
        return tuple(values[:count]), dict(zip(self._keywords, values[count:], strict=True))

    def _dumped(self) -> tuple[bytes, dict[DataObject, Any], list[str], set[str]]:
        """The pickle; the objects in it, in order; the files of the code in it; the modules that it names."""
        found: dict[DataObject, Any] = {}
        outer = open_collector(found)
        try:
            if self._plain:
                return pickle.dumps(self._given(), _PROTOCOL), found, [], set()
            return dumps(self._given()), found, code_files(), module_names()
        except RainException:
            raise
        except Exception as error:
            raise RainException(f"{self._parameters.owner}: {self._blame(error)}") from error
        finally:
            close_collector(outer)

    def _blame(self, error: Exception) -> str:
        for name, value in zip(self._names, self._values, strict=True):
            try:
                scan(value)
            except Exception as own:
                return why_not(value, f"argument {name!r}", own)
        return f"the arguments cannot be pickled: {error}"

    def _replace_large(self) -> None:
        """Put constants in the place of arguments that turned out to be large."""
        for number, value in enumerate(self._values):
            if not isinstance(value, DataObject) and _pickled_bytes(value) > _LARGE:
                name = self._names[number]
                self._values[number] = constant = self._constant(name, value)
                self._others.discard(number)
                self._labels[constant] = self._parameters.label(name, number)

    def _load_list(self, found: Iterable[DataObject]) -> list[tuple[int, int]] | bool:
        """Which objects arrive loaded; checks declared content types and data types on the way."""
        parameters, large = self._parameters, self._large
        if not parameters.inputs:
            if parameters.auto_load or not large:
                return parameters.auto_load
            return [(obj.id.session_id, obj.id.id) for obj in large]
        chosen: dict[DataObject, tuple[bool, bool]] = {}
        for number, name in enumerate(self._names if found else ()):
            declared = parameters.declared(name)
            for obj in self._objects_in(number, found):
                if declared is not None and obj not in large:
                    self._check(obj, declared)
                want = (parameters.is_loaded(name) or obj in large, parameters.is_writable(name))
                known = chosen.setdefault(obj, want)
                if known != want:
                    how = "load it" if known[0] != want[0] else "may write to it"
                    raise RainException(
                        f"{parameters.owner}: {obj!r} is the argument of several parameters, of which some {how} and "
                        "some do not; declare them alike"
                    )
        for obj in found:
            chosen.setdefault(obj, (parameters.auto_load, True))
        loaded = [obj for obj, (load, _) in chosen.items() if load and obj.data_type is DataType.BLOB]
        self._read_only = [(obj.id.session_id, obj.id.id) for obj in loaded if not chosen[obj][1]]
        return [(obj.id.session_id, obj.id.id) for obj in loaded]

    def _objects_in(self, number: int, found: Iterable[DataObject]) -> Iterable[DataObject]:
        """The data objects in one argument: the argument itself, or those that it holds."""
        value = self._values[number]
        if isinstance(value, DataObject):
            return (value,)
        if number not in self._others:
            return ()
        if not self._labels and len(self._others) == 1:
            return found  # no other argument can hold an object
        return scan(value)

    def _check(self, obj: DataObject, declared: InputBase) -> None:
        """Check that `obj` can be the declared input; it gets the declared content type if it has none."""
        declared.check(obj)
        if declared.content_type is not None and obj.content_type is None:
            record = record_of(obj)
            if record.state is None:
                record.spec.content_type = declared.content_type
            else:
                self._types.append((*obj.id, declared.content_type))


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
