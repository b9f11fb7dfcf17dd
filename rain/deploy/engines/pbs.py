"""PBS: OpenPBS, PBS Professional, Torque."""

from __future__ import annotations

from collections.abc import Mapping

from rain.common.errors import RainException
from rain.deploy.nodes import parse_host_file


class Pbs:
    """Jobs of PBS (PBS Professional User's Guide, "PBS_NODEFILE")."""

    name = "pbs"

    def hosts(self, environment: Mapping[str, str]) -> list[str]:
        path = environment.get("PBS_NODEFILE")
        if not path:
            raise RainException("--autoconf pbs works inside a PBS job only: PBS_NODEFILE is not set")
        try:
            with open(path, encoding="utf-8") as file:
                return parse_host_file(file.read())
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise RainException(f"the PBS node file {path} cannot be read: {why}") from None
