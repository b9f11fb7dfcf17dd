"""What user code can import in an executor, and whether it is still what lies on disk.

On the client's host modules are imported from the client's own files. On other hosts what is not there comes as
sources: with functions, and one by one when an import asks for it. `Modules` notes each module that is imported from a
file of the user's with the state of that file before it is read; when tasks arrive and one of these files has changed,
the executor gives up.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import linecache
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType

from rain.common.task_configs import FunctionPayload, SourceText, UserModule
from rain.host.installed import is_installed, stamp

_RAIN_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
_RACE_NS = 2_000_000_000
"""Python finds compiled code out of date by whole seconds and the size of the source alone; what was compiled so soon
after its source was written may be that of another source."""

Ask = Callable[[str], UserModule | None]
"""Gets a module's name; gives what the client has under it."""


def prepare_path(sys_path: Sequence[str] | None, cwd: str | None) -> None:
    """Make imports work as they do at the client.

    Parameters
    ----------
    sys_path : sequence of str or None
        The client's `sys.path`; None leaves this interpreter's own (the client is on another host).
    cwd : str or None
        The client's current folder: an empty or relative entry of `sys_path` is taken from there, because tasks run in
        folders of their own.
    """
    if sys_path is not None:
        entries = _absolute(sys_path, cwd)
        if _RAIN_ROOT not in entries:
            entries.append(_RAIN_ROOT)
        sys.path[:] = entries
    importlib.invalidate_caches()
    # The zygote's main module is Rain's own; code that was pickled by value out of __main__ gets an empty one.
    sys.modules["__main__"] = ModuleType("__main__")


def _absolute(sys_path: Sequence[str], cwd: str | None) -> list[str]:
    base = cwd or "/"
    return [os.path.join(base, entry) if entry else base for entry in sys_path]


class Modules:
    """The user's modules and sources: where they come from, and whether they are what they were.

    Parameters
    ----------
    sys_path : sequence of str or None
        As of `prepare_path`. None: modules come as sources.
    cwd : str or None
        As of `prepare_path`.
    not_below : sequence of str
        Folders of tasks: what lies there is the tasks' own.
    ask : callable or None
        Where to ask for modules that did not come with functions; only used if they come as sources.
    """

    def __init__(
        self,
        sys_path: Sequence[str] | None,
        cwd: str | None = None,
        not_below: Sequence[str] = (),
        ask: Ask | None = None,
    ) -> None:
        self._shipped: _ShippedFinder | None = None
        self._noted: _NotingFinder | None = None
        if sys_path is None:
            self._shipped = _ShippedFinder(ask)
            sys.meta_path.append(self._shipped)
        # Another host may have modules of the user's as well: in a home that hosts share, on its PYTHONPATH.
        entries = sys.path if sys_path is None else _absolute(sys_path, cwd)
        roots = [entry for entry in entries if not is_installed(os.path.join(entry, "any"))]
        if roots:
            self._noted = _NotingFinder(roots, not_below)
            self._noted.install()
        self.shown: dict[str, str] = {}
        """file name -> how tracebacks name it."""

    def prepare(self, function: FunctionPayload) -> bool:
        """Get ready to unpickle `function`.

        Returns
        -------
        bool
            False if this executor has imported a module that is another one now: it must not run the function.
        """
        if self._shipped is not None and not self._shipped.offer(function.modules):
            return False
        if self.outdated():
            return False
        self.register(function.sources)
        importlib.invalidate_caches()
        return True

    def outdated(self) -> bool:
        """Whether a module that was imported here has changed on disk."""
        return self._noted is not None and bool(self._noted.seen) and self._noted.changed()

    def arrived(self) -> None:
        """New tasks are here: the client may have modules now that it did not have before."""
        if self._shipped is not None:
            self._shipped.forget_missing()

    def register(self, sources: Iterable[SourceText]) -> None:
        """Let tracebacks show these."""
        for source in sources:
            text = source.text
            lines = text.splitlines(keepends=True)
            linecache.cache[source.file_name] = (len(text), None, lines, source.file_name)
            if source.shown:
                self.shown[source.file_name] = source.shown


