"""``python -m rain.chaos --kill server,governor,executor --every 5s -- python script.py``."""

from __future__ import annotations

import argparse
import random
import re
import shlex
import sys
import time
from collections.abc import Sequence

from rain.chaos.comparing import differences
from rain.chaos.plan import KINDS, faults, parse_kinds, parse_seconds
from rain.chaos.running import run_calm, run_faulty
from rain.common.errors import RainException
from rain.deploy.start import known_server

SAME, DIFFERENT, FAILED = 0, 1, 2
_LIMIT_OF_CALM = 10
_LIMIT_MORE_S = 300.0


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit status: 0 if both runs gave the same, 1 if not, 2 if they could not be compared."""
    parser = _parser()
    told = parser.parse_args(arguments)
    command = told.command[1:] if told.command[:1] == ["--"] else told.command
    try:
        if not command:
            raise RainException("name the script to run after --")
        kill, pause = parse_kinds(told.kill), parse_kinds(told.pause)
        if not kill and not pause:
            raise RainException("name what is to be killed (--kill) or stopped for a while (--pause)")
        every_s, pause_s = parse_seconds(told.every), parse_seconds(told.pause_for)
        ignored = [re.compile(pattern) for pattern in told.ignore]
        below = None if told.cluster is None else known_server(told.cluster or None)[1].guardian
        if below == 0:
            raise RainException("that server has no guardian, which would start again what is killed")
        limit_s = parse_seconds(told.limit) if told.limit else None
        seed = random.SystemRandom().randrange(1 << 32) if told.seed is None else told.seed
        _say(f"seed {seed}; once more: --seed {seed}")
        began = time.monotonic()
        calm = run_calm(command, told.compare)
        took_s = time.monotonic() - began
        if calm.status:
            _say(f"{shlex.join(command)} fails without faults, too: exit status {calm.status}")
            return FAILED
        _say(f"without faults: {took_s:.1f} s")
        struck: list[str] = []

        def tell(line: str) -> None:
            struck.append(line)
            _say(line)

        began = time.monotonic()
        plan = faults(seed, kill, pause, every_s, pause_s)
        faulty = run_faulty(
            command, told.compare, plan, tell, below, limit_s or _LIMIT_OF_CALM * took_s + _LIMIT_MORE_S
        )
    except (RainException, re.error) as error:
        _say(f"rain.chaos: {error}")
        return FAILED
    _say(f"with {len(struck)} faults: {time.monotonic() - began:.1f} s")
    found = differences(calm, faulty, ignored)
    for line in found or ["both runs gave the same"]:
        _say(line)
    return DIFFERENT if found else SAME


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m rain.chaos",
        description="Run a script twice, once while processes of its cluster are killed, and compare what it gives: "
        "exit status, standard output, files.",
    )
    parser.add_argument("--kill", default="", metavar="KINDS", help=f"what is killed: some of {','.join(KINDS)}")
    parser.add_argument("--pause", default="", metavar="KINDS", help="what is stopped for a while, and goes on")
    parser.add_argument("--pause-for", default="5s", metavar="TIME", help="the longest pause (default: 5s)")
    parser.add_argument("--every", default="5s", metavar="TIME", help="mean time between two faults (default: 5s)")
    parser.add_argument("--seed", type=int, help="of the faults; a run with the same one has the same plan")
    parser.add_argument(
        "--compare",
        action="append",
        default=[],
        metavar="FILE",
        help="a file that the script writes anew",
    )
    parser.add_argument("--ignore", action="append", default=[], metavar="REGEX", help="lines that may differ")
    parser.add_argument(
        "--cluster", nargs="?", const="", metavar="ADDRESS",
        help="the script's cluster is one that `rain start` started on this machine",
    )  # fmt: skip
    parser.add_argument("--limit", default="", metavar="TIME", help="after which the run with faults has failed")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND", help="the script")
    return parser


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
