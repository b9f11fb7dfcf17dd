"""`rain restart`: a server of another version takes the place of one that runs, and goes on with all that it had."""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import rain
from rain import Client
from rain.cli.server_query import server_info
from rain.deploy.start import Started, StartOptions
from rain.host.process_table import is_alive, parents
from rain.processes import connection_files
from rain.processes.connection_files import default_path
from rain.processes.guardian import _SETTLED_S
from tests.integration.test_return import Waiting, counted, executions, kill, options, patient, running  # noqa: F401
from tests.support.processes import Marked, end_guardian, kill_guardian
from tests.support.waiting import GUARD_S, until

pytestmark = pytest.mark.filterwarnings("ignore:the server at .* has not answered")

SEED, RESTARTS = 1, 50
PACKAGE = Path(rain.__file__).parent
NEWS = (
    ("__init__.py", '__version__ = "', '__version__ = "99.'),
    (
        "server/records/session.py",
        '        "waits_until",\n    )\n',
        '        "waits_until",\n        "hue",\n        "marks",\n    )\n\n    hue: str\n    marks: list\n',
    ),
    (
        "server/journal/state_classes.py",
        "def codec(*more: type)",
        'ADDED |= {(Session, "marks"): list, (Session, "hue"): lambda: "blue"}\n\n\ndef codec(*more: type)',
    ),
    ("server/core/core.py", "    def step(", "    NEW = True\n\n    def step("),
)
"""What the version to come has changed: fields of a state, and code that decides."""


def version(folder: Path, *changes: tuple[str, str, str]) -> str:
    """The script of another version of Rain, where texts of files are others. What is compiled of all others is taken
    along, but for what other tests are just writing."""
    shutil.copytree(PACKAGE, folder / "rain", ignore=shutil.ignore_patterns("static", "*.pyc.*"))
    for name, before, after in changes:
        path = folder / "rain" / name
        text = path.read_text()
        assert text.count(before) == 1, (name, before)
        path.write_text(text.replace(before, after))
    return str(folder / "rain" / "__main__.py")


def restart(script: str, started: Started, *words: str) -> subprocess.CompletedProcess[str]:
    """`rain restart`, of that version."""
    port = started.address.rpartition(":")[2]
    command = [sys.executable, "-P", script, "restart", port, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=GUARD_S, check=False)


@contextlib.contextmanager
def of_version(script: str, options: StartOptions, tmp_path: Path, cpus: int = 1) -> Iterator[Started]:  # noqa: F811
    """A cluster of that version."""
    logs = str(tmp_path / "logs")
    words = [
        "start",
        "--local-governors",
        f"[{cpus}]",
        "--listen",
        options.listen,
        "--http-listen",
        options.http_listen,
    ]
    words += ["--http-listen", options.http_listen, "--journal", options.journal, "--logdir", logs]
    begun = subprocess.run([sys.executable, "-P", script, *words], timeout=GUARD_S, capture_output=True, check=False)
    assert begun.returncode == 0, begun.stderr
    file = default_path(options.listen)
    try:
        yield Started(options.listen, "", file, 1, logs)
    finally:
        end_guardian(connection_files.read(file))


def server_of(started: Started) -> int:
    return connection_files.read(started.file).pid


def version_of(started: Started) -> str:
    file = connection_files.read(started.file)
    return server_info(file.address, file.credentials).version


def test_another_version_goes_on_with_everything(marked: Marked, options: StartOptions, tmp_path: Path) -> None:  # noqa: F811
    """A task that runs goes on in its process, waits go on, sessions stay, nothing runs twice; also when the server of
    the new version is killed."""
    script, work = version(tmp_path / "next", *NEWS), tmp_path / "work"
    options.cpus = ["2"]
    with running(options) as started, Client(started.address) as client:
        ordinary, kept = client.new_session("ordinary"), client.new_session("kept", persistent=True)
        with ordinary.bind_only():
            long = patient(str(work))
            long.output.keep()
            ordinary.submit()
        with kept.bind_only():
            done = [counted(str(work), number) for number in range(20)]
            for task in done:
                task.output.keep()
            kept.submit()
        until(lambda: executions(work)["patient"] == 1, "it runs")
        fetches = Waiting(lambda: long.output.fetch().load())
        for task in done[:10]:
            task.wait()
        first = server_of(started)
        checked = restart(script, started, "--check")
        assert (checked.returncode, server_of(started)) == (0, first), checked.stderr
        assert "Rain 99.0.1.0 can go on with 2 sessions (21 tasks), 1 client and 1 governor" in checked.stdout
        told = restart(script, started)
        assert told.returncode == 0, told.stderr
        assert f"restarted {started.address} in " in told.stdout
        second = server_of(started)
        assert second != first
        assert version_of(started) == "99.0.1.0"
        kill(second)
        until(lambda: server_of(started) != second, "another server is there")
        assert version_of(started) == "99.0.1.0", "the new version is what the guardian starts again"
        for task in done:
            task.wait()
        with ordinary.bind_only():
            after = counted(str(work), 100)
            after.output.keep()
            ordinary.submit()
        after.wait()
        assert {found.name for found in client.sessions()} == {"kept", "ordinary"}
        assert [task.output.fetch().load() for task in done] == [number * number for number in range(20)]
        (pid,) = [int(name.split(".")[1]) for name in os.listdir(work) if name.startswith("patient")]
        (work / "go").touch()
        assert fetches.result() == pid, "it went on in the same process"
        assert {name: ran for name, ran in executions(work).items() if ran != 1} == {}


