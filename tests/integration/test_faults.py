"""Processes are killed at every point where that can happen; nothing recoverable is lost and nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import psutil
import pytest

from rain import Client, RainException, SessionException, TaskException, blob, remote, tasks
from tests.support.processes import Marked, kill_guardian
from tests.support.waiting import GUARD_S, until


@remote(auto_load=True, auto_encode="json")
def add(ctx: Any, *values: Any) -> Any:
    return sum(values)


@remote(auto_load=True, auto_encode="pickle")
def large(ctx: Any, mark: str, size: int) -> bytes:
    with open(mark, "a") as file:
        file.write("made\n")
    return b"x" * size


@remote(auto_load=True, auto_encode="json")
def length(ctx: Any, data: bytes) -> int:
    return len(data)


@remote(auto_encode="json")
def announce_and_wait(ctx: Any, mark: str, gate: str) -> int:
    """Say (in the file `mark`) which process this is, wait until `gate` exists."""
    import os
    import time

    with open(mark, "a") as file:
        file.write(f"{os.getpid()}\n")
    while not os.path.exists(gate):
        time.sleep(0.005)
    return 7


def pids_in(mark: Path) -> list[int]:
    return [int(line) for line in mark.read_text().splitlines()] if mark.exists() else []


def kill(process: psutil.Process | int, number: int = signal.SIGKILL) -> None:
    os.kill(process if isinstance(process, int) else process.pid, number)


def governors(marked: Marked) -> list[psutil.Process]:
    return marked.named("rain-governor")


# -- executors ------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_a_killed_executor_is_replaced(client: Client, tmp_path: Path, number: int) -> None:
    mark, gate = tmp_path / "mark", tmp_path / "gate"
    with client.new_session("killed") as session:
        task = announce_and_wait(str(mark), str(gate))
        task.keep_outputs()
        session.submit()
        until(lambda: len(pids_in(mark)) == 1, "the task runs")
        kill(pids_in(mark)[0], number)
        until(lambda: len(pids_in(mark)) == 2, "the task runs again")
        gate.touch()
        assert task.output.fetch().load() == 7
        assert task.info.attempts == 2


@pytest.mark.parametrize(("number", "name"), [(signal.SIGKILL, "SIGKILL"), (signal.SIGSEGV, "SIGSEGV")])
def test_a_poison_task_stops_at_its_third_crash(client: Client, tmp_path: Path, number: int, name: str) -> None:
    mark = tmp_path / "mark"

    @remote()
    def poison(ctx: Any) -> bytes:
        import os

        with open(mark, "a") as file:
            file.write(f"{os.getpid()}\n")
        os.write(2, b"last words\n")
        os.kill(os.getpid(), number)
        return b""

    with client.new_session("poison") as session:
        innocent = [add(i, 1) for i in range(20)]
        task = poison()
        more = [add(i, 2) for i in range(20)]
        for each in innocent + more:
            each.keep_outputs()
        session.submit()
        failed = session.wait_all(raise_on_failure=False)
        assert failed == [task]
        assert len(pids_in(mark)) == 3
        with pytest.raises(TaskException) as caught:
            task.wait()
        text = str(caught.value)
        assert name in text
        assert "last words" in text
        assert ("Neither Rain sent this signal nor the kernel for lack of memory" in text) is (number == signal.SIGKILL)
        assert caught.value.attempts == 3
        assert [each.output.fetch().load() for each in innocent] == [i + 1 for i in range(20)]
        assert [each.output.fetch().load() for each in more] == [i + 2 for i in range(20)]
        assert all(each.info.attempts == 1 for each in innocent + more)


def test_a_kill_by_rain_is_called_one(client: Client, tmp_path: Path) -> None:
    gate = tmp_path / "gate"  # never made

    @remote()
    def deaf(ctx: Any) -> bytes:
        import os
        import time

        os.closerange(3, 1024)
        while not os.path.exists(gate):
            time.sleep(0.01)
        return b""

    with client.new_session("deaf") as session:
        task = deaf(rerun="never")
        session.submit()
        with pytest.raises(TaskException, match="Rain sent this signal, because it closed the connection") as caught:
            task.wait()
        assert "memory:" not in str(caught.value)


def test_a_task_that_leaves_by_exit(client: Client) -> None:
    @remote()
    def leaves(ctx: Any) -> bytes:
        import os

        os._exit(5)

    with client.new_session("exit") as session:
        task = leaves()
        session.submit()
        with pytest.raises(TaskException, match=r"exit.*5"):
            task.wait()


def test_what_a_task_starts_ends_with_its_cancel(client: Client, tmp_path: Path) -> None:
    """Also children that went into sessions of their own and ignore signals."""
    mark = tmp_path / "mark"
    script = f"setsid sh -c 'trap \"\" INT TERM HUP; echo $$ >> {mark}; sleep 600' & echo $$ >> {mark}; wait"
    with client.new_session("cancel") as session:
        task = tasks.Execute(script, shell=True)
        session.submit()
        until(lambda: len(pids_in(mark)) == 2, "both processes run")
        pids = pids_in(mark)
        task.cancel()
        until(lambda: not any(psutil.pid_exists(pid) for pid in pids), "both are gone")


def test_closing_a_session_kills_what_runs(client: Client, tmp_path: Path) -> None:
    mark, gate = tmp_path / "mark", tmp_path / "gate"
    with client.new_session("closed") as session:
        for _ in range(2):
            announce_and_wait(str(mark), str(gate))
        session.submit()
        until(lambda: len(pids_in(mark)) == 2, "both tasks run")
    assert not any(psutil.pid_exists(pid) for pid in pids_in(mark))
    info = client.get_server_info()["governors"]
    assert all(not governor["tasks"] and not governor["objects"] for governor in info)


# -- governors ------------------------------------------------------------------------------------


def test_a_killed_governors_tasks_run_elsewhere(marked: Marked, tmp_path: Path) -> None:
    mark, gate = tmp_path / "mark", tmp_path / "gate"
    with Client.local(cpus=2, governors=2) as client, client.new_session("lost") as session:
        running = [announce_and_wait(str(mark), str(gate)) for _ in range(2)]
        waiting = [add(i, i) for i in range(50)]
        for task in running + waiting:
            task.keep_outputs()
        session.submit()
        until(lambda: len(pids_in(mark)) == 2, "a task runs on each governor")
        kill(governors(marked)[0])
        gate.touch()
        assert [task.output.fetch().load() for task in running] == [7, 7]
        assert [task.output.fetch().load() for task in waiting] == [2 * i for i in range(50)]
        assert sorted(task.info.attempts for task in running) == [1, 2]


def test_the_only_governor_of_a_private_cluster_is_started_again(marked: Marked, tmp_path: Path) -> None:
    mark, gate = tmp_path / "mark", tmp_path / "gate"
    with Client.local(cpus=1) as client, client.new_session("alone") as session:
        task = announce_and_wait(str(mark), str(gate))
        task.keep_outputs()
        session.submit()
        until(lambda: pids_in(mark), "the task runs")
        kill(governors(marked)[0])
        gate.touch()
        assert task.output.fetch(timeout=GUARD_S).load() == 7
        assert task.info.attempts == 2


def test_lost_objects_are_computed_again(marked: Marked, tmp_path: Path) -> None:
    """Large objects lie on the governor that made them; after its death they come from their lineage."""
    size = 1 << 20
    marks = [tmp_path / f"mark{i}" for i in range(4)]
    with Client.local(cpus=2, governors=2) as client, client.new_session("lineage") as session:
        made = [large(str(mark), size) for mark in marks]
        for task in made:
            task.keep_outputs()
        session.submit()
        session.wait_all()
        held = {task.info.governor for task in made}
        kill(governors(marked)[0])
        lengths = [length(task) for task in made]
        for task in lengths:
            task.keep_outputs()
        session.submit()
        assert [task.output.fetch().load() for task in lengths] == [size] * 4
        assert all(task.output.fetch().load() == b"x" * size for task in made)
        times = [len(mark.read_text().splitlines()) for mark in marks]
        assert max(times) <= 2
        assert len(held) == 1 or sum(times) < 8


def test_a_task_that_must_not_run_twice_fails(marked: Marked, tmp_path: Path) -> None:
    mark, gate = tmp_path / "mark", tmp_path / "gate"
    with Client.local(cpus=1) as client, client.new_session("once") as session:
        task = announce_and_wait(str(mark), str(gate), rerun="never")
        session.submit()
        until(lambda: pids_in(mark), "the task runs")
        until(lambda: task.state is not None and task.state.value == "running", "the server knows that it runs")
        kill(governors(marked)[0])
        with pytest.raises(TaskException, match=r"never|again"):
            task.wait()
        assert len(pids_in(mark)) == 1


def test_a_paused_governor_does_no_harm(marked: Marked, tmp_path: Path) -> None:
    """Stopped until it is given up, then continued: its stale results are dropped."""
    mark, gate = tmp_path / "mark", tmp_path / "gate"
    with Client.local(cpus=2, governors=2) as client, client.new_session("paused") as session:
        running = [announce_and_wait(str(mark), str(gate)) for _ in range(2)]
        for task in running:
            task.keep_outputs()
        session.submit()
        until(lambda: len(pids_in(mark)) == 2, "a task runs on each governor")
        paused = governors(marked)[0]
        kill(paused, signal.SIGSTOP)
        try:
            until(lambda: len(client.get_server_info()["governors"]) == 1, "the governor is given up")
            gate.touch()
            session.wait_all()
        finally:
            kill(paused, signal.SIGCONT)
        assert [task.output.fetch().load() for task in running] == [7, 7]
        until(lambda: len(client.get_server_info()["governors"]) == 2, "the governor is back, with nothing")
        assert session.run(add(1, 2)) == 3


# -- clients, servers, orphans --------------------------------------------------------------------

ORPHANS = """
    import sys, time
    from rain import Client, tasks
    client = Client.local(cpus=2)
    session = client.new_session("orphans", default=True)
    tasks.Execute("setsid sleep 600 & sleep 600", shell=True)
    tasks.Execute("trap '' INT TERM; echo $$ > {mark}; sleep 600", shell=True)
    session.submit()
    print("ready", flush=True)
    time.sleep(600)
