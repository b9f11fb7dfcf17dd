"""The files for the browser, as they were built from ``frontend/``."""

from __future__ import annotations

import functools
import json
from pathlib import Path

from rain.common.errors import RainException

FOLDER = Path(__file__).with_name("static")


@functools.cache
def loader() -> str:
    """The module that anywidget runs; it asks the kernel for the other files."""
    return (FOLDER / "loader.js").read_text(encoding="utf-8")


@functools.cache
def build() -> str:
    """What names this build: the browser keeps what it got under this name."""
    digest: str = json.loads((FOLDER / "build.json").read_text(encoding="utf-8"))["sources"]
    return digest


@functools.cache
def report_script() -> str:
    """The program in the file of a report, which is that of the notebook: it looks on which page it is."""
    return (FOLDER / "app.js").read_text(encoding="utf-8")


def asset(name: object) -> bytes:
    """A file that the browser asks for.

    Raises
    ------
    RainException
        If there is none with that name.
    """
    path = FOLDER / name if isinstance(name, str) else FOLDER
    if path.suffix != ".js" or path.parent != FOLDER or not path.is_file():
        raise RainException(f"there is no file {name!r} for the browser")
    return path.read_bytes()
