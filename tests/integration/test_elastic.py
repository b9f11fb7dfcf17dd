"""An elastic pool from end to end: work waits for a place, a real governor comes, works, and leaves when it is idle."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from rain import Client, TaskException, remote
from rain.deploy.pools import choice, elastic
from rain.deploy.pools.places import PlaceState
from rain.deploy.pools.supplier import Job, JobState, Supplier
from tests.support.waiting import until


class Here:
    """Governors of two cpus as processes of this machine."""

    name = "here"
    look_s = idle_look_s = 0.05
    most = 3
    resources = {"cpus": 2.0}

    def __init__(self, server: str, token: Path) -> None:
        self.server = server
        self.token = token
        self.processes: list[subprocess.Popen[bytes]] = []

    def ask(self, number: int) -> str:
        words = ["governor", self.server, "--cpus", "2", "--token-file", str(self.token)]
        words += ["--id-file", str(self._id(number))]
        self.processes.append(subprocess.Popen([sys.executable, "-P", "-m", "rain", *words]))
        return str(len(self.processes) - 1)

    def _id(self, number: int) -> Path:
        return self.token.with_name(f"id-{number}")

    def show(self, jobs: Sequence[str]) -> dict[str, Job]:
        found = {}
        for job in jobs:
            status = self.processes[int(job)].poll()
            ended = JobState.RUNNING if status is None else JobState.ENDED
            found[job] = Job(ended, "RUNNING" if status is None else f"exit {status}")
        return found

    def governor(self, number: int) -> str:
        try:
            return self._id(number).read_text().split()[-1]
        except (OSError, IndexError):
            return ""

    def give_up(self, jobs: Sequence[str]) -> None:
        for job in jobs:
            self.processes[int(job)].terminate()

    def printed(self, number: int) -> str:
        return ""

    def close(self) -> None:
        self.token.unlink(missing_ok=True)

    def tidy(self, keep: bool) -> None:
        pass


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Here]]:
    made: list[Here] = []

    def supply(server: str, token: str) -> Supplier:
        path = tmp_path / "token"
        path.touch(0o600)
        path.write_text(token)
        made.append(Here(server, path))
        return made[-1]

    monkeypatch.setitem(choice.SUPPLIES, "here", lambda: supply)
    monkeypatch.setattr(elastic, "DEMAND_LOOK_S", 0.1)
    yield made
    for one in made:
        for process in one.processes:
            process.terminate()
            process.wait()


@remote()
def where(ctx, number: int = 0):  # type: ignore[no-untyped-def]
    return f"{number}"


def test_work_brings_a_place_which_leaves_when_it_is_idle(here: list[Here]) -> None:
    with Client.local(cpus=1) as client, client.new_session("elastic") as session:
        with pytest.raises(TaskException, match="no governor can ever hold it"):
            session.run(where(cpus=2))
        pool = client.pool("here", minimum=0, maximum=2, idle=0.5)
        made = where(7, cpus=2)
        assert session.run(made) == "7"
        place = pool.places[0]
        until(lambda: place.governor)
        assert made.info.governor == place.governor
        until(lambda: place.state is PlaceState.ENDED)
        assert here[0].processes[0].wait() == 0, "it left on purpose"
        assert len(pool.places) == 1
        assert session.run(where(8, cpus=2)) == "8"
        assert len(pool.places) == 2, "and another one comes"