"""


def client_is_killed(marked: Marked, folder: Path, number: int) -> None:
    """... and nothing of it is left."""
    mark = folder / "mark"
    code = textwrap.dedent(ORPHANS).format(mark=mark)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        until(lambda: len(marked.named("sleep")) >= 2 and mark.exists(), "the tasks run")
        process.send_signal(number)
    until(lambda: not marked.processes(), "all processes are gone")


def part_is_killed(marked: Marked, part: str) -> None:
    """... and nothing of its cluster is left when its client closes."""
    with Client.local(cpus=1) as client, client.new_session("parts", default=True) as session:
        tasks.Execute("setsid sleep 600 & sleep 600", shell=True)
        session.submit()
        until(lambda: len(marked.named("sleep")) >= 2, "the task runs")
        found = [marked.guardian()] if part == "guardian" else marked.named(f"rain-{part}")
        assert len(found) == 1
        kill_guardian(found[0].pid) if part == "guardian" else kill(found[0])
        try:
            session.close()
        except RainException:
            pass
    until(lambda: not marked.processes(), "all processes are gone")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_client_leaves_nothing(marked: Marked, tmp_path: Path, number: int) -> None:
    client_is_killed(marked, tmp_path, number)


@pytest.mark.parametrize("part", ["guardian", "governor", "server"])
def test_a_killed_part_leaves_nothing_after_close(marked: Marked, part: str) -> None:
    part_is_killed(marked, part)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("part", ["client", "guardian", "governor", "server"])
def test_killed_twenty_times_each_leaves_nothing(marked: Marked, tmp_path: Path, part: str) -> None:
    for number in range(20):
        (folder := tmp_path / str(number)).mkdir()
        if part == "client":
            client_is_killed(marked, folder, signal.SIGKILL)
        else:
            part_is_killed(marked, part)


def test_a_client_of_a_dead_server_does_not_hang(marked: Marked) -> None:
    with Client.local(cpus=1) as client:
        session = client.new_session("dead")
        kill_guardian(marked.guardian().pid)
        with pytest.raises((RainException, SessionException)):
            session.run(tasks.Sleep(blob("a"), 600), timeout=GUARD_S)


@pytest.mark.parametrize(
    "cycles", [3, pytest.param(200, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])], ids=["few", "many"]
)
def test_many_starts_and_stops_leave_nothing(marked: Marked, cycles: int) -> None:
    own = psutil.Process()
    with Client.local(cpus=1):
        pass
    descriptors, threads = own.num_fds(), own.num_threads()
    for _ in range(cycles):
        with Client.local(cpus=1) as client, client.new_session("short") as session:
            assert session.run(tasks.Concat([blob("a")])) == b"a"
    until(lambda: not marked.processes(), "all processes are gone")
    assert own.num_fds() <= descriptors
    assert own.num_threads() <= threads
    assert not [child for child in own.children() if child.status() == psutil.STATUS_ZOMBIE]


# -- a full disk ----------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path):
    """A folder on a file system of 8 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"cannot mount a small file system: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_is_named_and_service_recovers(client: Client, small_disk: Path) -> None:
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * (7 << 20))
    target = small_disk / "out"
    with client.new_session("full") as session:
        data = large(os.devnull, 4 << 20)
        store = tasks.Store(data, target)
        session.submit()
        with pytest.raises(TaskException, match=rf"(?s){target}.*(space|full)"):
            store.wait()
        assert not target.exists()
        filler.unlink()
        again = tasks.Store(large(os.devnull, 4 << 20), target)
        session.submit()
        again.wait()
        assert target.stat().st_size > 4 << 20


@remote()
def fill(ctx: Any, path: str, size: int, limit: int) -> bytes:
    import resource

    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        with open(path, "wb") as file:
            file.write(bytes(size))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return b""


def test_a_full_disk_under_a_python_task_is_named(client: Client, small_disk: Path) -> None:
    target = small_disk / "data"
    with client.new_session("full") as session:
        task = fill(str(target), 16 << 20, 0)
        session.submit()
        with pytest.raises(TaskException, match=rf"no space left to write {target}: 0 bytes are free there"):
            task.wait()


def test_a_limit_of_files_is_not_called_a_full_disk(client: Client, tmp_path: Path) -> None:
    target = tmp_path / "data"
    with client.new_session("limit") as session:
        task = fill(str(target), 1 << 20, 1 << 16)
        session.submit()
        with pytest.raises(TaskException, match=r"data cannot grow any more: .*RLIMIT_FSIZE \(ulimit -f\)") as caught:
            task.wait()
        assert "no space left" not in str(caught.value)
        program = tasks.Execute("ulimit -f 1; head -c 100000 /dev/zero > big", shell=True)
        session.submit()
        with pytest.raises(TaskException, match="SIGXFSZ"):
            program.wait()