PLACES = (
    ("recovery/snapshots.py", "            status = os.waitpid(pid, 0)[1]\n"),
    ("recovery/handing_over.py", "            journal.wish_is_granted()\n"),
    ("recovery/handing_over.py", "        return {}\n"),
)
"""Lines before which a server that makes room is killed: its image is being written; is there; its guardian knows."""
COMING = ("restoring.py", "        peers.resume()\n")
"""... and one that comes."""


def pausing(folder: Path, *lines: tuple[str, str]) -> tuple[str, Path]:
    """The script of a version that waits to be killed before each of these lines, once; and where a file appears then,
    named with the number of the line, which holds the process."""
    changes = []
    for number, (name, line) in enumerate(lines):
        indent = line[: len(line) - len(line.lstrip())]
        stop = f"{indent}__import__('rain.pause', fromlist=['once']).once({number})\n"
        changes.append((f"server/{name}", line, stop + line))
    script = version(folder, *changes)
    (folder / "rain" / "pause.py").write_text(
        "import os, time\n\n\ndef once(number):\n"
        f"    path = {str(folder)!r} + f'/{{number}}'\n"
        "    if not os.path.exists(path):\n"
        "        with open(path + '.part', 'w') as file:\n            file.write(str(os.getpid()))\n"
        "        os.rename(path + '.part', path)\n        time.sleep(1000)\n"
    )
    return script, folder


def killed_at(paused: Path, number: int) -> None:
    """Kill what waits before a line."""
    until((paused / str(number)).exists, "it is there")
    os.kill(int((paused / str(number)).read_text()), signal.SIGKILL)


def test_killed_at_any_moment_of_a_restart(marked: Marked, options: StartOptions, tmp_path: Path) -> None:  # noqa: F811
    """The old server at each of its steps, and the new one before it is ready: the old one goes on with everything, and
    the next restart is as good as the first."""
    work = tmp_path / "work"
    old, paused = pausing(tmp_path / "old", *PLACES)
    new, coming = pausing(tmp_path / "new", COMING)
    with (
        of_version(old, options, tmp_path) as started,
        Client(options.listen) as client,
        client.new_session("ordinary") as session,
    ):
        long = patient(str(work))
        long.output.keep()
        done = [counted(str(work), number) for number in range(5)]
        for task in done:
            task.output.keep()
        session.submit()
        fetches = Waiting(lambda: long.output.fetch().load())
        until(lambda: executions(work)["patient"] == 1, "it runs")
        for place in [0, 1, 2, 3]:
            told = Waiting(lambda: restart(new, started))
            before = server_of(started)
            killed_at(*((paused, place) if place < 3 else (coming, 0)))
            failed = told.result()
            assert failed.returncode == 1
            assert "is not the version that was to come" in failed.stderr
            until(lambda before=before: server_of(started) != before, "another server is there")
            assert client.sessions()
        done_now = restart(new, started)
        assert done_now.returncode == 0, done_now.stderr
        assert not fetches.is_alive() or executions(work)["patient"] == 1
        (pid,) = [int(name.split(".")[1]) for name in os.listdir(work) if name.startswith("patient")]
        (work / "go").touch()
        assert fetches.result() == pid, "it went on in the same process"
        for task in done:
            task.wait()
        assert {name: ran for name, ran in executions(work).items() if ran != 1} == {}


REFUSED = {
    "a field that is gone": (
        ("server/records/session.py", '        "waits_until",\n    )\n', "    )\n\n    waits_until: float\n"),
        r"Rain 0\.1\.0 cannot go on with the server at .*: a Session has waits_until in the image, .* Nothing was",
    ),
    "a protocol that is not spoken any more": (
        ("common/limits.py", "PROTOCOL_VERSION_MIN = ", "PROTOCOL_VERSION_MIN = 1000 + "),
        r"speaks the protocol from version 100\d .* Nothing was stopped\. These have to go .*: "
        r"127\.0\.0\.1:\d+ \(protocol \d+, Python [0-9.]+\), client-1 \(protocol",
    ),
    "a format that cannot be read": (
        ("server/journal/format.py", "FORMAT = 1\n", "FORMAT = 2\n"),
        r"is of format 1 of the journal; this version of Rain reads format 2.* Nothing was stopped",
    ),
    "a state that breaks what must hold": (
        ("server/check.py", "    known = 0\n", '    known = 0\n    assert known, "nothing is known"\n'),
        r"nothing is known\. Nothing was stopped",
    ),
}


