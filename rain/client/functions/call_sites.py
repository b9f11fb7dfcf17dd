"""Call sites, where in a user's code a task or object was made: a few frame look-ups, made into text only when shown.

A site is a flat tuple ``(code, instruction, code, instruction, …)`` of the innermost frames outside this package, up to
the one of a script or cell.
"""

from __future__ import annotations

import linecache
import os
import sys
import warnings
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

from rain.client.core.records import ToldSite
from rain.client.functions.notebook_name import notebook_name
from rain.common.errors import RainWarning

_CLIENT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_PACKAGE = (_CLIENT + os.sep, os.path.join(os.path.dirname(_CLIENT), "interfaces") + os.sep)
"""The packages that users call: the client, and the interfaces of other libraries to it."""
_FRAMES_MAX = 3

Site = tuple[Any, ...]
origin: Callable[[], Any] | None = None
"""Hook: what it returns is kept as `TaskRecord.origin` of each task that is made, for instance the running cell."""
_last: Site = ()


def capture(depth: int = 1) -> Site:
    """The site of the code that called this package; the innermost `depth` frames are known to be this package's."""
    global _last
    frame = sys._getframe(depth)
    if _is_last(frame):
        return _last
    while frame.f_code.co_filename.startswith(_PACKAGE):
        if frame.f_back is None:
            return ()
        frame = frame.f_back
    if _is_last(frame):  # a loop: all its tasks share one tuple
        return _last
    found: list[Any] = [frame.f_code, frame.f_lasti]
    while len(found) < 2 * _FRAMES_MAX and frame.f_code.co_name != "<module>" and frame.f_back is not None:
        frame = frame.f_back
        found += (frame.f_code, frame.f_lasti)
    _last = tuple(found)
    return _last


def _is_last(frame: FrameType) -> bool:
    """Whether a frame and those around it are where the last site was captured."""
    last = _last
    if not last or frame.f_lasti != last[1] or frame.f_code is not last[0]:
        return False
    for index in range(2, len(last), 2):
        if frame.f_back is None:
            return False
        frame = frame.f_back
        if frame.f_lasti != last[index + 1] or frame.f_code is not last[index]:
            return False
    return True


def warn(text: str) -> None:
    """Warn (`RainWarning`) about the line of the code that called this package."""
    frame: FrameType | None = sys._getframe(1)
    level = 2
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
        level += 1
    warnings.warn(text, RainWarning, stacklevel=level)


def line_of(code: CodeType, instruction: int) -> int:
    """The line of an instruction (its offset in bytes) of `code`."""
    for start, end, line in code.co_lines():
        if start <= instruction < end and line is not None:
            return line
    return code.co_firstlineno


def name_of_file(filename: str, notebook: str = "") -> str:
    """A file name as users know it: the number of a notebook cell instead of the cell's temporary file.

    Parameters
    ----------
    filename : str
    notebook : str
        The name of the cell's notebook; empty where there can only be one.
    """
    if "IPython" in sys.modules:
        shell = sys.modules["IPython"].get_ipython()
        if shell is not None:
            try:
                name = shell.compile.format_code_name(filename)
            except AttributeError:
                name = None
            if name:
                return " ".join(name) + (f" of {notebook}" if notebook else "")
    return f'File "{filename}"'


def cell() -> str:
    """The id of the notebook cell that is being run; empty where there is none, or the front end does not send it."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    parent = getattr(getattr(shell, "kernel", None), "get_parent", lambda: None)()
    found = ((parent or {}).get("metadata") or {}).get("cellId")
    return found if isinstance(found, str) else ""


def told(site: Site) -> tuple[str, str]:
    """A site as the text that is sent: it names the notebook, because a reader may have others, with other cells."""
    notebook = notebook_name()
    return (describe(site, notebook), stack(site, notebook)) if site else ("", "")


def describe(site: Site, notebook: str = "") -> str:
    """One line: file (or cell, see `name_of_file`) and line.

    Examples
    --------
    >>> describe(())
    'in an unknown place'
    """
    if not site:
        return "in an unknown place"
    if type(site) is ToldSite:
        return site[0]
    return f"{name_of_file(site[0].co_filename, notebook)}, line {line_of(site[0], site[1])}"


def stack(site: Site, notebook: str = "") -> str:
    """The frames of a site, outermost first, with their source lines, as a traceback shows them."""
    if type(site) is ToldSite:
        return site[1]
    lines = []
    for index in range(len(site) - 2, -1, -2):
        code, instruction = site[index], site[index + 1]
        number = line_of(code, instruction)
        lines.append(f"  {name_of_file(code.co_filename, notebook)}, line {number}, in {code.co_name}\n")
        source = linecache.getline(code.co_filename, number).strip()
        if source:
            lines.append(f"    {source}\n")
    return "".join(lines)
