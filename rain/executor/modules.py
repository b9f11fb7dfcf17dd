"""What user code can import in an executor, and whether it is still what lies on disk."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import linecache
import os
import sys
import time
from collections.abc import Iterable, Sequence
from types import ModuleType

from rain.common.builtins import FunctionPayload, SourceText, UserModule

_RAIN_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


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
        base = cwd or "/"
        entries = [os.path.join(base, entry) if entry else base for entry in sys_path]
        if _RAIN_ROOT not in entries:
            entries.append(_RAIN_ROOT)
        sys.path[:] = entries
    importlib.invalidate_caches()
    # The zygote's main module is Rain's own; code that was pickled by value out of __main__ gets an empty one.
    sys.modules["__main__"] = ModuleType("__main__")


class Modules:
    """The user's modules and sources that came with functions."""

    def __init__(self, shipped: bool) -> None:
        self._known: dict[str, tuple[int, int] | None] = {}  # path -> (mtime_ns, size) when it was imported here
        self._started_ns = time.time_ns()  # never behind the coarser clock of file systems
        self._finder = _ShippedFinder() if shipped else None
        if self._finder is not None:
            sys.meta_path.append(self._finder)
        self.shown: dict[str, str] = {}
        """file name -> how tracebacks name it."""

    def prepare(self, function: FunctionPayload) -> bool:
        """Get ready to unpickle `function`.

        Returns
        -------
        bool
            False if this executor has imported a module that has changed on disk since: it must not run the function.
        """
        if self._finder is not None:
            if not self._finder.offer(function.modules):
                return False
        elif not all(self._is_current(module) for module in function.modules):
            return False
        self.register(function.sources)
        importlib.invalidate_caches()
        return True

    def imported(self, function: FunctionPayload) -> None:
        """Note what is on disk of the modules that were just imported."""
        if self._finder is None:
            for module in function.modules:
                if module.name in sys.modules and module.path not in self._known:
                    self._known[module.path] = _stamp(module.path)

    def _is_current(self, module: UserModule) -> bool:
        now = _stamp(module.path)
        if module.path in self._known:
            return self._known[module.path] == now
        if module.name not in sys.modules:
            return True
        # Imported by other ways than a function's payload, at some time after the start: current if older than that.
        return now is not None and now[0] < self._started_ns

    def register(self, sources: Iterable[SourceText]) -> None:
        """Let tracebacks show these."""
        for source in sources:
            text = source.text
            lines = text.splitlines(keepends=True)
            linecache.cache[source.file_name] = (len(text), None, lines, source.file_name)
            if source.shown:
                self.shown[source.file_name] = source.shown


def _stamp(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


class _ShippedFinder(importlib.abc.MetaPathFinder, importlib.abc.ExecutionLoader):
    """Imports modules from sources that travelled with functions, where the client's files are not."""

    def __init__(self) -> None:
        self._modules: dict[str, UserModule] = {}

    def offer(self, modules: Iterable[UserModule]) -> bool:
        """Take sources; False if one of them was already imported with another text."""
        for module in modules:
            if module.source is None:
                continue
            held = self._modules.get(module.name)
            if held is not None and held.source != module.source and module.name in sys.modules:
                return False
            self._modules[module.name] = module
            lines = module.source.decode("utf-8", "replace").splitlines(keepends=True)
            linecache.cache[module.path] = (len(module.source), None, lines, module.path)
        return True

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        module = self._modules.get(fullname)
        if module is None:
            return None
        return importlib.util.spec_from_loader(fullname, self, is_package=module.is_package)

    def get_filename(self, fullname: str) -> str:
        return self._modules[fullname].path

    def is_package(self, fullname: str) -> bool:
        return self._modules[fullname].is_package

    def get_source(self, fullname: str) -> str:
        return importlib.util.decode_source(self._modules[fullname].source or b"")
