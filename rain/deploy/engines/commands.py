"""Commands of an engine on this machine: what they print, or their words when they refuse."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Sequence

from rain.common.errors import RainException
from rain.common.limits import ENGINE_COMMAND_S
from rain.governor.surroundings.environment import drop_engine_variables
from rain.host.gpus import VARIABLE as GPUS_VARIABLE
from rain.host.signals import kill_tree
from rain.host.starting import clean_environment

_STAY = ("SBATCH_*", "SLURM_CLUSTERS", "PBS_CONF_FILE", "PBS_DEFAULT", "PBS_EXEC", "PBS_SERVER")
"""Defaults of the user for jobs, and where an engine is."""
_FILTERS = ("SQUEUE_", "SCANCEL_")


class Refused(RainException):
    """A command has said no, or is not there."""


class NotStarted(Refused):
    """A command is not there, or cannot be started: it has done nothing."""


def output_of(words: Sequence[str], engine: str, harmless: str = "") -> str:
    """What a command of `engine` printed.

    Parameters
    ----------
    words : sequence of str
    engine : str
        For the error.
    harmless : str
        A pattern; the command has not failed if each line of its complaint matches.

    Raises
    ------
    Refused
        If it is not here (`NotStarted`) or fails.
    RainException
        If it does not answer within ENGINE_COMMAND_S.
    """
    try:
        status, printed, complaint = _run(words)
    except FileNotFoundError:
        raise NotStarted(
            f"there is no command {words[0]} on this machine: {engine} is used where its commands are, "
            "on a login node for instance"
        ) from None
    except subprocess.TimeoutExpired:
        raise RainException(f"{words[0]} has not answered within {ENGINE_COMMAND_S:g} s") from None
    except (OSError, ValueError) as error:  # also a word with a NUL in it
        why = error.strerror if isinstance(error, OSError) else error
        raise NotStarted(f"{words[0]} cannot be started: {why}") from None
    if status:
        said = complaint.strip() or printed.strip()
        if harmless and said and all(re.fullmatch(harmless, line.strip()) for line in said.splitlines()):
            return printed
        raise Refused(f"{shlex.join(words)} failed with status {status}: {said}")
    return printed


def _run(words: Sequence[str]) -> tuple[int, str, str]:
    """The exit status of a command, and what it printed to stdout and stderr; nothing of it runs on if it is ended."""
    with subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
        env=engine_environment(), start_new_session=True,
    ) as process:  # fmt: skip
        try:
            printed, complaint = process.communicate(timeout=ENGINE_COMMAND_S)
        except BaseException:  # a site's own sbatch is a script, and what that has started would submit all the same
            kill_tree(process.pid)
            raise
        return process.returncode, printed, complaint


def engine_environment() -> dict[str, str]:
    """This process's, without what tells a process of a job who it is: commands would hand it on to places.

    Nor with a user's own filters: jobs that ``squeue`` leaves out would be taken for ended, and ``scancel`` would spare
    some.
    """
    environment = clean_environment()
    drop_engine_variables(environment, _STAY)
    if "SBATCH_CLUSTERS" in environment:  # sbatch alone heeds it, and jobs have to be looked for where they are
        environment.setdefault("SLURM_CLUSTERS", environment.pop("SBATCH_CLUSTERS"))
    for name in [name for name in environment if name.startswith(_FILTERS)]:
        del environment[name]
    environment.pop(GPUS_VARIABLE, None)
    return environment
