"""Makes joblib know its backend ``"rain"``, whichever of the two is imported first.

joblib asks no entry points. Where it is imported already the backend is named to it at once; else a finder at the
head of `sys.meta_path` waits for that import, has the others do it, and is gone. Neither imports anything: joblib gets
a function, which loads `rain.interfaces.joblib` when the backend is used.
"""

from __future__ import annotations

import importlib
import sys

TYPE_CHECKING = False  # see rain.lazy_names
if TYPE_CHECKING:
    from typing import Any

NAME = "rain"


def register(joblib: Any) -> None:
    """Name the backend to the module joblib."""
    known = getattr(joblib, "register_parallel_backend", None)
    if known is not None:  # it is just being imported, by something that imports rain
        known(NAME, _backend)


def offer() -> None:
    """Name the backend to joblib, now or when it is imported."""
    joblib = sys.modules.get("joblib")
    if joblib is not None:
        register(joblib)
    elif _Waits not in sys.meta_path:
        sys.meta_path.insert(0, _Waits)


def _backend(**options: Any) -> Any:
    # Servers and governors, which import rain as well, never come here.
    return importlib.import_module("rain.interfaces.joblib").RainBackend(**options)


class _Waits:
    """A finder that finds nothing itself."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> Any:
        """What the other finders find; joblib's loader is followed by `register`."""
        if name != "joblib":
            return None
        sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not _Waits]
        for finder in list(sys.meta_path):
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                if spec.loader is not None:
                    followed: Any = _Followed(spec.loader)
                    spec.loader = followed
                return spec
        return None


class _Followed:
    """A loader that lets the real one work, and takes its place in nothing that is seen afterwards."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def create_module(self, spec: Any) -> Any:
        """As the real one does."""
        return self._loader.create_module(spec)

    def exec_module(self, module: Any) -> None:
        """As the real one does; then the backend is named."""
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        register(module)
