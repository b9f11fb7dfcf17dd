"""The governor's configuration file (TOML)."""

from __future__ import annotations

import math
import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rain.common.errors import RainException


@dataclass(slots=True)
class GovernorConfig:
    """What a configuration file says.

    Attributes
    ----------
    executors : dict of str to list of str
        Commands of foreign executors by their type.
    resources : dict of str to float
        What the governor has beside cpus.
    pass_environment : list of str
        Patterns of variables of the batch system that tasks shall have (see `rain.governor.surroundings.environment`).
    """

    executors: dict[str, list[str]] = field(default_factory=dict)
    resources: dict[str, float] = field(default_factory=dict)
    pass_environment: list[str] = field(default_factory=list)


def read_config(path: str | None) -> GovernorConfig:
    """The configuration in the file at `path`; None means an empty one.

    Raises
    ------
    RainException
        If the file cannot be read, or says something that has no meaning.
    """
    config = GovernorConfig()
    if path is None:
        return config
    import tomllib  # few governors are given a file, and this takes as long as much else of their start

    try:
        with open(path, "rb") as file:
            values = tomllib.load(file)
    except OSError as error:
        raise RainException(f"the governor's configuration {path} cannot be read: {error.strerror}") from None
    except tomllib.TOMLDecodeError as error:
        raise RainException(f"the governor's configuration {path} is not TOML: {error}") from None
    for unknown in values.keys() - {"executors", "resources", "pass_environment"}:
        raise RainException(
            f"{path}: unknown section [{unknown}]; there are [executors.NAME] and [resources], and before them "
            'pass_environment = ["SLURM_*"]'
        )
    passed = values.get("pass_environment", [])
    if not isinstance(passed, list) or not all(isinstance(pattern, str) for pattern in passed):
        raise RainException(f'{path}: pass_environment is a list like ["SLURM_*"], not {passed!r}')
    config.pass_environment = passed
    for name, section in _table(path, "executors", values).items():
        config.executors[name] = _command(path, name, section)
    for name, amount in _table(path, "resources", values).items():
        if name == "cpus":
            raise RainException(f"{path}: a governor's cpus are given by --cpus, not in [resources]")
        if isinstance(amount, bool) or not isinstance(amount, (int, float)) or not 0 <= amount < math.inf:
            raise RainException(f"{path}: resource {name} must be a number of at least 0, not {amount!r}")
        config.resources[name] = amount
    return config


def declared(cpus: float, gpus: Sequence[str], resources: Mapping[str, float]) -> dict[str, float]:
    """What a governor has: its cpus, the GPUs it can name, and what its configuration says.

    Raises
    ------
    RainException
        If the configuration has more GPUs than can be named.

    Examples
    --------
    >>> declared(4, ["0", "1"], {"mem": 1024})
    {'cpus': 4, 'gpus': 2, 'mem': 1024}
    """
    asked = resources.get("gpus", 0)
    if gpus and asked > len(gpus):
        raise RainException(
            f"the configuration declares {asked:g} gpus, but this governor can use only {len(gpus)}: {','.join(gpus)} "
            "(--gpus names others)"
        )
    return {"cpus": cpus, **({"gpus": len(gpus)} if gpus else {}), **resources}


def _table(path: str, name: str, values: dict[str, object]) -> dict[str, object]:
    table = values.get(name, {})
    if not isinstance(table, dict):
        raise RainException(f"{path}: {name} must be a section")
    return table


def _command(path: str, name: str, section: object) -> list[str]:
    command = section.get("command") if isinstance(section, dict) else None
    if isinstance(command, str):
        try:
            command = shlex.split(command)
        except ValueError as error:
            raise RainException(f"{path}: the command of [executors.{name}] cannot be read: {error}") from None
    if not isinstance(command, list) or not command or not all(isinstance(part, str) for part in command):
        raise RainException(f'{path}: [executors.{name}] needs command = "/path/to/executor --its-args"')
    if name in ("py", "builtin", "program") or "/" in name:
        raise RainException(f"{path}: an executor cannot be called {name!r}")
    return command


def resolved(command: Sequence[str], path: str) -> list[str]:
    """A command with its program's whole path, because it starts in another folder.

    Raises
    ------
    RainException
        If there is no such program, or it may not be executed.
    """
    program = os.path.abspath(command[0]) if "/" in command[0] else shutil.which(command[0], path=path)
    if program is None or not os.path.exists(program):
        searched = "" if "/" in command[0] else f"; PATH is {path}"
        raise RainException(f"its program {command[0]!r} was not found{searched}")
    if not os.access(program, os.X_OK):
        raise RainException(f"its program {program!r} is not executable")
    return [program, *command[1:]]
