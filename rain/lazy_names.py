"""Names that a module offers and loads at their first use, written once: as imports that type checkers read."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable
from typing import Any

_IMPORT = re.compile(r"^    from ([\w.]+) import (\w+) as \2$", re.MULTILINE)


def offered(module: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """``__getattr__``, ``__dir__`` and ``__all__`` of a module or package whose names are loaded at their first use.

    Parameters
    ----------
    module : str
        Its name. What it offers is what its source imports below ``if TYPE_CHECKING:``, each in a line
        ``from origin import name as name``; a package is the origin of its own modules.

    Raises
    ------
    ImportError
        If the source is not there to be read.

    Examples
    --------
    >>> getattribute, _, names = offered("rain.common")
    >>> getattribute("ID")(1, 2)
    1/2
    >>> "TaskState" in names
    True
    """
    here = sys.modules[module]
    loader: Any = here.__loader__
    source = loader.get_source(module)
    if source is None:
        raise ImportError(f"the source of {module} is not there, which lists the names that it offers")
    origins = {name: origin for origin, name in _IMPORT.findall(source)}
    namespace = vars(here)

    def getattribute(name: str) -> Any:
        if name not in origins:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        if origins[name] == module:
            return importlib.import_module(f"{module}.{name}")
        value = namespace[name] = getattr(importlib.import_module(origins[name]), name)
        return value

    return getattribute, lambda: sorted({*namespace, *origins}), [*origins]
