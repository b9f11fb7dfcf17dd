"""A server that is killed is started again and goes on: nothing that finished runs again, what runs goes on, who waits
waits on."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from rain import Client, RainException, blob, remote, tasks
from rain.client.core import stalls
from rain.client.handles import inside
from rain.deploy.start import Started, StartOptions, start
from rain.host.process_table import descendants, is_alive
from rain.processes import connection_files
from tests.support.processes import Marked, end_guardian, kill_guardian
from tests.support.waiting import GUARD_S, until

# On a loaded machine it takes long enough that clients say that they wait.
pytestmark = pytest.mark.filterwarnings("ignore:the server at .* has not answered")


@remote(auto_encode="pickle")
def counted(ctx: Any, folder: str, number: int, seconds: float = 0.0) -> Any:
    """Leaves a file for each execution."""
    import os
    import time

    open(f"{folder}/{number}.{os.getpid()}.{time.monotonic_ns()}", "w").close()
    time.sleep(seconds)
    return number * number


@remote(auto_encode="pickle")
def added(ctx: Any, folder: str, number: int, *values: Any) -> Any:
    import os
    import time

    open(f"{folder}/{number}.{os.getpid()}.{time.monotonic_ns()}", "w").close()
    return sum(value.load() for value in values) % 1000003


@remote(auto_encode="pickle")
def patient(ctx: Any, folder: str) -> Any:
    """Runs until it is told to end; its process and the number of its attempt."""
    import os
    import time

    open(f"{folder}/patient.{os.getpid()}.0", "w").close()
    while not os.path.exists(f"{folder}/go"):
        time.sleep(0.02)
    return os.getpid()


def executions(folder: Path) -> Counter[str]:
    """How often each task ran."""
    return Counter(name.split(".")[0] for name in os.listdir(folder) if "." in name)


def kill(server: int) -> None:
    os.kill(server, signal.SIGKILL)


def server_of(client: Client) -> int:
    return connection_files.read(client._cluster.connection_file).pid  # type: ignore[union-attr]


def back(client: Client, before: int) -> float:
    """Seconds until another server than `before` answers."""
    begin = time.monotonic()
    until(lambda: client.sessions() is not None and server_of(client) != before, "the server is back")
    return time.monotonic() - begin


class Waiting(threading.Thread):
    """Calls something that blocks, and keeps what came of it."""

    def __init__(self, call: Any) -> None:
        super().__init__(daemon=True)
        self._call = call
        self.error: BaseException | None = None
        self.value: Any = None
        self.start()

    def run(self) -> None:
        try:
            self.value = self._call()
        except BaseException as error:
            self.error = error

    def result(self) -> Any:
        self.join(GUARD_S)
        assert not self.is_alive(), "it still waits"
        if self.error is not None:
            raise self.error
        return self.value


def run_with_kills(folder: Path, tasks_count: int, kills: int, seed: int) -> list[float]:
    """Tasks that depend on each other, killed servers, and all that is promised; seconds until each answered again."""
    rnd = random.Random(seed)
    came_back = []
    with Client.local(cpus=2) as client:
        session, kept = client.new_session("ordinary"), client.new_session("kept", persistent=True)
        with session.bind_only():
            long = patient(str(folder))
            long.output.keep()
            session.submit()
        with kept.bind_only():
            other = counted(str(folder), 10**6)
            other.output.keep()
            kept.submit()
        other.wait()
        until(lambda: executions(folder)["patient"] == 1, "it runs")
        with session.bind_only():
            tasks: list[Any] = []
            values: list[int] = []
            for number in range(tasks_count):
                inputs = rnd.sample(range(max(0, number - 20), number), min(number, rnd.randrange(3)))
                if inputs:
                    tasks.append(added(str(folder), number, *(tasks[i].output for i in inputs)))
                    values.append(sum(values[i] for i in inputs) % 1000003)
                else:
                    tasks.append(counted(str(folder), number))
                    values.append(number * number)
                tasks[-1].output.keep()
            session.submit()
        waits = Waiting(lambda: [task.wait() for task in tasks])
        fetches = Waiting(lambda: long.output.fetch().load())
        for number in range(kills):
            share = (number + rnd.random()) / (kills + 1)
            until(lambda share=share: sum(executions(folder).values()) > share * tasks_count, "some ran")
            finished = [task for task in tasks if task.state.value == "finished"]
            seen = executions(folder)
            server = server_of(client)
            kill(server)
            came_back.append(back(client, server))
            assert all(task.state.value == "finished" for task in finished)
            assert all(seen[name] == 1 for name in seen)
        waits.result()
        ran = executions(folder)
        assert {name: count for name, count in ran.items() if count != 1} == {}
        assert len(ran) == tasks_count + 2
        assert [task.output.fetch().load() for task in tasks] == values
        (pid,) = [int(name.split(".")[1]) for name in os.listdir(folder) if name.startswith("patient")]
        assert is_alive(pid)
        (folder / "go").touch()
        assert fetches.result() == pid, "it went on in the same process"
        assert other.output.fetch().load() == 10**12
        assert {found.name for found in client.sessions()} == {"kept", "ordinary"}
    return came_back


def test_a_server_killed_in_the_middle_comes_back_with_everything(marked: Marked, tmp_path: Path) -> None:
    """All results are right, nothing runs twice, a task that runs goes on in its process, waits and fetches go on."""
    (came_back,) = run_with_kills(tmp_path, 150, 1, 1)
    assert came_back < 20, "far more than it takes"


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(50))
def test_killed_at_random_points_of_2000_tasks(marked: Marked, tmp_path: Path, seed: int) -> None:
    for seconds in run_with_kills(tmp_path, 2000, 2, seed):
        print(f"back after {seconds:.2f} s")


def test_a_submit_in_flight_is_taken_exactly_once(marked: Marked, tmp_path: Path) -> None:
    """The server is stopped when the submit leaves, and killed before it could answer."""
    with Client.local(cpus=1) as client, client.new_session("flight") as session:
        first = counted(str(tmp_path), 0)
        session.submit()
        first.wait()
        server = server_of(client)
        os.kill(server, signal.SIGSTOP)
        task = counted(str(tmp_path), 1)
        task.output.keep()
        submits = Waiting(session.submit)
        until(lambda: submits.is_alive(), "it waits for the answer")
        kill(server)
        submits.result()
        task.wait()
        assert task.output.fetch().load() == 1
        assert executions(tmp_path) == {"0": 1, "1": 1}


def test_a_server_that_is_ended_below_its_guardian_comes_back_too(marked: Marked, tmp_path: Path) -> None:
    """SIGTERM for it alone: its peers are told nothing, as another one is started in its place."""
    with Client.local(cpus=1) as client, client.new_session("ended") as session:
        long = patient(str(tmp_path))
        long.output.keep()
        session.submit()
        until(lambda: executions(tmp_path)["patient"] == 1, "it runs")
        before = server_of(client)
        os.kill(before, signal.SIGTERM)
        back(client, before)
        (tmp_path / "go").touch()
        assert long.output.fetch().load()
        assert executions(tmp_path) == {"patient": 1}


def test_killed_while_it_comes_back(marked: Marked, tmp_path: Path) -> None:
    """What was to come back is killed as soon as it is there, three times."""
    with Client.local(cpus=1) as client, client.new_session("again") as session:
        tasks = [counted(str(tmp_path), number, 0.01) for number in range(40)]
        for task in tasks:
            task.output.keep()
        session.submit()
        tasks[3].wait()
        known = {server_of(client)}
        kill(server_of(client))
        for _ in range(3):
            until(lambda: {one.pid for one in marked.named("rain-server")} - known, "another one is started")
            (next_one,) = {one.pid for one in marked.named("rain-server")} - known
            known.add(next_one)
            kill(next_one)
        for number, task in enumerate(tasks):
            task.wait()
            assert task.output.fetch().load() == number * number
        assert set(executions(tmp_path).values()) == {1}


def test_large_constants_are_where_they_were(marked: Marked, tmp_path: Path) -> None:
    """Their files stay, also of those that no task has used yet."""
    with Client.local(cpus=1) as client, client.new_session("constants") as session:
        large = blob(os.urandom(3_000_000), label="large")
        large.keep()
        session.submit()
        server = server_of(client)
        kill(server)
        back(client, server)
        joined = tasks.Concat([large, blob(b"tail")])
        joined.output.keep()
        session.submit()
        joined.wait()
        assert joined.output.fetch().get_bytes() == large.fetch().get_bytes() + b"tail"


def test_from_an_image_it_comes_back_the_same(marked: Marked, tmp_path: Path) -> None:
    """The first return makes one, of finished tasks and of one that runs; the second begins with it."""
    with Client.local(cpus=2) as client, client.new_session("image") as session:
        long = patient(str(tmp_path))
        long.output.keep()
        texts = [blob(os.urandom(40_000), label=f"text {number}") for number in range(12)]
        joined = [tasks.Concat(texts[: number + 2]) for number in range(10)]
        for task in joined:
            task.output.keep()
        session.submit()
        joined[-1].wait()
        until(lambda: executions(tmp_path)["patient"] == 1, "it runs")
        journal = Path(client._cluster.folder, "journal")  # type: ignore[union-attr]
        kill(server_of(client))
        until(lambda: list(journal.glob("*.image")), "an image is there")
        until(lambda: len(list(journal.glob("*.journal"))) == 1, "what came before it is removed")
        late = counted(str(tmp_path), 7)
        late.output.keep()
        session.submit()
        late.wait()
        before = server_of(client)
        kill(before)
        back(client, before)
        (tmp_path / "go").touch()
        (pid,) = [int(name.split(".")[1]) for name in os.listdir(tmp_path) if name.startswith("patient")]
        assert long.output.fetch().load() == pid
        assert late.output.fetch().load() == 49
        assert [task.output.fetch().size for task in joined] == [40_000 * (number + 2) for number in range(10)]
        assert executions(tmp_path) == {"patient": 1, "7": 1}


@remote(auto_encode="pickle")
def small(ctx: Any, number: int) -> int:
    return number


@pytest.mark.parametrize(
    ("count", "every", "by_map"),
    [
        (6_000, 2_000, True),
        pytest.param(1_000_000, 50_000, True, marks=[pytest.mark.soak, pytest.mark.timeout(3600)]),
        pytest.param(1_000_000, 50_000, False, marks=[pytest.mark.soak, pytest.mark.timeout(3600)]),
    ],
)
def test_a_server_that_dies_again_and_again_gives_right_results_and_does_not_grow(
    count: int, every: int, by_map: bool
) -> None:
    """Results are let go once they were looked at; the server is killed with the next tasks under way."""
    part, returned = every // 4, []
    with Client.local(cpus=2) as client, client.new_session("many") as session:

        def submit(first: int) -> list[Any]:
            numbers = range(first, min(first + part, count))
            made = small.map(numbers) if by_map else [small(number) for number in numbers]
            session.keep(made)
            session.submit()
            return made

        following = submit(0)
        for first in range(0, count, part):
            present, following = following, submit(first + part) if first + part < count else []
            for task in present:
                task.wait()
            if following and (first + part) % every == 0:
                kill(server := server_of(client))
                back(client, server)
                process = psutil.Process(server_of(client))
                returned.append((process.memory_info().rss, process.num_fds(), process.num_threads()))
            assert [task.output.fetch().load() for task in present] == list(range(first, first + len(present)))
            session.unkeep(present)
    (rss, descriptors, threads), (last_rss, last_descriptors, last_threads) = returned[0], returned[-1]
    assert len(returned) == (count - 1) // every
    assert last_rss < rss + 64 * 2**20
    assert last_descriptors <= descriptors + 4
    assert last_threads <= threads + 2


# -- what `rain start` left running -------------------------------------------------------------------


def free_port() -> int:
    """One that no connection is given by chance while nobody listens there."""
    while True:
        with socket.socket() as probe, contextlib.suppress(OSError):
            port = random.randrange(20_000, 32_000)
            probe.bind(("127.0.0.1", port))
            return port


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StartOptions:
    for name in ("run", "tmp", "work"):
        (tmp_path / name).mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    return StartOptions(
        cpus=["1"], listen=f"127.0.0.1:{free_port()}", http_listen="127.0.0.1:0", journal=str(tmp_path / "journal")
    )


@contextlib.contextmanager
def running(options: StartOptions) -> Iterator[Started]:
    found = start(options)
    try:
        yield found
    finally:
        end_guardian(connection_files.read(found.file))


def test_after_guardian_and_server_died_rain_start_brings_all_back(
    marked: Marked, options: StartOptions, tmp_path: Path
) -> None:
    """Sessions of a client that waits and of one that is gone; what ran at the governors that died runs again."""
    work = tmp_path / "work"
    first = start(options)
    file = connection_files.read(first.file)
    with Client(first.address) as client:
        session = client.new_session("left", persistent=True)
        with session.bind_only():
            done = counted(str(work), 3)
            done.output.keep()
            session.submit()
            done.wait()
            ran = patient(str(work))
            ran.output.keep()
            session.submit()
        until(lambda: executions(work)["patient"] == 1, "it runs")
        fetches = Waiting(lambda: ran.output.fetch().load())
        os.kill(file.guardian, signal.SIGSTOP)
        kill(file.pid)
        kill_guardian(file.guardian)
        until(lambda: not is_alive(file.pid), "the server has ended")
        with running(options) as second:
            assert second.address == first.address
            (work / "go").touch()
            assert fetches.result()
            assert done.output.fetch().load() == 9
            assert executions(work)["3"] == 1, "what had finished is not run again"
            session.close()
        assert not (tmp_path / "journal").exists(), "one that was stopped comes back no more"


@pytest.mark.soak
@pytest.mark.parametrize("number", range(20))
def test_guardian_and_server_died_20_times(marked: Marked, options: StartOptions, tmp_path: Path, number: int) -> None:
    test_after_guardian_and_server_died_rain_start_brings_all_back(marked, options, tmp_path)


@remote(auto_encode="pickle")
def stepped(ctx: Any, folder: str, number: int, before: Any) -> Any:
    import os
    import time

    open(f"{folder}/{number}.{os.getpid()}.{time.monotonic_ns()}", "w").close()
    time.sleep(0.03)
    while number % EACH == 0 and not os.path.exists(f"{folder}/after-{number}"):
        time.sleep(0.02)
    return before.load() + 1


EACH = 8
"""After so many steps a task waits for the next process to be killed, so that work is left for each."""


def pid_below(guardian: int, name: str) -> int:
    """A living process of that name, which may just be started again; 0 if there is none."""
    for pid in descendants(guardian):
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            if process.name() == name and process.status() != psutil.STATUS_ZOMBIE:
                return pid
    return 0


def killed_in_turn(client: Client, folder: Path, guardian: Callable[[], int]) -> None:
    """Each process of a cluster is killed while tasks run. Of guardian and server no task notices anything."""
    with client.new_session("in turn") as session:
        made = [counted(str(folder), 0)]
        for number in range(1, 41):
            made.append(stepped(str(folder), number, made[-1].output))
        long = patient(str(folder))
        for task in (*made, long):
            task.output.keep()
        session.submit()
        until(lambda: executions(folder)["patient"] == 1, "it runs")
        for number, name in enumerate(["guardian", "rain-server", "rain-zygote", "rain-governor", "rain-executor"]):
            until(lambda number=number: len(executions(folder)) > 3 + 4 * number, "some ran")
            if name == "rain-zygote":
                (folder / "go").touch()
                (pid,) = [int(entry.split(".")[1]) for entry in os.listdir(folder) if entry.startswith("patient")]
                assert long.output.fetch(timeout=GUARD_S).load() == pid, "it went on in the same process"
                assert set(executions(folder).values()) == {1}
            before = guardian()
            own = name == "guardian"
            kill(before if own else until(lambda before=before, name=name: pid_below(before, name), f"a {name}"))
            (folder / f"after-{EACH * (number + 1)}").touch()
            if own:
                until(lambda before=before: guardian() != before, "another process guards")
        assert [task.output.fetch(timeout=GUARD_S).load() for task in made] == list(range(41))


def test_each_process_of_a_private_cluster_is_killed_in_turn(marked: Marked, tmp_path: Path) -> None:
    with Client.local(cpus=2) as client:
        assert client._cluster is not None
        launch = client._cluster._launch
        killed_in_turn(client, tmp_path, lambda: launch.pid)
    until(lambda: not marked.processes(), "all processes are gone")


def test_each_process_of_rain_start_is_killed_in_turn(marked: Marked, options: StartOptions, tmp_path: Path) -> None:
    options.cpus = ["2"]
    with running(options) as started, Client(started.address) as client:
        killed_in_turn(client, tmp_path / "work", lambda: connection_files.read(started.file).guardian)
    until(lambda: not marked.processes(), "all processes are gone")


def test_a_journal_outlives_guardian_and_standby(
    marked: Marked, options: StartOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server ends with them. Its clients wait, and are told for what; when it is started again all is there."""
    monkeypatch.setattr(stalls, "STALLED_S", 0.3)
    first = start(options)
    file = connection_files.read(first.file)
    with Client(first.address) as client, client.new_session("left") as session:
        done = counted(str(tmp_path / "work"), 3)
        done.output.keep()
        session.submit()
        done.wait()
        later = counted(str(tmp_path / "work"), 4)
        later.output.keep()
        kill_guardian(file.guardian)
        until(lambda: not is_alive(file.pid), "the server has ended")
        submits = Waiting(session.submit)
        stall = inside(session).mirror.stall
        until(lambda: "its guardian (process" in stall.text, "it is told what is waited for")
        assert "Start it again with `rain start --listen" in stall.text
        assert session.active
        with running(options):
            submits.result()
            assert [task.output.fetch().load() for task in (done, later)] == [9, 16]
            assert executions(tmp_path / "work") == {"3": 1, "4": 1}


def test_a_journal_of_another_address_is_refused(marked: Marked, options: StartOptions, tmp_path: Path) -> None:
    first = start(options)
    file = connection_files.read(first.file)
    os.kill(file.guardian, signal.SIGSTOP)
    kill(file.pid)
    kill_guardian(file.guardian)
    until(lambda: not is_alive(file.pid), "the server has ended")
    options.listen = f"127.0.0.1:{free_port()}"
    with pytest.raises(RainException, match=f"the journal is that of a server at {first.address}"):
        start(options)
    assert (tmp_path / "journal").exists(), "it stays as it was"
