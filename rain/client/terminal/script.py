"""Whether the code that asks is a script, whose user expects to see what tasks print."""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from functools import lru_cache

from rain.host.installed import PACKAGE, is_installed

SWITCH = "RAIN_ECHO"
"""The variable that turns off, by ``0``, that scripts show what tasks print unasked."""


def in_script(by_interface: bool = False) -> bool:
    """Whether the innermost code outside of Rain and Python is the user's, in a process without a prompt.

    Notebooks and prompts show nothing unasked; nor do libraries, whose callers did not ask for Rain's output, and
    pytest, which shows what it captured of the test itself.

    Parameters
    ----------
    by_interface : bool
        Whether the user chose Rain for another library (joblib, Dask), whose code then lies between.
    """
    if os.environ.get(SWITCH) == "0" or "PYTEST_CURRENT_TEST" in os.environ:
        return False
    if hasattr(sys, "ps1") or sys.flags.interactive:
        return False
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is None and (by_interface or _asked_by_user())


def _asked_by_user() -> bool:
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if not name.startswith(("<frozen", PACKAGE)):
            if not is_installed(name):
                return True
            if os.path.abspath(name).startswith(_packages()):
                return False
        frame = frame.f_back  # type: ignore[assignment]
    return False


@lru_cache(maxsize=1)
def _packages() -> tuple[str, ...]:
    """Folders of installed packages, without Python's own."""
    folders = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
    folders.update(getattr(site, "getsitepackages", list)())
    folders.add(site.getusersitepackages())
    return tuple(os.path.join(folder, "") for folder in folders if folder)
