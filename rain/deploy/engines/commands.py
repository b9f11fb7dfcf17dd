"""Commands of an engine on this machine: what they print, or their words when they refuse."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence

from rain.common.errors import RainException
from rain.common.limits import ENGINE_COMMAND_S
from rain.governor.surroundings.environment import drop_engine_variables
from rain.host.gpus import VARIABLE as GPUS_VARIABLE
from rain.host.starting import clean_environment


def output_of(words: Sequence[str], engine: str) -> str:
    """What a command of `engine` printed.

    Raises
    ------
    RainException
        If it is not here, fails, or does not answer within ENGINE_COMMAND_S.
    """
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, errors="replace", timeout=ENGINE_COMMAND_S, check=False,
            stdin=subprocess.DEVNULL, env=engine_environment(),
        )  # fmt: skip
    except FileNotFoundError:
        raise RainException(
            f"there is no command {words[0]} on this machine: {engine} is used where its commands are, "
            "on a login node for instance"
        ) from None
    except subprocess.TimeoutExpired:
        raise RainException(f"{words[0]} has not answered within {ENGINE_COMMAND_S:g} s") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise RainException(f"{shlex.join(words)} failed with status {done.returncode}: {said}")
    return done.stdout


def engine_environment() -> dict[str, str]:
    """This process's, without what tells a process of a job who it is: commands would hand it on to places."""
    environment = clean_environment()
    drop_engine_variables(environment, ["SBATCH_*", "SLURM_CLUSTERS"])
    environment.pop(GPUS_VARIABLE, None)
    return environment
