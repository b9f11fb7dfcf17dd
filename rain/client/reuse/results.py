"""`ResultCache`: what a session has for reuse: the folder, and what it knows of the code and values of its tasks."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rain.client.core.reuse.keys import Code, digest
from rain.client.core.reuse.task import Reuse
from rain.client.functions.call_sites import warn
from rain.client.functions.modules import find
from rain.client.handles import inside
from rain.client.operations.operation import Operation
from rain.client.reuse.code import code_of
from rain.client.reuse.folder import Folder, default_folder
from rain.client.reuse.programs import code_of_config
from rain.client.reuse.values import Digester, Unclear
from rain.common.errors import RainException
from rain.common.limits import CACHE_BYTES_MAX
from rain.common.task_configs import EXECUTE, IN_GOVERNOR
from rain.host.installed import stamp

if TYPE_CHECKING:
    from rain.client.building.options import Options
    from rain.client.core.records import TaskRecord
    from rain.client.functions.function import Payload
    from rain.client.functions.parameters import Parameters
    from rain.client.reuse.storing import Storer
    from rain.client.session import Session


Fetch = Callable[["Session", list[Any]], Operation[Any]]


class ResultCache:
    """Results of earlier runs for one session.

    Parameters
    ----------
    path : str
        Of the folder.
    every : bool
        Whether all functions and programs of the session use it, unless they say otherwise.
    folder : Folder, optional
        If it was opened already.

    Attributes
    ----------
    known : dict of int to str
        What data objects are, by their numbers, as far as it was told.
    storer : Storer or None
    fetch : callable or None
        The operation that gives the data of objects; known from the first submit on.
    left : dict of TaskRecord to None
        New tasks that were left out of a submit, because they only feed results that are there.
    returned : set of TaskRecord
        Those of them that are looked at again.
    """

    def __init__(self, path: str, every: bool, folder: Folder | None = None) -> None:
        self.path = path
        self.every = every
        self.known: dict[int, str] = {}
        self.storer: Storer | None = None
        self.fetch: Fetch | None = None
        self.left: dict[TaskRecord, None] = {}
        self.returned: set[TaskRecord] = set()
        self._folder = folder
        self._lock = threading.Lock()
        self._trouble = ""
        self._codes: dict[bytes, tuple[Code, dict[str, Any]]] = {}
        self._digests: dict[int, tuple[Any, str]] = {}

    def folder(self) -> Folder | None:
        """The folder, opened when it is first needed; None if that is not possible, of which the user was warned."""
        with self._lock:
            if self._folder is None and not self._trouble:
                try:
                    self._folder = Folder(self.path)
                except RainException as error:
                    self._trouble = str(error)
                    warn(f"no result of an earlier run is reused, and none is stored: {error}")
            return self._folder

    # -- what tasks depend on -------------------------------------------------------------------

    def code(self, payload: Payload) -> Code:
        """The code of a function as it was pickled."""
        known = self._codes.get(payload.digest)
        if known is not None and all(stamp(path) == seen for path, seen in known[1].items()):
            return known[0]
        files: dict[str, Any] = {}
        code = code_of(payload.source.function, payload.path, payload.name.rpartition("<locals>.")[2], files)
        self._codes[payload.digest] = (code, files)
        return code

    def function(self, payload: Payload, parameters: Parameters, options: Options) -> Callable[[], Reuse]:
        """Makes the `Reuse` of calls of a function whose arguments are pickled as a few plain values."""
        code, counted = self.code(payload), _counted(options)
        told = code.digest

        def made() -> Reuse:
            reuse = Reuse(code, told, parameters)
            reuse.options = counted
            return reuse

        return made

    def call(
        self, payload: Payload, parameters: Parameters, options: Options, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Reuse:
        """The `Reuse` of a call with any arguments; to be asked before they are pickled."""
        code = self.code(payload)
        reuse = Reuse(code, code.digest, parameters, {})
        reuse.options = _counted(options)
        digester = self.digester()
        for number, (name, value) in enumerate(parameters.with_names(args, kwargs)):
            label = parameters.label(name, number)
            try:
                reuse.arguments[label] = digester.digest(value)  # type: ignore[index]
            except Unclear as why:
                reuse.unclear = reuse.unclear or f"the content of argument {label} cannot be told: {why}"
        reuse.modules = {module for module in digester.modules if find(module) is None}
        return reuse

    def digester(self) -> Digester:
        """Digests the arguments of one call."""
        return Digester(self._code_inside)

    def _code_inside(self, value: Any) -> str:
        """The digest of a function or class among the arguments."""
        known = self._digests.get(id(value))
        if known is None:
            name = getattr(value, "__qualname__", "")
            known = self._digests[id(value)] = (value, name)  # where it is inside of itself
            code = code_of(value, f"{value.__module__}:{name}", name, {})
            found = digest([code.digest, *(f"{key} {version}" for key, version in sorted(code.libraries.items()))])
            known = self._digests[id(value)] = (value, f"{found} {code.unclear}")
        return known[1]

    def forget_digests(self) -> None:
        """Code among arguments may have changed: it is looked at anew."""
        self._digests = {}

    def other(self, record: TaskRecord, options: Options) -> Reuse | None:
        """The `Reuse` of a task that is no Python function; None for what governors do themselves.

        Raises
        ------
        RainException
            If the user asks for it where it makes no sense.
        """
        spec = record.spec
        if spec.task_type in IN_GOVERNOR:
            if options.cache:
                raise RainException(
                    f"cache=True has no meaning for {spec.task_type}: a governor does that itself, and its result is "
                    "not stored. Results of tasks that use it are, if these have cache=True"
                )
            return None
        if spec.task_type != EXECUTE and not options.cache:
            return None  # what executors in other languages do is not known here: only if the user says so
        code = code_of_config(spec.task_type, spec.config)
        reuse = Reuse(code, code.digest, None, {})
        reuse.options = _counted(options)
        return reuse


def _counted(options: Options) -> dict[str, str]:
    """What of a task's options its result may depend on."""
    found = {}
    if options.rare is not None:
        found = {f"environment variable {name}": value for name, value in options.rare.env.items()}
        if options.rare.nodes != 1:
            found["nodes"] = str(options.rare.nodes)
    if options.user:
        found["user_spec"] = digest([repr(sorted(options.user.items()))])
    return found


