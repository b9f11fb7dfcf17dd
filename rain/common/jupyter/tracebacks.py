"""What IPython shows of errors that arise inside Rain: the user's own frames, not those below them.

Plain Python, loggers and debuggers see whole tracebacks.
"""

from __future__ import annotations

import sys
import traceback
from types import TracebackType
from typing import Any

OTHERS = {"rain", "IPython", "ipykernel", "tornado", "traitlets", *sys.stdlib_module_names} - {"__main__"}
"""Packages whose frames are not the user's."""
_EVALUATED = "<string>"
"""The file of an expression that a magic was given: there is no line of it to show."""


def users_part(trace: TracebackType | None) -> TracebackType | None:
    """`trace` up to the innermost frame of the user's code, without ours before it; all of it if there is none."""
    frames = []
    while trace is not None:
        frames.append((trace, _package(trace)))
        trace = trace.tb_next
    end = len(frames)
    while end and frames[end - 1][1] in OTHERS:
        end -= 1
    found: TracebackType | None = None
    for frame, package in reversed(frames[: end or None]):
        if package != "rain" or not end:
            found = TracebackType(found, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return found


def _package(trace: TracebackType) -> str:
    frame = trace.tb_frame
    if frame.f_code.co_filename == _EVALUATED:
        return "rain"
    return str(frame.f_globals.get("__name__")).partition(".")[0]


def rendered(error: BaseException) -> list[str]:
    """`error` as IPython shows it, with `users_part` of its traceback."""
    trace = users_part(error.__traceback__)
    ipython: Any = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None:
        return traceback.format_exception(type(error), error, trace)
    lines: list[str] = shell.InteractiveTB.structured_traceback(type(error), error, trace)
    return lines


def shorten(error: BaseException) -> None:
    """Have IPython show `error`, which is of a class that is not ours, with the user's frames only."""
    if not hasattr(error, "_render_traceback_"):
        error._render_traceback_ = _rendered_now  # type: ignore[attr-defined]


def _rendered_now() -> list[str]:
    # The error that is shown; naming it in what it holds would be a cycle, and keep its frames alive.
    error = sys.exc_info()[1] or sys.last_value
    assert error is not None
    return rendered(error)
