"""Functions as they are sent to executors: pickled at the first call, again only after a change, and sent once."""

from __future__ import annotations

import linecache
import os
import sys
from collections.abc import Iterable
from types import FunctionType
from typing import TYPE_CHECKING, Any

import xxhash

from rain.client.core.records import ObjectRecord
from rain.client.functions.call_sites import cell, name_of_file, warn
from rain.client.functions.function_snapshot import Examined, examine
from rain.client.functions.modules import read
from rain.client.functions.notebook_name import notebook_name
from rain.client.functions.pickling import code_files, collecting, dumps, module_names, why_not
from rain.client.handles import inside
from rain.client.operations.constant_values import Value
from rain.client.stale.fingerprint import fingerprint
from rain.common.errors import RainException
from rain.common.ids import ID
from rain.common.limits import PICKLED_ARGUMENT_WARN_BYTES
from rain.common.spec import ObjectSpec
from rain.common.task_configs import FunctionPayload, SourceText, UserModule, encode_function
from rain.host.installed import is_installed, stamp
from rain.objects.pickling.callables import by_reference

if TYPE_CHECKING:
    from rain.client.data import DataObject
    from rain.client.session import Session


FUNCTION = "function"
"""Key in `ObjectSpec.user` of a function's hidden object: its module and qualified name."""
CODE = "code"
"""Key of the function's `Source.fingerprint`."""
CELL = "cell"
"""Key of the id of the notebook cell that the function was defined in."""
NOTEBOOK = "notebook"
"""Key of the name of the notebook that the function was defined in."""


class Payload:
    """A function as it is sent.

    Attributes
    ----------
    data : bytes
    digest : bytes
    objects : list of DataObject
        The data objects that the function uses by closure, globals or defaults.
    modules : list of UserModule
        The modules that are sent with it to other hosts.
    source : Source
    name, path : str
        Those of `source`.
    """

    __slots__ = ("data", "digest", "examined", "modules", "name", "objects", "path", "source")

    def __init__(
        self,
        data: bytes,
        source: Source,
        objects: list[DataObject],
        examined: Examined,
        modules: list[UserModule],
    ) -> None:
        self.data = data
        self.modules = modules
        self.digest = xxhash.xxh3_128_digest(data)
        self.source = source
        self.name, self.path = source.name, source.path
        self.objects = objects
        self.examined = examined


class Source:
    """A function and its present payload; shared by all `Remote`s that were made of it.

    Attributes
    ----------
    function : callable
    name : str
        The function's qualified name.
    path : str
        ``module:name``.
    cell : str
        Id of the notebook cell that defined it, where it is known.
    notebook : str
        The name of that notebook, where it is known.
    """

    __slots__ = ("_bare", "_payloads", "cell", "function", "name", "notebook", "path")

    def __init__(self, function: Any) -> None:
        self.function = function
        self.name: str = getattr(function, "__qualname__", type(function).__name__)
        self.path = f"{getattr(function, '__module__', '')}:{self.name}"
        self.cell = cell()
        self.notebook = notebook_name()
        self._payloads: dict[bool, Payload] = {}
        self._bare: Any = None

    def fingerprint(self) -> str:
        """The fingerprint of the function's code, and of the code that it names, as they are now; see
        `rain.client.stale.fingerprint`."""
        return fingerprint(self.function, sys.implementation.cache_tag or sys.version)

    def payload(self, session: Session) -> Payload:
        """The payload of the function as it is now.

        Raises
        ------
        RainException
            If the function cannot be pickled; the text says because of which variable.
        """
        elsewhere = inside(session).connection.has_other_hosts
        payload = self._payloads.get(elsewhere)
        if payload is None or not payload.examined.unchanged():
            payload = self._payloads[elsewhere] = self._pickled(elsewhere)
        return payload

    def forget(self) -> None:
        """Drop the payloads: they refer to this source, and such a cycle stays until a garbage collection."""
        self._payloads.clear()

    def _pickled(self, elsewhere: bool) -> Payload:
        examined = examine(self.function)
        bare = self.bare()
        with collecting() as found:
            try:
                code = dumps(bare)
                files, names = code_files(), module_names()
            except Exception as error:
                raise RainException(why_not(bare, f"function {self.name}", error)) from error
        if elsewhere:
            examined.follow(names)
        modules = _modules(examined, elsewhere)
        payload = FunctionPayload(
            code,
            self.name,
            sources_of([*files, *(code.co_filename for code in examined.codes)], elsewhere),
            modules,
        )
        return Payload(encode_function(payload), self, list(found), examined, modules if elsewhere else [])

    def bare(self) -> Any:
        """The function without its annotations, which may be any objects and which executors do not need."""
        function = self.function
        if not isinstance(function, FunctionType) or by_reference(function):
            return function
        bare = self._bare
        if (
            bare is None
            or bare.__code__ is not function.__code__
            or bare.__defaults__ is not function.__defaults__
            or bare.__closure__ is not function.__closure__
        ):
            bare = FunctionType(
                function.__code__,
                function.__globals__,
                function.__name__,
                function.__defaults__,
                function.__closure__,
            )
            bare.__qualname__, bare.__module__, bare.__doc__ = (
                function.__qualname__,
                function.__module__,
                function.__doc__,
            )
            self._bare = bare
        bare.__kwdefaults__ = function.__kwdefaults__
        bare.__dict__.clear()
        bare.__dict__.update(function.__dict__)
        return bare


