"""Which modules other processes can import by their names: what is in the others is pickled by value.

A module that was loaded from a file (by `importlib.util.spec_from_file_location`, `runpy`, pytest's importlib mode) is
in `sys.modules` under a name that leads an import elsewhere, or nowhere. cloudpickle takes all that is there for
importable, unless it is told.
"""

from __future__ import annotations

import os
import sys
from functools import lru_cache
from types import ModuleType
from typing import Any

from rain.host.installed import is_installed


def tell(name: Any) -> None:
    """Have cloudpickle pickle functions and classes of the module of this name by value, if it cannot be imported."""
    module = sys.modules.get(name) if isinstance(name, str) else None
    path = getattr(module, "__file__", None)
    if not isinstance(module, ModuleType) or not isinstance(path, str) or _is_importable(name, path):
        return
    from cloudpickle import register_pickle_by_value

    if module.__name__ == name:
        register_pickle_by_value(module)


@lru_cache(maxsize=8192)
def _is_importable(name: str, path: str) -> bool:
    """Whether an import of `name` in a process with the same `sys.path` finds this file. Said once for each: what is
    pickled in one way is not pickled in another one later, when the path has changed."""
    if not path.endswith(".py") or name == "__main__" or is_installed(path):
        return True
    where: Any = None
    names = name.split(".")
    try:
        for number in range(1, len(names) + 1):
            prefix = ".".join(names[:number])
            spec = _spec(prefix, where)
            if spec is None:
                return False
            where = spec.submodule_search_locations
            loaded = sys.modules.get(prefix)
            if getattr(loaded, "__file__", None) == spec.origin:
                where = getattr(loaded, "__path__", where)  # which a package may extend
            if where is None and number < len(names):
                return False
        return bool(spec.origin) and os.path.realpath(spec.origin) == os.path.realpath(path)
    except Exception:  # a finder of the user's that takes only calls of the import system
        return True


def _spec(name: str, where: Any) -> Any:
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        spec = None if find is None else find(name, where, None)
        if spec is not None:
            return spec
    return None
