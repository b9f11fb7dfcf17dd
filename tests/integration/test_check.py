"""`Session.check` with governors that have different things."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rain import Client, Program, RainException, SessionException, Task, TaskException, TaskState, blob, task, tasks
from tests.support.commands import write_command
from tests.support.waiting import GUARD_S, until

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Client, str, str]]:
    """A cluster that takes the client for one on another host, and its governors. The second has a program, a module
    and a resource that the first one lacks."""
    monkeypatch.setattr("rain.client.functions.modules.host_id", lambda: "another-host")
    (tmp_path / "bin").mkdir()
    (tmp_path / "lib").mkdir()
    write_command(tmp_path / "bin" / "only-there", "#!/bin/sh\necho there\n")
    (tmp_path / "lib" / "only_there.py").write_text("")
    (tmp_path / "governor.toml").write_text(
        "[resources]\nlicences = 2\n"
        f"[executors.example]\ncommand = '{sys.executable} -u executor.py'\n"
        "[executors.moved]\ncommand = '/opt/moved/executor --loud'\n"
    )
    environment = {
        **os.environ,
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": f"{tmp_path / 'lib'}:{ROOT}",
    }
    with Client.local(cpus=1) as client:
        (first,) = (governor["governor_id"] for governor in client.get_server_info()["governors"])
        command = [
            sys.executable, "-m", "rain", "governor", client.address, "--cpus", "1",
            "--config", str(tmp_path / "governor.toml"), "--connection-file", client._cluster.connection_file,
        ]  # fmt: skip
        other = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            client.wait_for_governors(2, timeout=GUARD_S)
            ids = [governor["governor_id"] for governor in client.get_server_info()["governors"]]
            yield client, first, next(id for id in ids if id != first)
        finally:
            other.terminate()
            other.wait(GUARD_S)


@task
def uses_it(x: Any) -> Any:
    import only_there  # type: ignore[import-not-found]

    return only_there, x


def test_which_governor_lacks_what(two: tuple[Client, str, str], tmp_path: Path) -> None:
    client, first, _ = two
    with client.new_session("checked") as session:
        tasks.Execute(["only-there"])
        tasks.Execute("only-there | cat", shell=True)
        uses_it(1)
        uses_it.options(resources={"licences": 1})(2)
        tasks.Execute(["sh", "-c", "true"], env={"PATH": "/nowhere"})
        too_much = uses_it.options(cpus=3)(1)
        report = session.check()
        lacks = f"which is not on governor {first} on {os.uname().nodename} (1 of 2)"
        assert [problem.what.partition("; PATH")[0] for problem in report.problems] == [
            f"it runs 'only-there', {lacks}",
            f"it runs 'only-there', {lacks}",
            f"uses_it needs the module 'only_there', {lacks}",
            "it runs 'sh', which is not on any of the 2 governors",
            "it asks for cpus=3, which no governor has; the most that one of them has is cpus=1",
        ]
        assert report.problems[-1].task == too_much
        assert report.looked == "6 tasks (2 governors asked)"
        assert session.task_count == 6, "nothing was submitted"
        assert "test_check.py" in report.problems[0].made
        assert [problem.subject for problem in session.check(Program(["only-there"])).failures] == ["Program"]
        with pytest.raises(RainException, match="1 of 2"):
            session.check(uses_it, raise_on_failure=True)
        assert session.check(uses_it.options(resources={"licences": 1}))
        assert asyncio.run(session.check_async(len))


class Foreign(Task):
    TASK_TYPE = "example/hello"

    def __init__(self, **options: Any) -> None:
        super().__init__([blob("x")], ["greeting"], **options)


class Moved(Foreign):
    TASK_TYPE = "moved/hello"


class Misspelt(Foreign):
    TASK_TYPE = "exmaple/hello"


def test_executors_in_other_languages(two: tuple[Client, str, str], tmp_path: Path) -> None:
    """Their types, programs, resources and the files that their configs name are looked at, as of other tasks."""
    client, _, _ = two
    with client.new_session("foreign") as session:
        assert session.check([Foreign()])
        Foreign()
        Moved()
        Misspelt()
        Foreign(resources={"licences": 3})
        Foreign(config={"tables": [{"path": "/proc/self/status"}, str(tmp_path / "lib")]})
        problems = session.check().problems
        assert [problem.what for problem in problems] == [
            "it is of type 'moved/hello', and '/opt/moved/executor', the program of the executor 'moved', is not on "
            "the only governor that can run it",
            "it is of type 'exmaple/hello', and no governor that has its resources has an executor 'exmaple' "
            "(they offer 'example', 'moved')",
            "it asks for licences=3, cpus=1, which no governor has; the most that one of them has is licences=2, "
            "cpus=1",
        ]
        assert all(problem.level == "failure" and "test_check.py" in problem.made for problem in problems)
        misspelt = problems[1].task
        assert misspelt is not None
        session.submit()
        with pytest.raises(TaskException, match=r"no governor can ever hold it. Executor types .*'example', 'moved'"):
            misspelt.wait(timeout=GUARD_S)
        session.cancel()


def test_busy_governors_answer_and_paths_of_other_hosts(two: tuple[Client, str, str], tmp_path: Path) -> None:
    client, _, _ = two
    with client.new_session("busy") as session:
        sleeping = [tasks.Execute(["sleep", "1000"]) for _ in range(2)]
        session.submit()
        until(lambda: all(one.state is TaskState.RUNNING for one in sleeping))
        task(len)(str(tmp_path / "lib"))
        tasks.Load(str(tmp_path / "no-such-file"))
        assert [problem.what for problem in session.check().problems] == [
            f"it loads '{tmp_path / 'no-such-file'}', which is not on any of the 2 governors"
        ]
        session.cancel()
    with pytest.raises(SessionException):
        session.check()


def test_what_is_told_is_what_happens(two: tuple[Client, str, str]) -> None:
    """Each failure that a check tells is one of the run."""
    client, _, _ = two
    with client.new_session("run") as session:
        wrong = task(lambda x: x + nowhere_defined)  # type: ignore[name-defined] # noqa: F821
        failing = [wrong(1), tasks.Execute(["no-such-program"], stdout=True), tasks.Load("/no/such/file")]
        fine = [task(len)("abc"), tasks.Execute(["true"]), tasks.Execute("cd / && pwd", shell=True, stdout=True)]
        assert session.check(fine)
        assert {problem.task for problem in session.check().failures} == set(failing)
        session.submit()
        assert set(session.wait_all(raise_on_failure=False, timeout=GUARD_S)) == set(failing)
        with pytest.raises(TaskException, match="nowhere_defined"):
            failing[0].result()
