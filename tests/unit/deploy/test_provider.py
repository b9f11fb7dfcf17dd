"""A provider object of parsl supplies places; this one is a stand-in with parsl's methods."""

from __future__ import annotations

import enum
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rain.common.errors import RainException
from rain.deploy.engines.provider import ProviderSupplier
from rain.deploy.pools.choice import supply_of
from rain.deploy.pools.places import PlaceState
from rain.deploy.pools.pool import Pool, pool_of
from rain.net.auth import Credentials
from tests.support.waiting import GUARD_S, until

JobState = enum.IntEnum(
    "JobState", ["UNKNOWN", "PENDING", "RUNNING", "CANCELLED", "COMPLETED", "FAILED", "TIMEOUT", "HELD"]
)


class CloudProvider:
    """Blocks that a test lets run."""

    nodes_per_block = 1
    cores_per_node = 4

    def __init__(self) -> None:
        self.script_dir: str | None = None
        self.states: dict[int, JobState] = {}
        self.lines: list[str] = []
        self.folders: list[str] = []
        self.trouble: Exception | None = None
        self.obeys = True

    def submit(self, command: str, tasks_per_node: int, job_name: str = "") -> object:
        if self.trouble is not None:
            raise self.trouble
        assert tasks_per_node == 1
        assert self.script_dir is not None
        self.lines.append(command)
        self.folders.append(self.script_dir)
        self.states[len(self.lines)] = JobState.PENDING
        return len(self.lines)

    def status(self, job_ids: Sequence[int]) -> list[Any]:
        return [SimpleNamespace(state=self.states[job], message="no quota") for job in job_ids]

    def cancel(self, job_ids: Sequence[int]) -> list[bool]:
        if self.obeys:
            for job in job_ids:
                self.states[job] = JobState.CANCELLED
        return [self.obeys for _ in job_ids]


@pytest.fixture
def provider() -> CloudProvider:
    return CloudProvider()


@pytest.fixture
def pool(provider: CloudProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pool]:
    monkeypatch.setattr(ProviderSupplier, "look_s", 0.05)
    supply = supply_of(provider, folder=tmp_path, python="/far/python")
    made = pool_of(supply, "10.0.0.1:7210", Credentials.generate())
    yield made
    provider.obeys = True
    made.close()
    made._thread.join()


def test_blocks_come_and_go(pool: Pool, provider: CloudProvider, tmp_path: Path) -> None:
    pool.scale(2)
    until(lambda: all(place.state is PlaceState.PENDING for place in pool.places))
    assert repr(pool.places[0]) == "<Place 1: pending, job 1 (no quota)>"
    assert pool.resources == {"cpus": 4.0}
    [folder] = tmp_path.iterdir()
    assert provider.folders == [str(folder)] * 2
    assert provider.script_dir is None  # it is the user's
    line = provider.lines[0].replace("/far/python -P -m rain governor", "echo")
    subprocess.run(["sh", "-c", line], check=True)
    log = (folder / "place-1.log").read_text()
    assert log == f"10.0.0.1:7210 --token-file {folder}/token --token-comes --id-file {folder}/place-1.id --cpus 4\n"
    (folder / "place-1.id").write_text("h:1\n")
    provider.states[1] = JobState.RUNNING
    pool.wait(1, timeout=GUARD_S)
    provider.states[2] = JobState.FAILED
    (folder / "place-2.log").write_text("no module named rain\n")
    with pytest.raises(RainException, match=r"(?s)ended, job 2 .FAILED.*no module named rain"):
        pool.wait(2, timeout=GUARD_S)
    pool.scale(0)
    until(lambda: pool.places[0].state is PlaceState.ENDED)
    assert provider.states[1] is JobState.CANCELLED


def test_what_a_provider_raises_is_told(pool: Pool, provider: CloudProvider) -> None:
    provider.trouble = ValueError("no credits")
    with pytest.raises(RainException, match="parsl's CloudProvider: ValueError: no credits"):
        pool.scale(1)
    provider.trouble = None
    pool.scale(1)
    provider.obeys = False
    with pytest.raises(RainException, match="parsl's CloudProvider could not cancel 1"):
        pool.close()


def test_what_a_provider_answers_is_not_trusted(pool: Pool, provider: CloudProvider, monkeypatch: Any) -> None:
    pool.scale(2)
    with monkeypatch.context() as patched:
        patched.setattr(provider, "status", lambda jobs: [])
        until(lambda: "parsl's CloudProvider: ValueError" in pool.trouble)
        patched.setattr(provider, "status", lambda jobs: [SimpleNamespace(state=7) for _ in jobs])
        until(lambda: "parsl's CloudProvider: AttributeError" in pool.trouble)
        patched.setattr(provider, "cancel", lambda jobs: [True])
        with pytest.raises(RainException, match="parsl's CloudProvider: ValueError"):
            pool.scale(0)


def test_a_place_is_one_host(provider: CloudProvider) -> None:
    provider.nodes_per_block = 2
    with pytest.raises(RainException, match="CloudProvider is to have nodes_per_block=1, not 2"):
        supply_of(provider)
    with pytest.raises(RainException, match="have no option 'cpus'"):
        supply_of(CloudProvider(), cpus=2)
