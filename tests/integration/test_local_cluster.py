"""Private clusters: up quickly, owned, and gone with their owner however it dies."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from rain.cli.server_query import server_info
from rain.client.local_cluster import LocalCluster, split_cpus
from rain.common.errors import RainException
from rain.host.process_table import descendants, is_alive
from rain.processes import connection_files
from tests.support.processes import kill_guardian
from tests.support.waiting import GUARD_S


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    yield
    tempfile.tempdir = None


def info(cluster: LocalCluster):
    return server_info(cluster.address, connection_files.read(cluster.connection_file).credentials)


def ended(handles: list[int]) -> bool:
    try:
        return all(select.select([handle], [], [], GUARD_S)[0] for handle in handles)
    finally:
        for handle in handles:
            os.close(handle)


def handles_of(pid: int) -> list[int]:
    handles = []
    for member in (pid, *descendants(pid)):
        with contextlib.suppress(ProcessLookupError):  # a short-lived one
            handles.append(os.pidfd_open(member))
    return handles


def test_it_is_ready_when_made_and_gone_when_closed(tmp_path):
    with LocalCluster(cpus=3, governors=2) as cluster:
        assert sorted(governor.resources["cpus"] for governor in info(cluster).governors) == [3, 3]
        assert "2 governors" in repr(cluster)
        assert list(tmp_path.glob("rain/*")) == [], "it is not announced to others"
        handles = handles_of(cluster._launch.pid)
        assert len(handles) >= 4
    assert ended(handles)
    assert list(tmp_path.glob("rain-*")) == []
    cluster.close()


def test_without_governors():
    with LocalCluster(governors=0) as cluster:
        assert info(cluster).governors == []


def test_cpus_are_split():
    assert [split_cpus(7, 3), split_cpus(1, 2), split_cpus(4, 0)] == [[3, 2, 2], [1, 1], []]


def test_wrong_arguments():
    with pytest.raises(RainException, match="governors must be a number"):
        LocalCluster(governors="2")  # type: ignore[arg-type]
    with pytest.raises(RainException, match="cpus must be a number"):
        LocalCluster(cpus="many")


def test_a_bad_configuration_is_one_clear_error_and_leaves_nothing(tmp_path):
    config = tmp_path / "governor.toml"
    config.write_text("[resources]\ngpus = 'two'\n")
    with pytest.raises(RainException, match=r"resource gpus must be a number of at least 0, not 'two'$"):
        LocalCluster(cpus=1, config=config)
    assert list(tmp_path.glob("rain-*")) == []


OWNER = """
import signal, sys
from rain.client.local_cluster import LocalCluster
cluster = LocalCluster(cpus=1)
print(cluster._launch.pid, flush=True)
{then}
"""


def owner(then: str) -> tuple[subprocess.Popen[str], list[int]]:
    process = subprocess.Popen([sys.executable, "-c", OWNER.format(then=then)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, handles_of(int(process.stdout.readline()))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_it_ends_with_its_owner(number, tmp_path):
    process, handles = owner("signal.pause()")
    process.send_signal(number)
    process.wait(GUARD_S)
    assert ended(handles)
    assert list(tmp_path.glob("rain-*")) == []


@pytest.mark.parametrize("then", ["", "1 / 0", "sys.exit(3)", "import os; os._exit(0)", "del cluster"])
def test_it_ends_when_its_owner_does(then, tmp_path):
    process, handles = owner(then)
    process.communicate(timeout=GUARD_S)
    assert ended(handles)
    assert list(tmp_path.glob("rain-*")) == []


def test_a_keyboard_interrupt_does_not_reach_it():
    with LocalCluster(cpus=1) as cluster:
        mine = os.getpgid(0)
        members = [cluster._launch.pid, *descendants(cluster._launch.pid)]
        assert all(os.getpgid(pid) != mine and os.getsid(pid) != os.getsid(0) for pid in members)


def test_a_forked_child_neither_ends_nor_holds_it():
    cluster = LocalCluster(cpus=1)
    child = os.fork()
    if child == 0:
        cluster.close()
        signal.pause()
        os._exit(0)
    assert info(cluster).governors != []
    handles = handles_of(cluster._launch.pid)
    cluster.close()
    assert ended(handles)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def test_a_killed_server_is_started_again_at_its_address():
    with LocalCluster(cpus=1) as cluster:
        before = connection_files.read(cluster.connection_file)
        handle = os.pidfd_open(before.pid)
        os.kill(before.pid, signal.SIGKILL)
        assert ended([handle])
        assert info(cluster).address == cluster.address  # waits in the listener's queue until it is back
        after = connection_files.read(cluster.connection_file)
        assert after.pid != before.pid
        assert after.keys == before.keys


def test_what_a_killed_guardian_left_is_removed_by_the_next(tmp_path, monkeypatch):
    cluster = LocalCluster(cpus=1)
    handles = handles_of(cluster._launch.pid)
    folder = Path(cluster.folder)
    kill_guardian(cluster._launch.pid)
    assert ended(handles)
    assert folder.exists()
    os.utime(folder, (0, 0))
    with LocalCluster(cpus=1):
        assert not folder.exists()
    cluster.close()


def test_many_cycles_leave_nothing(tmp_path):
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with LocalCluster(cpus=1) as cluster:
            guardian = cluster._launch.pid
        assert not is_alive(guardian)
    assert len(os.listdir("/proc/self/fd")) == before
    assert list(tmp_path.glob("rain-*")) == []
