"""Names that a module offers and loads at their first use, written once: as imports that type checkers read."""

from __future__ import annotations

import importlib
import sys

TYPE_CHECKING = False  # as type checkers know it; importing typing takes most of the time of `import rain`
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


_TOOLS = {"TYPE_CHECKING", "annotations", "offered"}
"""What such a module needs for itself."""


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
    file: str = getattr(here, "__file__", None) or ""
    if not file.endswith(".py"):
        raise ImportError(f"the source of {module} is not there, which lists the names that it offers")
    loader: Any = here.__loader__
    # Not by `get_source`, which imports tokenize.
    origins = _imported(loader.get_data(file).decode())
    namespace = vars(here)

    def getattribute(name: str) -> Any:
        if name not in origins:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        if origins[name] == module:
            return importlib.import_module(f"{module}.{name}")
        value = namespace[name] = getattr(importlib.import_module(origins[name]), name)
        return value

    return getattribute, lambda: sorted({*namespace, *origins} - _TOOLS), [*origins]


def _imported(source: str) -> dict[str, str]:
    """What lines ``from origin import name as name`` below an ``if`` import: name to origin."""
    found = {}
    for line in source.splitlines():
        words = line.split()
        if line[:9] == "    from " and words[::2] == ["from", "import", "as"] and words[3] == words[-1]:
            found[words[3]] = words[1]
    return found
