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
from rain.host.starting import clean_environment


class Refused(RainException):
    """A command is not there, or has said no; it has done nothing."""


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
        If it is not here or fails.
    RainException
        If it does not answer within ENGINE_COMMAND_S.
    """
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, errors="replace", timeout=ENGINE_COMMAND_S, check=False,
            stdin=subprocess.DEVNULL, env=engine_environment(),
        )  # fmt: skip
    except FileNotFoundError:
        raise Refused(
            f"there is no command {words[0]} on this machine: {engine} is used where its commands are, "
            "on a login node for instance"
        ) from None
    except subprocess.TimeoutExpired:
        raise RainException(f"{words[0]} has not answered within {ENGINE_COMMAND_S:g} s") from None
    except (OSError, ValueError) as error:  # also a word with a NUL in it
        why = error.strerror if isinstance(error, OSError) else error
        raise Refused(f"{words[0]} cannot be started: {why}") from None
    if done.returncode:
        said = done.stderr.strip() or done.stdout.strip()
        if harmless and said and all(re.fullmatch(harmless, line.strip()) for line in said.splitlines()):
            return done.stdout
        raise Refused(f"{shlex.join(words)} failed with status {done.returncode}: {said}")
    return done.stdout


def engine_environment() -> dict[str, str]:
    """This process's, without what tells a process of a job who it is: commands would hand it on to places."""
    environment = clean_environment()
    drop_engine_variables(environment, ["SBATCH_*", "SLURM_CLUSTERS"])
    environment.pop(GPUS_VARIABLE, None)
    return environment
