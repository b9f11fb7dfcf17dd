"""What a pool leaves on disk, and what other processes ask of it."""

from __future__ import annotations

import errno
import os
import re
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rain.cli.pools import list_ as list_pools
from rain.cli.pools import remove as remove_pool
from rain.client.operations.connection import Connection
from rain.client.places.pools import Pools
from rain.common.errors import RainException, RainWarning
from rain.common.limits import POOL_SALT_BYTES
from rain.common.protocol.messages import Offer
from rain.deploy.engines.jobs import JobSupplier
from rain.deploy.pools.on_disk import orphans, records, requests
from rain.deploy.pools.on_disk import published as published_module
from rain.deploy.pools.on_disk.requests import Request
from rain.deploy.pools.pool import Pool
from rain.net.auth import Credentials
from tests.support.commands import write_command
from tests.support.slurm_stand_in import SlurmStandIn
from tests.support.waiting import GUARD_S, until

SERVER = "10.0.0.1:7210"


class _Server:
    """Stands where the client's server would."""

    def open_pool(self, credentials: Credentials) -> Credentials:
        return credentials.of_pool(1, bytes(POOL_SALT_BYTES))

    def __init__(self) -> None:
        self.closed: list[int] = []

    def close_pool(self, credentials: Credentials) -> None:
        self.closed.append(credentials.pool)

    def lost(self) -> str:
        return ""

    def offer(self, pool: Pool, offer: Offer | None) -> None:
        pass