class _NotingFinder(importlib.abc.MetaPathFinder):
    """Lets the finders behind it find, and notes what they find of the client's own modules."""

    def __init__(self, roots: Sequence[str], not_below: Sequence[str]) -> None:
        self._roots = tuple(os.path.join(os.path.abspath(root), "") for root in roots)
        self._not_below = tuple(os.path.join(os.path.abspath(folder), "") for folder in not_below)
        self.seen: dict[str, tuple[int, int] | None] = {}
        """Files as they were before they were read."""

    def install(self) -> None:
        """Stand in front of all that looks into files."""
        places = [number for number, finder in enumerate(sys.meta_path) if finder is PathFinder]
        sys.meta_path.insert(places[0] if places else len(sys.meta_path), self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        finders = sys.meta_path
        for finder in finders[finders.index(self) + 1 :] if self in finders else ():
            find = getattr(finder, "find_spec", None)
            spec = None if find is None else find(fullname, path, target)
            if spec is not None:
                if not isinstance(finder, _ShippedFinder):
                    self._note(spec, finder is not PathFinder)
                return spec  # type: ignore[no-any-return]
        return None

    def _note(self, spec: ModuleSpec, elsewhere: bool) -> None:
        """`elsewhere`: it was found by a finder of its own, as that of a package that is installed to be edited."""
        file = spec.origin if spec.has_location else None
        if not file:
            return
        file = os.path.abspath(file)
        if not (elsewhere or file.startswith(self._roots)) or file.startswith(self._not_below) or is_installed(file):
            return
        if file not in self.seen:
            self.seen[file] = stamp(file)
        if type(spec.loader) is SourceFileLoader and _compiled_too_soon(file, spec.cached):
            spec.loader = _FromSource(spec.name, file)

    def changed(self) -> bool:
        """Whether one of them is another one now."""
        return any(stamp(file) != seen for file, seen in self.seen.items())


def _compiled_too_soon(file: str, cached: str | None) -> bool:
    """Whether compiled code may belong to another source of the same size."""
    compiled, source = stamp(cached) if cached else None, stamp(file)
    return compiled is not None and source is not None and abs(compiled[0] - source[0]) < _RACE_NS


class _FromSource(SourceFileLoader):
    """Compiles, whatever lies in the cache."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code


class _ShippedFinder(importlib.abc.MetaPathFinder, importlib.abc.ExecutionLoader):
    """Imports modules from the client's sources, where its files are not."""

    def __init__(self, ask: Ask | None) -> None:
        self._modules: dict[str, UserModule] = {}
        self._ask = ask
        self._missing: set[str] = set()

    def offer(self, modules: Iterable[UserModule]) -> bool:
        """Take sources; False if one of them was already imported with another text."""
        for module in modules:
            if module.source is None:
                continue
            held = self._modules.get(module.name)
            if held is not None and held.source != module.source and module.name in sys.modules:
                return False
            self._take(module, module.source)
        return True

    def _take(self, module: UserModule, source: bytes) -> None:
        self._modules[module.name] = module
        if module.path:
            lines = source.decode("utf-8", "replace").splitlines(keepends=True)
            linecache.cache[module.path] = (len(source), None, lines, module.path)

    def forget_missing(self) -> None:
        """What the client did not have it may have now."""
        self._missing.clear()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        module = self._modules.get(fullname) or self._asked(fullname)
        if module is None:
            return None
        return importlib.util.spec_from_loader(fullname, self, is_package=module.is_package)

    def _asked(self, fullname: str) -> UserModule | None:
        """Ask for a module that is neither installed here nor part of what is."""
        parent = fullname.rpartition(".")[0]
        if self._ask is None or fullname in self._missing or (parent and parent not in self._modules):
            return None
        if fullname.partition(".")[0] in sys.stdlib_module_names:
            return None
        module = self._ask(fullname)
        if module is None or module.source is None:
            self._missing.add(fullname)
            return None
        self._take(module, module.source)
        return module

    def get_filename(self, fullname: str) -> str:
        return self._modules[fullname].path

    def is_package(self, fullname: str) -> bool:
        return self._modules[fullname].is_package

    def get_source(self, fullname: str) -> str:
        return importlib.util.decode_source(self._modules[fullname].source or b"")
