"""Persistent sessions: their client is killed, another process attaches."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import rain
from rain import (
    Client,
    DataObjectState,
    RainException,
    RainWarning,
    Session,
    TaskCancelled,
    TaskException,
    TaskState,
    blob,
    remote,
)
from rain.common.limits import CLIENT_RETURN_S
from tests.integration.cells import Shell
from tests.support.waiting import GUARD_S, until

ROOT = str(Path(rain.__file__).parent.parent)

FIRST = """
import os, sys, time
from rain import *
from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance(colors="nocolor")
if {kernel}:
    shell.kernel = object()
client = shell.user_ns["client"] = Client({address!r}, connection_file={file!r})
session = shell.user_ns["session"] = client.new_session("long", persistent={persistent}, default=True, seed=11)
shell.user_ns["folder"] = {folder!r}
for cell in {cells!r}:
    shell.run_cell(cell, store_history=True)
open({folder!r} + "/ready", "w").close()
time.sleep(1000)
"""

CELLS = [
    "from rain import *\nimport os, time",
    textwrap.dedent(
        """
        @remote(auto_load=True, auto_encode="json")
        def add(ctx, *values):
            return sum(values)
        @remote(auto_load=True, auto_encode="json")
        def slow(ctx, folder, value):
            while not os.path.exists(folder + "/gate"):
                time.sleep(0.01)
            return value + 1
        @remote(auto_load=True, auto_encode="json")
        def broken(ctx, value):
            return value["no such key"]
        """
    ).strip(),
    textwrap.dedent(
        """
        one = add(1, 2, name="one")
        big = add(*range(10), name="gone")
        running = slow(folder, one, name="running", cpus=1)
        after = add(running, 10, name="after", resources={"cpus": 1})
        bad = broken(one, name="bad")
        one.keep_outputs(); after.keep_outputs(); bad.keep_outputs()
        session.submit()
        """
    ).strip(),
    "for task in (one, big): task.wait()",
    "try:\n    bad.wait()\nexcept TaskException:\n    pass",
    "while running.state is not TaskState.RUNNING:\n    running.update()\n    time.sleep(0.01)",
]


class Life:
    """A client process with a session, that can be killed."""

    def __init__(
        self, client: Client, folder: Path, persistent: bool, kernel: bool = False, cells: list[str] = CELLS
    ) -> None:
        self.folder = folder
        script = FIRST.format(
            address=client.address,
            file=client._cluster.connection_file,
            folder=str(folder),
            cells=cells,
            persistent=persistent,
            kernel=kernel,
        )
        env = {**os.environ, "PYTHONPATH": ROOT, "IPYTHONDIR": str(folder / "ipython")}
        self.process = subprocess.Popen([sys.executable, "-c", script], env=env, stdout=subprocess.DEVNULL)
        until(lambda: (folder / "ready").exists(), "the first client is ready", 60)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def life(client: Client, tmp_path: Path) -> Iterator[Life]:
    life = Life(client, tmp_path, True)
    yield life
    life.kill()
    for summary in client.sessions():
        if summary.persistent:
            client.attach(summary.session_id).close()


def test_all_is_there_after_a_kill(client: Client, life: Life) -> None:
    life.kill()
    with client.attach("long").bind_only() as session:
        assert {task.name: task.state for task in session.tasks} == {
            "one": TaskState.FINISHED,
            "gone": TaskState.FINISHED,
            "running": TaskState.RUNNING,
            "after": TaskState.WAITING,
            "bad": TaskState.FAILED,
        }
        one, running, after, bad = (session.find(name) for name in ("one", "running", "after", "bad"))
        assert one.info.duration is not None
        assert one.info.governor == client.get_server_info()["governors"][0]["governor_id"]
        assert session.seed == 11
        assert one.output.is_kept()
        assert not running.output.is_kept()
        assert one.output.fetch().load() == 3
        assert after.spec.resources == {"cpus": 1}
        assert [obj.label for obj in session.objects] == ["out0"] * 5, "functions are hidden"
        assert list(running.inputs) == [one.output]
        assert "Cell In[3], line 3" in running.stack
        assert "running = slow(folder, one" in running.stack
        with pytest.raises(TaskException) as caught:
            bad.wait()
        text = str(caught.value)
        assert '  Cell In[2], line 11, in broken\n    return value["no such key"]\n' in text
        assert "The task was made at Cell In[3], line 5\n" in text
        assert isinstance(caught.value.__cause__, TypeError)

        new = remote(auto_encode="json", auto_load=True)(lambda ctx, x: x * 100)(one)
        assert new.id.id > max(item.id.id for item in [*session.tasks, *session.objects] if item.id < new.id)
        (life.folder / "gate").touch()
        assert session.run(new, timeout=GUARD_S) == 300
        assert after.output.fetch(timeout=GUARD_S).load() == 14
        assert [task.name for task in session.wait_all(raise_on_failure=False, timeout=GUARD_S)] == ["bad"]
        one.unkeep_outputs()
        bad.capsule(life.folder / "box")
        assert "Cell In[2]" in (life.folder / "box/task.py").read_text()
    assert client.attach("long") is session
    assert client.attach(session.session_id) is session


def test_cancel_and_retry_with_the_present_definition(client: Client, life: Life) -> None:
    life.kill()
    shell = Shell()
    session = shell.shell.user_ns["session"] = client.attach("long")
    session.find("running").cancel()
    with pytest.raises(TaskCancelled):
        session.find("after").wait(timeout=GUARD_S)
    shell.cell("@remote(auto_load=True, auto_encode='json')\ndef broken(ctx, value):\n    return -value")
    assert shell.cell("session.retry()\nbad = session.find('bad')\nprint(bad.output.fetch().load())") == "-3\n"
    (life.folder / "gate").touch()
    session.retry([session.find("running")])
    assert session.find("after").output.fetch(timeout=GUARD_S).load() == 14, (
        "the old function where there is no new one"
    )
    type(shell.shell).clear_instance()


def test_a_session_that_is_not_persistent_ends_with_its_client(client: Client, tmp_path: Path) -> None:
    life = Life(client, tmp_path, False)
    (summary,) = [one for one in client.sessions() if one.name == "long"]
    assert summary.tasks["running"] == 1
    life.kill()
    with pytest.raises(RainException, match="no persistent session"):
        client.attach("long")
    until(lambda: not [one for one in client.sessions() if one.name == "long"], "the session ends", 15)
    (governor,) = client.get_server_info()["governors"]
    assert governor["tasks"] == governor["objects"] == []


def test_a_private_cluster_says_that_it_ends_with_its_process() -> None:
    """In its repr, and where a session of an earlier kernel is asked for."""
    private = r"This cluster is private .*`rain start` and .* persistent=True stay"
    with Client.local(cpus=1) as client:
        assert re.fullmatch(r"<Client of \S+ \(private: it ends with this process\), 1 governor, 0 .*>", repr(client))
        with pytest.raises(RainException, match=rf"no session waits for a client\. {private}"):
            client.attach()
        with pytest.raises(RainException, match=rf"there is no persistent session 'long'.* {private}"):
            client.attach("long")
        for _ in range(2):
            client.new_session("twice", persistent=True)
        with pytest.raises(RainException, match="several sessions") as several:
            client.attach("twice")
        assert "private" not in str(several.value)
    assert "private" not in repr(client)


def test_the_session_of_a_kernel_that_died_waits_for_the_next_one(client: Client, tmp_path: Path) -> None:
    life = Life(client, tmp_path, False, kernel=True)
    life.kill()
    until(lambda: [one for one in client.sessions() if one.name == "long" and one.waits_s is not None], "it waits", 15)
    (summary,) = client.sessions()
    assert summary.waits_s is not None
    assert 500 < summary.waits_s <= CLIENT_RETURN_S
    assert (summary.client, summary.tasks["running"]) == (None, 1)
    session = client.attach()
    with session.bind_only():
        assert not session.persistent
        assert {task.name: task.state for task in session.tasks} == {
            "one": TaskState.FINISHED,
            "gone": TaskState.FINISHED,
            "running": TaskState.RUNNING,
            "after": TaskState.WAITING,
            "bad": TaskState.FAILED,
        }
        one = session.find("one")
        assert one.info.governor == client.get_server_info()["governors"][0]["governor_id"]
        assert one.output.fetch().load() == 3
        assert session.session_id == summary.session_id
        (tmp_path / "gate").touch()
        assert session.find("after").output.fetch(timeout=GUARD_S).load() == 14
        with pytest.raises(TaskException, match="no such key"):
            session.find("bad").wait(timeout=GUARD_S)
        assert client.attach(session.session_id) is session
    assert [one.waits_s for one in client.sessions()] == [None]
    session.close()
    assert client.sessions() == []


MANY = [
    CELLS[0],
    "@remote(auto_load=True, auto_encode='pickle')\ndef square(ctx, x):\n    return x * x\n",
    "kept = square.map(range(50)); session.keep(kept); rest = square.map(range(20)); session.submit()",
    "session.wait_all()",
]


def test_members_of_families_are_listed_as_long_as_their_results_are_held(client: Client, tmp_path: Path) -> None:
    """The others are counted, and it is said why they are not listed.

    A member that the server assigned by itself has a record like other tasks, and is listed; how many, if any, are such
    is told by how the calls met the governor's free room.
    """
    life = Life(client, tmp_path, persistent=False, kernel=True, cells=MANY)
    life.kill()
    until(lambda: [one for one in client.sessions() if one.waits_s is not None], "it waits", 15)
    with pytest.warns(RainWarning, match="more finished tasks, which are not listed: .* differ by their arg") as warned:
        session = client.attach()
    unlisted = re.search(r"has (\d+) more", str(warned[0].message))
    assert unlisted
    assert len(session.tasks) + int(unlisted[1]) == 70
    assert {task.state for task in session.tasks} == {TaskState.FINISHED}
    kept = [task for task in session.tasks if task.output.is_kept()]
    assert [task.output.fetch().load() for task in kept] == [x * x for x in range(50)]
    assert all(task.output.state is DataObjectState.REMOVED for task in session.tasks if task not in kept)
    assert repr(session.tasks[7]).startswith("<")
    assert session.tasks[7].spec.outputs == [session.tasks[7].output.id]
    session.close()


@remote(auto_encode="json")
def nothing(ctx: Any, number: int) -> int:
    return number


def test_a_large_session_comes_in_pieces(client: Client) -> None:
    first = Client(client.address, connection_file=client._cluster.connection_file)
    session = first.new_session("large", persistent=True)
    with session.bind_only():
        made = [nothing(n, name=f"t{n}", user_spec={"text": "x" * 500}) for n in range(5000)]
        made[7].keep_outputs()
        session.submit()
        session.wait_all(timeout=GUARD_S)
    first.close()
    again = client.attach("large")
    assert len(again.tasks) == 5000
    assert again.find("t4321").spec.user == {"text": "x" * 500}
    assert again.find("t7").output.fetch().load() == 7
    assert "test_attach.py" in again.find("t9").stack
    again.close()


def test_large_arguments_do_not_stay(client: Client) -> None:
    with client.new_session("args", persistent=True) as session:
        with pytest.warns(RainWarning, match="travels as a blob"):
            task = nothing(b"x" * 400_000)
        session.submit()
        with pytest.raises(TaskException):
            task.wait(timeout=GUARD_S)
        other = nothing(len(blob("y")._data or b""))
        session.submit()
        other.wait(timeout=GUARD_S)
        session.forget()
        again = Client(client.address, connection_file=client._cluster.connection_file)
        taken = again.attach("args")
        assert [task.name for task in taken.tasks] == ["nothing", "nothing"]
        assert [obj.label for obj in taken.objects] == ["out0", "const", "out0"]
        taken.close()
        again.close()
        assert isinstance(session, Session)
