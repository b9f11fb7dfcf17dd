"""The name of the notebook whose kernel this process is, as far as the notebook's server told the kernel."""

from __future__ import annotations

import os
import sys
from typing import Any

_SUFFIX = ".ipynb"
_CHARS_MAX = 120


def notebook_name() -> str:
    """The notebook's file name; empty outside of notebooks, and where it is not known.

    Jupyter Server tells the kernel by the environment variable ``JPY_SESSION_NAME``, which holds the notebook's name at
    the kernel's start; VS Code by a variable of the user's namespace.
    """
    ipython: Any = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None:
        return ""
    names = getattr(shell, "user_ns", {})
    path = names.get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME", "")
    if not isinstance(path, str) or not path.endswith(_SUFFIX):
        return ""
    return os.path.basename(path)[-_CHARS_MAX:]


def in_kernel() -> bool:
    """Whether this process is a notebook's kernel."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None
