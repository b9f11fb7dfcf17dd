"""Checks of the interpreter, of Rain as it is installed, and of the libraries that it needs or can use."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import rain
from rain.deploy.checkup.finding import Finding, failure, warning

EXTRAS = {"arrow": "tables and arrays", "notebook": "the live graph in notebooks", "fast": "a faster event loop"}
"""The optional sets of libraries (extras), and what each is for."""
_REQUIREMENT = re.compile(r"^\s*([\w.-]+)\s*(?:\[[^]]*\])?\s*(?:\(?>=\s*([\w.]+)[^;]*\)?)?\s*(?:;\s*(.*))?$")
_EXTRA = re.compile(r"""extra\s*==\s*['"]([\w-]+)['"]""")


class Need(NamedTuple):
    """A library that Rain's metadata requires.

    Attributes
    ----------
    library, at_least, extra : str
        `extra` is empty for a library that is always needed.
    """

    library: str
    at_least: str
    extra: str


def needs(requirements: Iterable[str]) -> list[Need]:
    """The needs that the requirements of a distribution express.

    Examples
    --------
    >>> needs(["tornado>=6.5.5", 'numpy>=2.0; extra == "arrow"'])
    [Need(library='tornado', at_least='6.5.5', extra=''), Need(library='numpy', at_least='2.0', extra='arrow')]
    """
    found = []
    for text in requirements:
        if (read := _REQUIREMENT.match(text)) is not None:
            extra = _EXTRA.search(read[3] or "")
            found.append(Need(read[1], read[2] or "0", extra[1] if extra else ""))
    return found


def is_older(version: str, bound: str) -> bool:
    """Whether a version is below a bound; only the numbers that both begin with are compared.

    Examples
    --------
    >>> is_older("6.4", "6.5.5"), is_older("6.5.10", "6.5.5"), is_older("7.0rc1", "6.5.5")
    (True, False, False)
    """
    return _numbers(version) < _numbers(bound)


def _numbers(version: str) -> list[int]:
    numbers = [int(part) for part in re.findall(r"\d+", re.split(r"[a-z+-]", version, maxsplit=1)[0])]
    while numbers and not numbers[-1]:
        numbers.pop()
    return numbers


def library_findings(wanted: Iterable[Need], installed: Mapping[str, str]) -> Iterator[Finding]:
    """One finding about the libraries that are always needed, and one for each extra.

    Parameters
    ----------
    wanted : iterable of Need
    installed : mapping of str to str
        Versions by the libraries' names.
    """
    by_extra: dict[str, list[Need]] = {"": [], **{extra: [] for extra in EXTRAS}}
    for need in wanted:
        if need.extra in by_extra and need.library != "rain":
            by_extra[need.extra].append(need)
    for extra, some in by_extra.items():
        missing = [need.library for need in some if need.library not in installed]
        old = [
            f"{need.library} {installed[need.library]} (below {need.at_least})"
            for need in some
            if need.library in installed and is_older(installed[need.library], need.at_least)
        ]
        what = f"rain[{extra}]" if extra else "libraries"
        versions = ", ".join(f"{need.library} {installed[need.library]}" for need in some if need.library in installed)
        if not extra and (missing or old):
            found = ", ".join([*(f"{name} is missing" for name in missing), *old])
            yield failure(what, found, "pip install --upgrade rain")
        elif old:
            yield warning(what, ", ".join(old), f"pip install --upgrade 'rain[{extra}]'")
        elif missing and extra:
            found = f"{EXTRAS[extra]}: not all is installed ({', '.join(missing)})"
            yield Finding(what, f"{found}; pip install 'rain[{extra}]' brings it")
        else:
            yield Finding(what, versions)


def findings() -> Iterator[Finding]:
    """The findings of all checks of this interpreter."""
    yield Finding("python", f"{platform.python_implementation()} {platform.python_version()}, {sys.executable}")
    yield _rain()
    try:
        wanted = needs(importlib.metadata.requires("rain") or ())
    except importlib.metadata.PackageNotFoundError:
        yield warning(
            "libraries", "Rain runs from a folder and is not installed, so nothing says what it needs", "pip install ."
        )
        return
    installed = {}
    for need in wanted:
        try:
            installed[need.library] = importlib.metadata.version(need.library)
        except importlib.metadata.PackageNotFoundError:
            continue
    yield from library_findings(wanted, installed)
    yield from _jupyter(installed)


def _rain() -> Finding:
    """Which Rain is imported, and whether the command `rain` on PATH is of the same environment."""
    own = Path(rain.__file__).resolve().parent
    found = f"{rain.__version__}, {own}"
    command = shutil.which("rain")
    if command is None:
        return warning("rain", f"{found}; its command is not on PATH", f"add {Path(sys.executable).parent} to PATH")
    if Path(command).parent.resolve() != Path(sys.executable).parent.resolve():
        there = Path(command).parent
        return warning(
            "rain",
            f"{found}; the command on PATH is another environment's: {command}",
            f"activate one of {there} and {Path(sys.executable).parent}",
        )
    return Finding("rain", found)


def _jupyter(installed: Mapping[str, str]) -> Iterator[Finding]:
    """Whether notebooks can show the live graph."""
    if "ipywidgets" not in installed:
        return
    lab = shutil.which("jupyter-lab") or shutil.which("jupyter-notebook")
    if lab is None:
        yield Finding("jupyter", "kernels of this environment work in a JupyterLab of another one")
        return
    folder = Path(lab).parent
    parts = list(folder.parent.glob("share/jupyter/labextensions/@jupyter-widgets/jupyterlab-manager"))
    if not parts:
        yield warning(
            "jupyter",
            f"{lab} has no widgets: graphs would be pictures there",
            f"{os.path.join(folder, 'pip')} install ipywidgets, and start it anew",
        )
        return
    yield Finding("jupyter", f"{lab}, with widgets")
