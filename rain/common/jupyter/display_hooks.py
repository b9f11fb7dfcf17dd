"""How a session, a client or a data instance finds what shows it in a notebook, without importing that.

`rain.notebook` puts its functions in here when it is loaded, and it is loaded when something is first shown.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

_shows: dict[str, Callable[[Any], None]] = {}
_pages: dict[str, Callable[[Any], str]] = {}
_loaded = False


def register(kind: str, show: Callable[[Any], None], html: Callable[[Any], str]) -> None:
    """`show` displays items of this kind: ``"session"``, ``"client"``, ``"instance"``, ``"task"``, ``"object"``,
    ``"pools"`` (a list).

    It raises `NotImplementedError` where there is nothing but text to show them with, as in a terminal. `html` gives
    what front ends show that are no kernels of IPython.
    """
    _shows[kind] = show
    _pages[kind] = html


def html(kind: str, item: Any) -> str | None:
    """How `item` is shown as HTML, as ``_repr_html_`` does; None if there is nothing to make it with."""
    _load()
    found = _pages.get(kind)
    return None if found is None else found(item)


def show(kind: str, item: Any) -> None:
    """Display `item`, as ``_ipython_display_`` does.

    Raises
    ------
    NotImplementedError
        If there is nothing to show it with: IPython then falls back to ``repr``.
    """
    _load()
    found = _shows.get(kind)
    if found is None:
        raise NotImplementedError
    found(item)


def _load() -> None:
    global _loaded
    if not _loaded:
        _loaded = True
        try:
            importlib.import_module("rain.notebook")
        except ImportError:  # the extra is not installed
            pass
