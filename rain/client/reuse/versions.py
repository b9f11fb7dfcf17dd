"""Versions of the installed distributions that code imports."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable

from rain.host.libraries import LIBRARIES, installed_versions

_lock = threading.Lock()
_known: dict[str, tuple[str, str] | None] = {}


def interpreter() -> str:
    """Which Python results are of: a release of another minor number may decide otherwise."""
    return f"{sys.implementation.name} {sys.version_info.major}.{sys.version_info.minor}"


def versions_of(modules: Iterable[str]) -> dict[str, str]:
    """The distributions that these modules are of, with their versions; none of Python's own, and not Rain.

    Examples
    --------
    >>> list(versions_of(["msgspec.json", "os.path"]))
    ['msgspec']
    """
    tops = {module.partition(".")[0] for module in modules} - {"", "rain", "__main__", "builtins"}
    found = {}
    with _lock:
        for top in sorted(tops - sys.stdlib_module_names):
            if top not in _known:
                _known[top] = _version(top)
            known = _known[top]
            if known is not None:
                found[known[0]] = known[1]
    return found


def _version(top: str) -> tuple[str, str] | None:
    guess = LIBRARIES.get(top, top)
    found = installed_versions(names=[guess])
    if guess in found:
        return guess, found[guess]
    from importlib import metadata  # takes 50 ms, where the name of the module is not that of its distribution

    for name in metadata.packages_distributions().get(top, ()):
        return name, metadata.version(name)
    return None
