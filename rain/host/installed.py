"""Which files belong to installed packages, to Python or to Rain: all other modules are the user's own."""

from __future__ import annotations

import os
import site
import sysconfig
from functools import lru_cache

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
"""The folder of Rain itself, which may lie among the installed packages or not."""


def is_installed(path: str) -> bool:
    """Whether a file belongs to an installed package, to Python or to Rain."""
    return os.path.abspath(path).startswith(_installed())


@lru_cache(maxsize=1)
def _installed() -> tuple[str, ...]:
    """Folders of installed packages, and Rain's own."""
    folders = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    folders.update(getattr(site, "getsitepackages", list)())
    folders.add(site.getusersitepackages())
    return (PACKAGE, *(os.path.join(folder, "") for folder in folders if folder))


def stamp(path: str) -> tuple[int, int] | None:
    """When a file was modified (ns), and its size (bytes)."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