class _Nobody:
    """Stands where a client would."""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SlurmStandIn:
    made = SlurmStandIn(tmp_path)
    monkeypatch.setenv("PATH", made.path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(JobSupplier, "look_s", 0.05)
    monkeypatch.setattr(published_module, "POOL_REQUEST_LOOK_S", 0.05)
    return made


@pytest.fixture
def pools(slurm: SlurmStandIn) -> Iterator[Pools]:
    before = set(threading.enumerate())
    connection = Connection(SERVER)
    connection.link = SimpleNamespace(credentials=Credentials.generate())  # type: ignore[assignment]
    made = Pools(_Nobody(), connection)  # type: ignore[arg-type]
    made._server = _Server()  # type: ignore[assignment]
    yield made
    made.close(dismissed=False)
    for thread in set(threading.enumerate()) - before:  # also of pools that a test has closed: they start commands, and
        thread.join()  # write into the folder that the environment names


def opened(pools: Pools, places: int, name: str = "") -> Pool:
    return pools.open("slurm", places, name=name, cpus=4)


def record_of(pool: Pool) -> records.PoolRecord:
    return records.record_called(pool.id)


def dead_process() -> tuple[int, str]:
    """A number that no process has."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        return process.pid, "0"


def test_a_record_tells_its_pool(pools: Pools, slurm: SlurmStandIn) -> None:
    pool = opened(pools, 2, name="my thesis")
    until(lambda: [place.state for place in record_of(pool).places] == ["pending"] * 2)
    record = record_of(pool)
    assert pool.id.startswith("my-thesis-")
    assert (record.engine, record.server, record.wanted, record.ended) == ("slurm", SERVER, 2, False)
    assert [(place.number, place.job, place.told) for place in record.places] == [
        (1, "1", "Resources"),
        (2, "2", "Resources"),
    ]
    assert records.is_held(record)
    assert stat.S_IMODE(record.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(record.path.parent.stat().st_mode) == 0o700
    assert records.record_called("my thesis").id == pool.id
    pool.close()
    until(lambda: record_of(pool).ended)
    assert record_of(pool).places == []
    until(lambda: not record.requests.exists())


def test_a_pool_that_its_user_closes_is_closed_at_the_server_too(pools: Pools) -> None:
    with opened(pools, 1) as pool:
        assert pools.all() == [pool]
    assert pools.all() == []
    assert pools._server.closed == [1]  # type: ignore[attr-defined]
    pool.close()
    assert pools._server.closed == [1]  # type: ignore[attr-defined]


def test_names_that_mean_no_pool_or_several_are_told(pools: Pools) -> None:
    with pytest.raises(RainException, match="there is no pool x; those that are open: none"):
        records.record_called("x")
    first, second = opened(pools, 0, "twice"), opened(pools, 0, "twice")
    with pytest.raises(RainException, match=f"several pools are called twice: .*{second.id}"):
        records.record_called("twice")
    assert records.record_called(first.id).id == first.id


def test_a_pool_does_what_other_processes_ask(
    pools: Pools, slurm: SlurmStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = opened(pools, 1)
    record = record_of(pool)
    requests.ask(record, Request(action="scale", count=3))
    assert len(pool.places) == 3
    requests.ask(record, Request(action="drain", places=[2]))
    until(lambda: slurm.jobs() == ["1 PENDING", "2 CANCELLED", "3 PENDING"])
    (slurm.folder / "refused").write_text("no more today\n")
    with pytest.raises(RainException, match="no more today"):
        requests.ask(record, Request(action="scale", count=9))
    with pytest.raises(RainException, match="has no place 8"):
        requests.ask(record, Request(action="drain", places=[8]))
    (slurm.folder / "refused").unlink()
    with monkeypatch.context() as broken:
        broken.setattr(pool, "scale", lambda count: 1 // 0)
        with pytest.raises(RainException, match="by zero"):
            requests.ask(record, Request(action="scale", count=1))
    requests.ask(record, Request(action="remove"))
    assert pools.all() == []
    until(lambda: record_of(pool).ended)
    assert slurm.jobs() == ["1 CANCELLED", "2 CANCELLED", "3 CANCELLED"]


def test_a_request_that_cannot_be_read_harms_none(pools: Pools) -> None:
    pool = opened(pools, 0)
    record = record_of(pool)
    odd = record.requests / "odd.request"
    odd.write_bytes(b"{")
    until(lambda: not odd.exists())
    requests.ask(record, Request(action="scale", count=1))


def test_what_a_dead_process_left_is_shown_and_ended(slurm: SlurmStandIn) -> None:
    record = records.new_record("slurm", "slurm", SERVER)
    record.pid, record.started = dead_process()
    record.places = [records.PlaceRecord(number=n, job=str(n), state="pending") for n in (1, 2, 3)]
    record.used_core_s = 7200.0
    records.write(record)
    slurm.say("1|RUNNING|None|N/A", "2|PENDING|Priority|N/A", "3|COMPLETED|None|N/A")
    assert records.is_held(record) is False
    requests.opened(record)
    with pytest.raises(RainException, match=f"has ended; `rain pool remove {record.id}` ends its jobs"):
        requests.ask(record, Request(action="scale", count=1))
    orphans.settle(record)
    assert [(place.number, place.state, place.told) for place in record.places] == [
        (1, "running", ""),
        (2, "pending", "Priority"),
    ]
    orphans.end(record)
    assert slurm.jobs() == ["1 CANCELLED", "2 CANCELLED", "3 COMPLETED"]
    found = records.record_called(record.id)
    assert found.ended
    assert 7200.0 <= records.used_core_s("slurm") < 7200.0 + GUARD_S  # the first one ran until it was ended just now


def test_bounds_hold_over_restarts(pools: Pools, slurm: SlurmStandIn) -> None:
    record = records.new_record("night", "slurm", SERVER)
    record.pid, record.started = dead_process()
    record.places = [records.PlaceRecord(number=n, job=str(n), state="pending") for n in (1, 2)]
    record.used_core_s = 3600.0
    records.write(record)
    slurm.say("1|RUNNING|None|N/A", "2|COMPLETED|None|N/A")
    (slurm.folder / "count").write_text("2\n")
    with pytest.warns(RainWarning, match=f"pool {record.id} has ended, and left jobs 1 of slurm; `rain pool remove"):
        pool = opened(pools, 0, "night")
    assert pool.used_before_core_s == 3600.0
    assert pool.left_before == 1
    assert opened(pools, 0, "day").left_before == 0


def test_what_cannot_be_told_is_not_taken_for_ended(slurm: SlurmStandIn) -> None:
    record = records.new_record("slurm", "slurm", SERVER)
    record.pid, record.started = dead_process()
    record.places = [records.PlaceRecord(number=1, job="1", state="pending")]
    records.write(record)
    squeue = slurm.folder / "bin" / "squeue"
    write_command(squeue, "#!/bin/sh\nexit 1\n")
    assert "squeue" in orphans.settle(record)
    assert not records.record_called(record.id).ended
    assert len(record.places) == 1
    with pytest.raises(RainException, match=f"what was left of pool {record.id} was ended, but: squeue"):
        orphans.end(record)
    assert (slurm.folder / "cancelled").read_text() == "1\n"


def test_records_that_cannot_be_read_are_named_and_the_others_count(pools: Pools, capfd: Any) -> None:
    pool = opened(pools, 0, "first")
    folder = record_of(pool).path.parent
    (folder / "odd.json").write_text("{")
    (folder / "other.json").write_text((folder / f"{pool.id}.json").read_text())
    (folder / "newer.json").write_text((folder / f"{pool.id}.json").read_text().replace('"version":1', '"version":9'))
    assert [record.id for record in records.records()] == [pool.id]
    unread = records.known().unread
    names = [found[1] for found in map(re.compile(r"(\w+)\.json cannot be read").search, unread) if found]
    assert names == ["newer", "odd", "other"]
    with pytest.warns(RainWarning, match=r"(?s)odd\.json cannot be read.*do not count for this one"):
        opened(pools, 0, "second")
    list_pools(every=False)
    listed = capfd.readouterr()
    assert "first-" in listed.out
    assert "second-" in listed.out
    assert listed.err.count("rain pool list: the record of a pool at ") == 3


def test_a_record_that_cannot_be_written_is_named_and_the_others_are_settled(
    slurm: SlurmStandIn, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    made = [records.new_record(name, "slurm", SERVER) for name in ("bad", "good")]
    for record in made:
        record.pid, record.started = dead_process()
        record.places = [records.PlaceRecord(number=1, job="1", state="pending")]
        records.write(record)
    slurm.say("1|COMPLETED|None|N/A")
    replaced = os.replace

    def refused(partial: Any, path: Any) -> None:
        if "bad" in str(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replaced(partial, path)

    monkeypatch.setattr(os, "replace", refused)
    list_pools(every=False)
    listed = capfd.readouterr().out
    assert f"the record of pool {made[0].id} cannot be written at" in listed
    assert "good" not in listed
    assert records.record_called(made[1].id).ended


def test_a_folder_that_others_may_read_is_refused(pools: Pools, tmp_path: Path) -> None:
    folder = tmp_path / "state" / "rain" / "pools" / "records"
    folder.mkdir(parents=True)
    os.chmod(folder, 0o755)
    with pytest.raises(RainException, match="folder of pools"):
        opened(pools, 1)


def test_a_pool_of_a_host_that_is_gone_can_be_removed(slurm: SlurmStandIn, pools: Pools, capfd: Any) -> None:
    record = records.new_record("slurm", "slurm", SERVER)
    record.host = "login7.invalid"
    record.places = [records.PlaceRecord(number=1, job="1", state="up")]
    records.write(record)
    slurm.say("1|RUNNING|None|N/A")
    requests.opened(record)
    with pytest.raises(RainException, match=f"if its process has ended there, `rain pool remove --ended {record.id}`"):
        requests.ask(record, Request(action="remove"), timeout=0.1)
    remove_pool(record.id, ended=True)
    assert capfd.readouterr().out == f"pool {record.id} is removed\n"
    assert slurm.jobs() == ["1 CANCELLED"]
    assert records.record_called(record.id).ended
    (slurm.folder / "count").write_text("1\n")
    pool = opened(pools, 1, "here")
    with pytest.raises(RainException, match="remove it without --ended"):
        remove_pool(pool.id, ended=True)


def test_blocks_of_a_providers_pool_are_named_before_it_is_forgotten(slurm: SlurmStandIn) -> None:
    record = records.PoolRecord(
        id="lsf-1", name="lsf", engine="parsl's LSFProvider", server="h:1", host="h", pid=1, started="1",
        places=[records.PlaceRecord(number=1, job="17", state="pending", told="", governor="")],
    )  # fmt: skip
    records.write(record)
    assert "`rain pool remove lsf-1` names them" in orphans.settle(record)
    assert not record.ended
    with pytest.raises(RainException, match=r"cannot be asked without its object: 17$"):
        orphans.end(record)
    assert record.ended
