"""The folder of a pool where nothing can be written."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from rain.common.errors import RainException
from rain.deploy.engines.batch import Order
from rain.deploy.engines.jobs import JobSupplier
from rain.deploy.engines.pbs import Pbs
from rain.deploy.engines.slurm import Slurm
from rain.deploy.engines.steps import StepSupplier
from rain.deploy.pools.folder import PoolFolder
from rain.deploy.pools.places import PlaceState
from rain.deploy.pools.pool import Pool
from rain.deploy.pools.supplier import Supplier
from tests.support.commands import write_command
from tests.support.slurm_stand_in import SlurmStandIn
from tests.support.waiting import until


def refuse(monkeypatch: pytest.MonkeyPatch, number: int, name: str) -> None:
    """Files of that name cannot be written."""
    opened = os.open

    def refused(path: Any, *rest: Any, **named: Any) -> int:
        if os.fspath(path).endswith(name):
            raise OSError(number, os.strerror(number), path)
        return opened(path, *rest, **named)

    monkeypatch.setattr(os, "open", refused)


def jobs(folder: PoolFolder) -> Supplier:
    return JobSupplier(Slurm(), "10.0.0.1:7210", Order(), folder)


def steps(folder: PoolFolder) -> Supplier:
    return StepSupplier(Pbs(), {"a.invalid": 0, "b.invalid": 1}, "10.0.0.1:7210", folder)


@pytest.mark.parametrize("made", [jobs, steps])
@pytest.mark.parametrize(
    ("number", "words"), [(errno.ENOSPC, "bytes are free there"), (errno.EROFS, "Read-only"), (errno.EDQUOT, "quota")]
)
def test_a_full_or_read_only_home_asks_the_engine_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: Any, number: int, words: str
) -> None:
    batch = SlurmStandIn(tmp_path)
    monkeypatch.setenv("PATH", batch.path)
    folder = PoolFolder("the-token", tmp_path / "shared")
    with Pool(made(folder)) as pool:
        with monkeypatch.context() as patched:
            refuse(patched, number, ".sh")
            with pytest.raises(RainException, match=rf"place-1\.sh.*{words}.*make room there, or name another one"):
                pool.scale(1)
        assert pool.places == []
        assert not list(tmp_path.glob("job-*"))
        assert not list(folder.path.glob("*.sh"))


def test_a_pool_without_a_folder_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, errno.ENOSPC, "token")
    with pytest.raises(RainException, match=r"token.*make room there"):
        PoolFolder("the-token", tmp_path / "shared")
    assert list((tmp_path / "shared").iterdir()) == []


def test_steps_are_told_to_leave_also_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_command(tmp_path / "pbsdsh", '#!/bin/sh\nshift 3\nexec "$@"\n')
    write_command(
        tmp_path / "python", "#!/bin/sh\ntrap 'echo told; exit 0' TERM\necho there\nwhile :; do sleep 0.05; done\n"
    )
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(StepSupplier, "look_s", 0.05)
    folder = PoolFolder("the-token", tmp_path / "shared")
    supplier = StepSupplier(Pbs(), {"a.invalid": 0}, "10.0.0.1:7210", folder, str(tmp_path / "python"))
    with Pool(supplier) as pool:
        pool.scale(1)
        until(lambda: supplier.printed(1) == "there")
        with monkeypatch.context() as patched:
            refuse(patched, errno.ENOSPC, "")
            pool.scale(0)
        until(lambda: pool.places[0].state is PlaceState.ENDED)
        assert pool.places[0].reason == "exit status 0"
        assert supplier.printed(1) == "there\ntold"


def test_jobs_end_also_where_the_token_cannot_be_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = SlurmStandIn(tmp_path)
    monkeypatch.setenv("PATH", batch.path)
    monkeypatch.setattr(JobSupplier, "look_s", 0.1)
    pool = Pool(jobs(PoolFolder("the-token", tmp_path / "shared")))
    pool.scale(1)

    def refused(path: Path, missing_ok: bool = False) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", refused)
        with pytest.raises(RainException, match=r"the token of a pool cannot be removed: .*Read-only"):
            pool.close()
    assert (tmp_path / "cancelled").read_text() == "1\n"
    pool.close()
    pool._thread.join()