def has_other_hosts(session: Session) -> bool:
    """Whether governors of this session may be on other hosts than its client."""
    return inside(session).connection.has_other_hosts


def function_constant(session: Session, payload: Payload) -> ID:
    """The id of the hidden object of `session` that holds the function; made when it is first needed."""
    own = inside(session)
    mirror = own.mirror
    record = mirror.functions.get(payload.digest)
    if record is None:
        with own.connection.lock:
            record = mirror.functions.get(payload.digest)
            if record is None:
                if len(payload.data) > PICKLED_ARGUMENT_WARN_BYTES:
                    warn(
                        f"Pickled object {payload.name} length {len(payload.data)} > PICKLED_ARGUMENT_WARN_BYTES "
                        f"({PICKLED_ARGUMENT_WARN_BYTES}): the function takes large data along by its closure, globals "
                        "or defaults; give them as an argument made with pickled(...) or blob(...)"
                    )
                id = ID(mirror.session_id, mirror.next_number())
                user = {FUNCTION: payload.path, CODE: payload.source.fingerprint(), CELL: payload.source.cell}
                if payload.source.notebook:
                    user[NOTEBOOK] = payload.source.notebook
                spec = ObjectSpec(id, payload.name, user=user)
                record = ObjectRecord(spec, None, Value(payload.data, len(payload.data)))
                record.hidden = True
                mirror.add(record)
                mirror.functions[payload.digest] = record
                if payload.modules:
                    own.surroundings.give(payload.modules)
    return record.spec.id


def present(path: str, source: Source | None) -> Source | None:
    """The function that has this module and qualified name now; `source` is the one that had them before."""
    module, _, name = path.partition(":")
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    if found is None or "<locals>" in name:
        return source
    if isinstance(found, FunctionType):
        return source if source is not None and source.function is found else Source(found)
    renewed = getattr(found, "_source", None)
    return renewed if isinstance(renewed, Source) else source


def sources_of(files: Iterable[str], elsewhere: bool) -> list[SourceText]:
    """The source text of code that executors may not have as a file: of cells, and for other hosts of all the user's
    files."""
    sources: dict[str, SourceText] = {}
    for name in set(files):
        if os.path.isfile(name) and not _is_cell(name) and (not elsewhere or is_installed(name)):
            continue
        text = "".join(linecache.getlines(name))
        if text:
            shown = name_of_file(name)
            sources[name] = SourceText(name, text, "" if shown.startswith('File "') else shown)
    return [sources[name] for name in sorted(sources)]


def _is_cell(name: str) -> bool:
    return not name_of_file(name).startswith('File "')


def _modules(examined: Examined, with_source: bool) -> list[UserModule]:
    modules = []
    for name, found in sorted(examined.modules.items()):
        module = read(name, found) if with_source else None
        if module is None and found.has_file:
            module = UserModule(name, found.path, *(stamp(found.path) or (0, 0)), None, found.is_package)
        if module is not None:
            modules.append(module)
    return modules