def test_what_cannot_go_on_is_refused_and_what_does_not_come_gives_way(
    marked: Marked,
    options: StartOptions,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before anything stops the reason is named; after one that fails when it is started the server before is back."""
    fails = version(
        tmp_path / "fails",
        ("server/shell.py", "        self._come_back()\n", "        raise SystemExit('it breaks')\n"),
    )
    options.policy = "rain_fifo:Fifo"
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1] / "plugins"))
    with running(options) as started, Client(started.address) as client, client.new_session("stays") as session:
        before = server_of(started)
        for name, (change, error) in REFUSED.items():
            refused = restart(version(tmp_path / name, change), started)
            assert refused.returncode == 1, (name, refused.stdout)
            assert re.search(error, refused.stderr), (name, refused.stderr)
            assert server_of(started) == before
        assert not (Path(options.journal) / "restart.json").exists()
        failed = restart(fails, started)
        assert failed.returncode == 1
        assert re.search("what was to come .* ended .exit status 1. before it was ready", failed.stderr), failed.stderr
        assert "it breaks" in failed.stderr
        assert server_of(started) != before
        task = counted(str(tmp_path / "work"), 1)
        session.submit()
        task.wait()


def test_what_nothing_would_start_again_is_not_restarted(
    marked: Marked,
    options: StartOptions,  # noqa: F811
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    script = str(PACKAGE / "__main__.py")
    options.journal = "none"
    options.cpus = []
    with running(options) as started:
        assert "keeps no journal (--journal none)" in restart(script, started).stderr
    options.journal = str(tmp_path / "journal")
    with running(options) as started:
        file = connection_files.read(started.file)
        done = restart(script, started)
        assert done.returncode == 0, done.stderr
        assert "0 clients and 0 governors" in done.stdout
        file = connection_files.read(started.file)
        kill_guardian(file.guardian)
        until(lambda: not is_alive(file.pid), "the server has ended")
        gone = restart(script, started)
        assert re.search(r"the guardian of the server .* is gone, .*`rain start --listen", gone.stderr)
        assert str(options.journal) in gone.stderr


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_killed_at_random_moments_of_restarts(marked: Marked, options: StartOptions, tmp_path: Path) -> None:  # noqa: F811
    """50 restarts to and fro between two versions, in each of which a server, the old one or the one that comes, is
    killed: with whichever comes of it all goes on, and nothing runs twice."""
    dice, work = random.Random(SEED), tmp_path / "work"
    *fields, (name, before, after) = NEWS
    scripts = [
        version(tmp_path / str(number), *fields, (name, before, after.replace("True", str(number))))
        for number in range(2)
    ]
    with (
        of_version(scripts[0], options, tmp_path, 2) as started,
        Client(options.listen) as client,
        client.new_session("ordinary") as session,
    ):
        long = patient(str(work))
        long.output.keep()
        session.submit()
        until(lambda: executions(work)["patient"] == 1, "it runs")
        fetches = Waiting(lambda: long.output.fetch().load())
        begin = time.monotonic()
        assert restart(scripts[1], started).returncode == 0
        takes = time.monotonic() - begin
        done, came, gave_way = [], 0, 0
        for round in range(RESTARTS):
            done += [counted(str(work), 4 * round + number) for number in range(4)]
            for task in done[-4:]:
                task.output.keep()
            session.submit()
            told = Waiting(lambda round=round: restart(scripts[round % 2], started))
            time.sleep(dice.random() * takes)
            servers = servers_below(started)
            if servers:
                os.kill(dice.choice(servers), signal.SIGKILL)
            code = told.result().returncode
            came, gave_way = came + (code == 0), gave_way + (code == 1)
            print(f"round {round}: {len(servers)} servers, status {code}", flush=True)
            for task in done[-4:]:
                task.wait()
            time.sleep(_SETTLED_S)  # else it is as one that dies of what it comes back with, which the guardian ends
        print(f"seed {SEED}: {came} came, {gave_way} gave way")
        assert {found.name for found in client.sessions()} == {"ordinary"}
        assert [task.output.fetch().load() for task in done] == [number**2 for number in range(4 * RESTARTS)]
        (pid,) = [int(name.split(".")[1]) for name in os.listdir(work) if name.startswith("patient")]
        (work / "go").touch()
        assert fetches.result() == pid, "it went on in the same process"
        assert {name: ran for name, ran in executions(work).items() if ran != 1} == {}


def servers_below(started: Started) -> list[int]:
    """The processes of servers of a guardian: the one that serves, and one that is to take its place."""
    guardian = connection_files.read(started.file).guardian
    found = []
    for pid in [pid for pid, parent in parents().items() if parent == guardian]:
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/comm").read_text() == "rain-server\n":
                found.append(pid)
    return found