def results_for(session: Session, options: Options) -> ResultCache | None:
    """Where a new task with these options looks for its result, and stores it; None if it does neither."""
    own = inside(session)
    if options.cache is None:
        return own.results if own.results is not None and own.results.every else None
    if not options.cache:
        return None
    if own.results is None:
        with own.connection.lock:
            if own.results is None:
                own.results = ResultCache(default_folder(), False)
    return own.results


def reuse_program(session: Session, record: TaskRecord, options: Options) -> None:
    """Have a new task that is no Python function reuse results, if it is to; its outputs are kept then."""
    results = results_for(session, options)
    record.reuse = None if results is None else results.other(record, options)
    for output in record.outputs if record.reuse is not None else ():
        output.kept = True


def given_folder(cache: Any, bytes_max: Any = None) -> ResultCache | None:
    """What a new session has for reuse, by the ``cache=`` and ``cache_bytes_max=`` of its user.

    Raises
    ------
    RainException
        If it is neither a folder, nor True or False; if the folder cannot be used; if the other is no number of bytes.
    """
    if bytes_max is None:
        limit = CACHE_BYTES_MAX
    elif isinstance(bytes_max, int | float) and not isinstance(bytes_max, bool) and 0 < bytes_max < float("inf"):
        limit = int(bytes_max)
    else:
        raise RainException(f"cache_bytes_max is a number of bytes, not {bytes_max!r}")
    if cache is None or cache is False:
        return None
    if cache is True:
        cache = default_folder()
    if not isinstance(cache, str | os.PathLike):
        raise RainException(f"cache= is a folder, True (a folder of yours: {default_folder()}) or False, not {cache!r}")
    path = os.path.abspath(os.path.expanduser(os.fspath(cache)))
    return ResultCache(path, True, Folder(path, limit))
