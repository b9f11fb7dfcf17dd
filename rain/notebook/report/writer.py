"""Writes the report of a session into a file."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rain.client.report.output_file import OutputFile
from rain.common.errors import RainException
from rain.notebook import assets
from rain.notebook.report.gathering import encoded, gathered
from rain.notebook.report.page import MARK, page

if TYPE_CHECKING:
    from rain.client.session import Session

TIMEOUT_S = 60.0
"""How long server and governors may take unless the caller says so."""


def write_report(
    session: Session, path: str | os.PathLike[str], packages: Iterable[str] = (), timeout: float | None = None
) -> str:
    """See `Session.report`."""
    file = OutputFile(path, "report", "report", MARK.encode(), "report.html")
    report, secrets = gathered(session, _names(packages), TIMEOUT_S if timeout is None else timeout)
    text = page(report, encoded(report, secrets), assets.report_script(), secrets.hide_all)
    # Texts may hold what has no UTF-8 form; in JSON it is an escape already.
    file.write(text.encode("utf-8", "backslashreplace"))
    return str(file.path)


def _names(packages: Iterable[str]) -> list[str]:
    if isinstance(packages, str):
        raise RainException(f"report(): packages is a list of names, not the text {packages!r}")
    try:
        names = list(packages)
    except TypeError:
        raise RainException(f"report(): packages is a list of names, not {packages!r}") from None
    for name in names:
        if not isinstance(name, str) or not name:
            raise RainException(f"report(): packages has {name!r}, which is not a name")
    return names
