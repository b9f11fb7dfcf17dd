"""Names that a package offers and loads at their first use, written once: as imports that type checkers read."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable
from typing import Any

_IMPORT = re.compile(r"^    from ([\w.]+) import (\w+) as \2$", re.MULTILINE)


def offered(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """``__getattr__``, ``__dir__`` and ``__all__`` of a package whose names are loaded when they are first used.

    Parameters
    ----------
    package : str
        Its name. The names are those that its ``__init__.py`` imports below ``if TYPE_CHECKING:``, each in a line
        ``from module import name as name``; the package itself is the module of its own modules.

    Raises
    ------
    ImportError
        If the source of ``__init__.py`` is not there to be read.

    Examples
    --------
    >>> getattribute, _, names = offered("rain.common")
    >>> getattribute("ID")(1, 2)
    1/2
    >>> "TaskState" in names
    True
    """
    spec = sys.modules[package].__spec__
    source = spec.loader.get_source(package) if spec is not None and spec.loader is not None else None  # type: ignore[attr-defined]
    if source is None:
        raise ImportError(f"the source of {package}/__init__.py is not there, which lists the names that it offers")
    modules = {name: module for module, name in _IMPORT.findall(source)}
    namespace = vars(sys.modules[package])

    def getattribute(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        if modules[name] == package:
            return importlib.import_module(f"{package}.{name}")
        value = namespace[name] = getattr(importlib.import_module(modules[name]), name)
        return value

    return getattribute, lambda: sorted({*namespace, *modules}), [*modules]
