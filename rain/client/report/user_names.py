"""What the user's code calls a session, a client or a task, so that advice can be copied and run."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from types import FrameType
from typing import Any

from rain.common.jupyter.tracebacks import OTHERS

_FRAMES_MAX = 30


def name_in_use(wanted: Any, otherwise: str) -> str:
    """A variable that holds `wanted`, in the calling code or in the notebook; `otherwise` if there is none.

    Names that begin with an underscore are passed over: IPython's of results change with each cell.
    """
    for names in _namespaces():
        for name, value in list(names.items()):
            if value is wanted and not name.startswith("_") and name.isidentifier():  # pytest adds others
                return str(name)
    return otherwise


def _namespaces() -> Iterator[Mapping[str, Any]]:
    """Local and global names of the user's frames, the innermost first, and those of the script or notebook."""
    frame: FrameType | None = sys._getframe(1)
    count = 0
    while frame is not None and count < _FRAMES_MAX:
        if str(frame.f_globals.get("__name__")).partition(".")[0] not in OTHERS:
            yield frame.f_locals
            yield frame.f_globals
            count += 1
        frame = frame.f_back
    yield vars(sys.modules["__main__"])
