"""When a governor is asked to leave from outside."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest

from rain.common.errors import RainException
from rain.common.limits import LEAVE_NOTICE_S
from rain.governor.surroundings.leaving import Departures, End, known_end, parse_duration, slurm_time_left
from rain.host.process_table import oldest_with
from tests.support.commands import write_command


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("1:30", 90),
        ("01:00:00", 3600),
        ("2-12:00:00", 216_000),
        ("1.5h", 5400),
        (" 30M ", 1800),
        ("1d", 86_400),
    ],
)
def test_durations_are_read_as_batch_systems_write_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-5", "1:2:3:4", "2-12", "1h30", "UNLIMITED"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(RainException, match="is not a time"):
        parse_duration(text)


def test_of_the_option_and_the_batch_system_the_sooner_counts() -> None:
    environment = {"SLURM_JOB_END_TIME": "5000", "PBS_WALLTIME": "10", "PBS_JOBID": "1"}
    assert known_end("60", environment, 1000.0) == End(1060.0, "--walltime 60")
    assert known_end("2h", environment, 1000.0) == End(5000.0, "SLURM_JOB_END_TIME")
    assert known_end("", environment, 1000.0) == End(5000.0, "SLURM_JOB_END_TIME")
    assert known_end("", {"SLURM_JOB_END_TIME": "Unknown"}, 1000.0) is None
    assert known_end("", {}, 1000.0) is None


def test_slurm_is_asked_where_its_variables_say_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert known_end("", {"SLURM_JOB_ID": "7"}, 1000.0, lambda job: 60.0) == End(1060.0, "squeue --jobs 7")
    assert known_end("", {"SLURM_JOB_ID": "7"}, 1000.0, lambda job: None) is None
    squeue = tmp_path / "squeue"
    write_command(squeue, '#!/bin/sh\n[ "$3" = 7 ] || exit 1\necho 1-02:00:00\n')
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert slurm_time_left("7") == 93_600.0
    assert slurm_time_left("8") is None
    write_command(squeue, "#!/bin/sh\necho UNLIMITED\n")
    assert slurm_time_left("7") is None
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert slurm_time_left("7") is None


def test_a_pbs_job_began_with_its_oldest_process(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    end = known_end("", {"PBS_WALLTIME": "600", "PBS_JOBID": "77.nowhere"}, now)
    assert end == End(now + 600, "PBS_WALLTIME")  # no process has it in its environment
    environment = Path("/proc/self/environ").read_bytes()
    name = next(entry for entry in environment.split(b"\0") if b"=" in entry)
    began = oldest_with(name)
    assert began is not None
    assert began <= now


class _Asked:
    """What a governor is asked."""

    def __init__(self, end: End | None = None) -> None:
        self.wishes: list[tuple[str, float]] = []
        self.stop = asyncio.Event()
        self.heard = asyncio.Event()
        self.departures = Departures(self._hear, self.stop, end, 20.0)

    def _hear(self, *wish: Any) -> None:
        self.wishes.append(wish)
        self.heard.set()


async def _signalled(asked: _Asked, *numbers: int) -> None:
    loop = asyncio.get_running_loop()
    asked.departures.heed_signals(loop)
    for number in numbers:
        os.kill(os.getpid(), number)
        waits = [loop.create_task(event.wait()) for event in (asked.heard, asked.stop)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        asked.heard.clear()
    for number in (15, 10, 12):
        loop.remove_signal_handler(number)


def test_sigterm_asks_and_the_second_one_insists() -> None:
    asked = _Asked()
    asyncio.run(_signalled(asked, 15, 15))
    assert asked.wishes == [("SIGTERM", 20.0)]
    assert asked.stop.is_set()
    assert asked.departures.by_signal


def test_a_notice_gives_more_time_but_not_more_than_there_is() -> None:
    asked = _Asked()
    asyncio.run(_signalled(asked, 10))
    assert asked.wishes == [("SIGUSR1", LEAVE_NOTICE_S)]
    asked = _Asked(End(time.time() + 30, "a test"))
    asyncio.run(_signalled(asked, 12))
    ((name, within_s),) = asked.wishes
    assert name == "SIGUSR2"
    assert 25 < within_s < 30


def test_the_end_of_the_time_asks_once_when_it_is_near() -> None:
    asked = _Asked(End(time.time() + 1000, "a test"))
    asked.departures.look()
    assert asked.wishes == []
    near = _Asked(End(time.time(), "a test"))
    near.departures.look()
    near.departures.look()
    ((why, within_s),) = near.wishes
    assert "(a test)" in why
    assert within_s == 0.0
