"""Libraries that are installed in other versions on the governors' hosts: the warning, and the advice after a failure.

On the client's own host executors use its interpreter; all this is about others.
"""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from rain.common.formatting import one_line
from rain.common.limits import LIBRARIES_SHOWN_MAX
from rain.common.protocol.messages import GovernorLibraries
from rain.common.spec import TaskError
from rain.host.libraries import LIBRARIES, installed_versions
from rain.host.machine import host_id

_HOSTS_SHOWN_MAX = 3
_MISSING = re.compile(r"No module named '([A-Za-z_]\w*)'")
_NAMED = (
    re.compile(r"No module named '([A-Za-z_]\w*)"),
    re.compile(r"module '([A-Za-z_]\w*)[.'\w]* has no attribute"),
    re.compile(r"<(?:module|class) '([A-Za-z_]\w*)[.']"),
    re.compile(r"cannot import name '[^']*' from (?:partially initialized module )?'([A-Za-z_]\w*)"),
)
_OF_FRAMES = re.compile(r"-packages[/\\]([A-Za-z_]\w*)[/\\]")
_UNPICKLED = "could not be unpickled in the executor"


class Difference(NamedTuple):
    """A library that is another one there.

    Attributes
    ----------
    library : str
        As installers name it.
    here, there : str
        Versions; `there` is empty if it is not installed there.
    """

    library: str
    here: str
    there: str


def differences(here: Mapping[str, str], there: Mapping[str, str]) -> list[Difference]:
    """What is installed here and not there in the same version. How a version was built (``+cu121``) does not count."""
    return [
        Difference(library, version, there.get(library, ""))
        for library, version in here.items()
        if version.partition("+")[0] != there.get(library, "").partition("+")[0]
    ]


def differing_hosts(here: Mapping[str, str], governors: Iterable[GovernorLibraries]) -> dict[Difference, list[str]]:
    """The differences between here and some governors, each with the hosts where it is found."""
    found: dict[Difference, list[str]] = {}
    for governor in governors:
        host = _host(governor)
        for difference in differences(here, governor.versions):
            hosts = found.setdefault(difference, [])
            if host not in hosts:
                hosts.append(host)
    return found


def table(found: Mapping[Difference, list[str]]) -> str:
    """What users read of differences: a line each."""
    rows = [("library", "here", "there", "hosts")]
    for difference, hosts in sorted(found.items())[:LIBRARIES_SHOWN_MAX]:
        more = f" and {len(hosts) - _HOSTS_SHOWN_MAX} more" if len(hosts) > _HOSTS_SHOWN_MAX else ""
        listed = ", ".join(hosts[:_HOSTS_SHOWN_MAX]) + more
        there = one_line(difference.there) or "not installed"
        rows.append((difference.library, difference.here, there, listed))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    if len(found) > LIBRARIES_SHOWN_MAX:
        lines.append(f"and {len(found) - LIBRARIES_SHOWN_MAX} more")
    return "\n".join(f"    {line}" for line in lines)


def advice(error: TaskError, there: GovernorLibraries, here: Mapping[str, str]) -> list[str]:
    """What a failure has to do with libraries, as sentences; none if it has not.

    Parameters
    ----------
    error : TaskError
    there : GovernorLibraries
        Of the governor where the task ran.
    here : mapping of str to str
        Versions of the libraries that `named` finds in the error.
    """
    missing = {_library(module) for module in _MISSING.findall(error.message)}
    found, host = [], _host(there)
    for library in named(error):
        version, other = here.get(library, ""), there.versions.get(library, "")
        if version and other and differences({library: version}, {library: other}):
            found.append(
                f"{library} is {version} here and {one_line(other)} on {host}, where the task ran: install the same "
                f'version for the Python of the governor there (python -m pip install "{library}=={version}"), and '
                "start the governor again."
            )
        elif library in missing and not other:
            cure = (
                f'install it for the Python of the governor there (python -m pip install "{library}=={version}").'
                if version  # else it may be a module of the user's, and an index may have a stranger's of that name
                else "have the Python of the governor there find what brings it here. Modules of yours are sent if "
                "they are Python sources."
            )
            also = f", and is {version} here" if version else ""
            found.append(f"{library} is not installed on {host}, where the task ran{also}: {cure}")
    return found


def named(error: TaskError) -> list[str]:
    """Libraries that an error is about, by what it says: as installers name them, each once."""
    patterns = (*_NAMED, _OF_FRAMES) if _UNPICKLED in error.message else _NAMED
    modules = [module for pattern in patterns for module in pattern.findall(error.message)]
    return list(dict.fromkeys(_library(module) for module in modules if module not in sys.stdlib_module_names))


def _library(module: str) -> str:
    return LIBRARIES.get(module, module)


def _host(governor: GovernorLibraries) -> str:
    return one_line(governor.governor_id.rpartition(":")[0])


class LibraryComparison:
    """What this process has imported beside what governors on other hosts have: each difference is said once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._versions: dict[str, str] = {}  # of what was imported: those do not change any more
        self._compared: tuple[Mapping[str, GovernorLibraries], list[str]] | None = None
        self._said: set[Difference] = set()

    def warning(self, told: Mapping[str, GovernorLibraries]) -> str:
        """What the user is to be warned of, empty if there is nothing new.

        Parameters
        ----------
        told : mapping of str to GovernorLibraries
            Another one for each news (`ClientCore.libraries`).
        """
        with self._lock:
            return self._warning(told)

    def _warning(self, told: Mapping[str, GovernorLibraries]) -> str:
        imported = [library for module, library in LIBRARIES.items() if module in sys.modules]
        if self._compared is not None and self._compared[0] is told and self._compared[1] == imported:
            return ""
        self._compared = (told, imported)
        others = [governor for governor in told.values() if governor.host_id != host_id()]
        unknown = [library for library in imported if library not in self._versions] if others else []
        if unknown:
            self._versions |= installed_versions(names=unknown)
        here = {library: self._versions[library] for library in imported if library in self._versions}
        found = differing_hosts(here, others)
        new = {difference: hosts for difference, hosts in found.items() if difference not in self._said}
        if not new:
            return ""
        self._said.update(new)
        return (
            f"other hosts have other versions of what this process has imported, or have it not at all:\n{table(new)}"
            "\nTasks there may fail, or read objects wrongly: install the same versions for the Python of the governors"
        )

    def advice(self, told: Mapping[str, GovernorLibraries], error: TaskError, governor: str) -> list[str]:
        """As `advice`, for a task that failed on this governor; none if it is on this host, or has told nothing."""
        there = told.get(governor)
        if there is None or there.host_id == host_id():
            return []
        libraries = named(error)
        return advice(error, there, installed_versions(names=libraries)) if libraries else []
