"""What `ssh` is told: which host, how to reach it, what to run there; text only."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rain.common.errors import RainException
from rain.common.limits import HOST_CONNECT_S
from rain.common.protocol.address import format_address, parse_address

REMOTE_RAIN = (sys.executable, "-P", "-m", "rain")
"""On another host, where nothing else is said: the same interpreter, which may find Rain elsewhere."""
_FOUND_DEAD = ("-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3")


class Target(NamedTuple):
    """A host as `ssh` is given it.

    Attributes
    ----------
    user : str
        Empty: what ssh's configuration says.
    host : str
        A name, an address, or an alias in ssh's configuration.
    port : int
        0: what ssh's configuration says.
    """

    user: str
    host: str
    port: int

    def __str__(self) -> str:
        where = format_address(self.host, self.port) if self.port else self.host
        return f"{self.user}@{where}" if self.user else where


def parse_target(text: str) -> Target:
    """``HOST``, ``USER@HOST``, ``HOST:PORT`` or ``USER@HOST:PORT``.

    Raises
    ------
    RainException
        If it is none of these.

    Examples
    --------
    >>> parse_target("me@node7:2222")
    Target(user='me', host='node7', port=2222)
    """
    if not isinstance(text, str):
        raise RainException(f"a host is a text as 'node7' or 'me@node7:2222', not {text!r}")
    user, _, where = text.strip().rpartition("@")
    if text.strip().startswith("-") or where.startswith("-") or not re.fullmatch(r"[\w.:\[\]%-]+", where):
        raise RainException(f"{text!r} is not a host as ssh takes it: write HOST, USER@HOST or USER@HOST:PORT")
    if where.isdigit():
        return Target(user, where, 0)
    host, port = parse_address(where, default_port=0)
    return Target(user, host, port)


@dataclass(frozen=True, slots=True)
class Ssh:
    """How hosts are reached. What is not said here ssh's own configuration says.

    Attributes
    ----------
    port : int
        Of hosts that name none; 0: ssh's.
    key : str
        Identity file; then none of an agent's is tried that ssh's configuration does not name.
    jump : str
        Host or hosts to go through, as ``-J`` takes them.
    arguments : tuple of str
        Further words for `ssh`, verbatim.
    connect_s : float
        How long a connection may take.
    """

    port: int = 0
    key: str = ""
    jump: str = ""
    arguments: tuple[str, ...] = ()
    connect_s: float = HOST_CONNECT_S

    def command(self, target: Target, line: str) -> list[str]:
        """The command that runs a shell's line on a host.

        Examples
        --------
        >>> Ssh(jump="gate").command(Target("", "n1", 2222), "true")[-5:]
        ['-p', '2222', '--', 'n1', 'true']
        """
        # ssh takes the first value that it is given for an option: the user's come first.
        words = ["ssh", "-T", *self.arguments, "-o", "BatchMode=yes", *_FOUND_DEAD]
        words += ["-o", f"ConnectTimeout={max(1, round(self.connect_s))}"]
        words += ["-i", self.key, "-o", "IdentitiesOnly=yes"] if self.key else []
        words += ["-J", self.jump] if self.jump else []
        port = target.port or self.port
        words += ["-p", str(port)] if port else []
        return [*words, "--", f"{target.user}@{target.host}" if target.user else target.host, line]


def governor_line(
    name: str, arguments: Sequence[str], *, python: str = "", init: str = "", prefix: Sequence[str] = ()
) -> str:
    """The line for a host's login shell that starts, or finds, a held governor.

    Parameters
    ----------
    name : str
        Of the holder (`rain.processes.elsewhere.holding`).
    arguments : sequence of str
        ``governor`` and its arguments; empty: it is only looked for.
    python : str
        The Python there; empty: this one's path, or after `init` the command ``rain``.
    init : str
        A line that is run before, in the same shell.
    prefix : sequence of str
        Put before the command.

    Examples
    --------
    >>> governor_line("0f", [], python="python3", init="module load py")
    'module load py && exec python3 -P -m rain hold 0f'
    """
    rain = [python, "-P", "-m", "rain"] if python else ["rain"] if init else list(REMOTE_RAIN)
    line = "exec " + shlex.join([*prefix, *rain, "hold", name, *arguments])
    return f"{init} && {line}" if init else line
