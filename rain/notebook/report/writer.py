"""Writes the report of a session into a file."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

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
    target = _target(path)
    _check(target)
    report, secrets = gathered(session, _names(packages), TIMEOUT_S if timeout is None else timeout)
    text = page(report, encoded(report, secrets), assets.report_script(), secrets.hide_all)
    try:
        _replace(target, text)
    except OSError as error:
        raise RainException(f"the report cannot be written to {target}: {error.strerror or error}") from None
    return str(target)


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


def _target(path: str | os.PathLike[str]) -> Path:
    try:
        return Path(path).resolve()
    except (TypeError, ValueError, RuntimeError) as error:
        raise RainException(f"report() takes the path of a file, not {path!r}: {error}") from None


def _check(target: Path) -> None:
    """Whether a report may be there: nothing but another report is replaced."""
    if target.is_dir():
        raise RainException(f"{target} is a folder: a report is a file, for instance {target / 'report.html'}")
    if not target.parent.is_dir():
        raise RainException(f"there is no folder {target.parent} for the report {target.name}")
    if not target.exists():
        return
    if target.is_file():
        try:
            with target.open("rb") as file:
                begin = file.read(len(MARK))
        except OSError as error:
            raise RainException(f"{target} cannot be replaced: {error.strerror}") from None
    if not target.is_file() or (begin and begin != MARK.encode()):
        raise RainException(f"{target} is there already and is no report of Rain: give another name, or remove it")


def _replace(target: Path, text: str) -> None:
    """Put `text` there, whole or not at all."""
    partial = target.with_name(f".{uuid.uuid4().hex}.html")
    try:
        with partial.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
        partial.replace(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
