"""When a governor is asked to leave from outside: signals, and a known end of its time."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from rain.common.errors import RainException
from rain.common.limits import LEAVE_NOTICE_S, LEAVE_S
from rain.host.lifeline import lifeline_is_lost
from rain.host.process_table import oldest_with
from rain.host.signals import signal_name

if TYPE_CHECKING:
    import asyncio

NOTICES = (signal.SIGUSR1, signal.SIGUSR2)
"""Batch systems send these some time before they end a job, if asked to (``sbatch --signal``, ``qsub -notify``)."""
_SQUEUE_S = 5.0
_LEAD_SHARE = 0.2
_SPARE_SHARE = 0.1


class End(NamedTuple):
    """When a governor's time is over.

    Attributes
    ----------
    at : float
        Seconds since the epoch.
    source : str
        What says so, for logs.
    """

    at: float
    source: str


def parse_duration(text: str) -> float:
    """Seconds, as batch systems write them: ``90``, ``30:00`` (minutes), ``1:30:00``, ``2-12:00:00`` (days), or with a
    unit: ``90s``, ``30m``, ``2h``, ``1d``.

    Raises
    ------
    RainException
        If it is none of these.

    Examples
    --------
    >>> parse_duration("90"), parse_duration("1:30:00"), parse_duration("1-00:00:00"), parse_duration("2h")
    (90.0, 5400.0, 86400.0, 7200.0)
    """
    word = text.strip().lower()
    unit = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", word)
    if unit is not None:
        return float(unit[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[unit[2]]
    found = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", word)
    if found is None or (found[1] and found[3] is None):
        raise RainException(f"{text!r} is not a time: it is written as 90 (seconds), 30:00, 1:30:00, 2-12:00:00 or 2h")
    parts = [int(part) for part in found.groups()[1:] if part is not None]
    seconds = 0
    for part in parts:
        seconds = 60 * seconds + part
    return float(seconds + 86400 * int(found[1] or 0))


def slurm_time_left(job: str, environment: Mapping[str, str] | None = None) -> float | None:
    """Seconds that Slurm leaves a job, by ``squeue``; None if there is no limit, or Slurm does not answer."""
    try:
        asked = subprocess.run(
            ["squeue", "--noheader", "--jobs", job, "--format", "%L"],
            capture_output=True,
            text=True,
            timeout=_SQUEUE_S,
            stdin=subprocess.DEVNULL,
            env=environment,
        )
        return parse_duration(asked.stdout.splitlines()[0]) if asked.returncode == 0 else None
    except (OSError, subprocess.SubprocessError, IndexError, RainException):  # UNLIMITED, NOT_SET, INVALID among them
        return None


def known_end(
    walltime: str,
    environment: Mapping[str, str],
    now: float,
    time_left: Callable[[str], float | None] = slurm_time_left,
) -> End | None:
    """When this process's time is over, if that is known.

    Parameters
    ----------
    walltime : str
        How long it may run from now on, as `parse_duration` takes it; empty: what the batch system says. Of both the
        sooner counts: a pool says what it asked for, since not each node can ask its batch system.
    environment : mapping of str to str
    now : float
        Seconds since the epoch.
    time_left : callable
        Asks Slurm, which puts the end of a job into its environment only since version 23.02.

    Raises
    ------
    RainException
        If `walltime` is no time.

    Examples
    --------
    >>> known_end("1h", {}, now=1000.0)
    End(at=4600.0, source='--walltime 1h')
    >>> known_end("", {"SLURM_JOB_END_TIME": "1700000000"}, now=1699999000.0)
    End(at=1700000000.0, source='SLURM_JOB_END_TIME')
    """
    told = _told_end(environment, now, time_left)
    if not walltime:
        return told
    asked = End(now + parse_duration(walltime), f"--walltime {walltime}")
    return asked if told is None or asked.at < told.at else told


def _told_end(environment: Mapping[str, str], now: float, time_left: Callable[[str], float | None]) -> End | None:
    """When the batch system says that the time is over."""
    slurm = environment.get("SLURM_JOB_END_TIME", "")
    if slurm.isdecimal() and int(slurm) > now:
        return End(float(slurm), "SLURM_JOB_END_TIME")
    if "SLURM_JOB_ID" in environment:
        left = time_left(environment["SLURM_JOB_ID"])
        return None if left is None else End(now + left, f"squeue --jobs {environment['SLURM_JOB_ID']}")
    pbs, job = environment.get("PBS_WALLTIME", ""), environment.get("PBS_JOBID", "")
    if pbs and job:
        try:
            seconds = parse_duration(pbs)
        except RainException:
            return None
        # The job has run for as long as its oldest process that is above this one.
        return End(min(now, oldest_with(b"PBS_JOBID=" + job.encode()) or now) + seconds, "PBS_WALLTIME")
    return None


class Departures:
    """Asks a governor to leave when it is time.

    Parameters
    ----------
    leave : callable
        Called with a reason, and within how many seconds.
    stop : asyncio.Event
        Set when the governor has to end at once.
    end : End or None
    within_s : float
        How long it may take after SIGTERM.
    """

    def __init__(
        self, leave: Callable[[str, float], None], stop: asyncio.Event, end: End | None, within_s: float = LEAVE_S
    ) -> None:
        self._leave = leave
        self._stop = stop
        self._end = end
        self._within_s = within_s
        self._terminated = False
        self.by_signal = False
        now = time.time()
        self._lead_s = min(LEAVE_NOTICE_S, _LEAD_SHARE * (end.at - now)) if end is not None else 0.0
        self._ended = False

    def heed_signals(self, loop: asyncio.AbstractEventLoop) -> None:
        """From now on signals are heeded: SIGINT ends at once, and so does the second SIGTERM."""
        for number in (signal.SIGTERM, *NOTICES):
            loop.add_signal_handler(number, self._asked, number)

    def _asked(self, number: signal.Signals) -> None:
        if lifeline_is_lost() or (number is signal.SIGTERM and self._terminated):
            self._stop.set()
            return
        self.by_signal = True
        within_s = self._within_s
        if number in NOTICES:
            within_s = LEAVE_NOTICE_S
            if self._end is not None:
                within_s = max(0.0, min(within_s, self._left_s()))
        else:
            self._terminated = True
        self._leave(signal_name(number), within_s)

    def _left_s(self) -> float:
        """Seconds that are left, but for a moment in which the process itself ends."""
        assert self._end is not None
        return self._end.at - time.time() - _SPARE_SHARE * self._lead_s

    def look(self) -> None:
        """Now and then: whether the time is nearly over."""
        if self._end is None or self._ended or time.time() < self._end.at - self._lead_s:
            return
        self._ended = True
        at = time.strftime("%H:%M:%S", time.localtime(self._end.at))
        self._leave(f"its time is over at {at} ({self._end.source})", max(0.0, self._left_s()))
