"""`rain restart` to another version of the protocol: peers that it still speaks with stay, others are named before
anything stops."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rain import Client, Session, Task, remote
from rain.common.limits import PROTOCOL_VERSION
from rain.deploy.start import Started, StartOptions
from tests.integration.test_restart import restart, server_of, version, version_of
from tests.integration.test_return import Waiting, executions, kill, options, patient, running  # noqa: F401
from tests.support.processes import Marked
from tests.support.waiting import GUARD_S, until

pytestmark = pytest.mark.filterwarnings("ignore:the server at .* has not answered")

PROTOCOL = ("common/limits.py", "\nPROTOCOL_VERSION = ", "\nPROTOCOL_VERSION = 1 + ")
NO_MORE = ("common/limits.py", "\nPROTOCOL_VERSION_MIN = ", "\nPROTOCOL_VERSION_MIN = 1 + ")
ENDS = (
    "  # bytes that one client may leave in `incoming`\n",
    "    families: list[Family] = []\n",
    "    families: list[FamilyUpdate] = []\n",
    "first of which is this one\n    kept: list[int] = []\n",
    "    damage: Damage | None = None\n",
)
"""Of messages, and of parts of them, to and from each peer: `Welcome`, `Submit`, `SessionUpdate`, `TaskAssignment`,
`TaskResult`."""
ADDED = tuple(("common/protocol/messages.py", end, f'{end}    hue: str = "blue"\n') for end in ENDS)
NEXT = (("__init__.py", '__version__ = "', '__version__ = "98.'), PROTOCOL, *ADDED)
"""The version to come: its messages have got a field at their ends."""
APART = ("host/machine.py", "os.uname().nodename)).encode()", '"apart")).encode()')
"""A host of which nobody sees the files, so that data go over connections."""

SCRIPT = """\
import sys
from rain import Client, blob, remote
from rain.common.limits import PROTOCOL_VERSION

@remote(auto_encode="pickle")
def length(ctx, data):
    return data.size

with Client(sys.argv[1]) as client, client.new_session("new") as session:
    print(PROTOCOL_VERSION, session.run([length(blob(bytes(size))) for size in (3, 300_000)]))
"""


@remote(auto_encode="pickle")
def large(ctx: Any, size: int) -> Any:
    return bytes(size)


@remote(auto_encode="pickle")
def length(ctx: Any, data: Any) -> Any:
    return len(data.load())


@contextlib.contextmanager
def governor(script: str, started: Started, tmp_path: Path) -> Iterator[int]:
    """A governor of that version."""
    ready = tmp_path / "ready"
    words = ["governor", started.address, "--cpus", "1", "--ready-file", str(ready)]
    process = subprocess.Popen([sys.executable, "-P", script, *words], stdin=subprocess.DEVNULL)
    try:
        until(lambda: ready.exists() or process.poll() is not None, "it is up")
        yield process.pid
    finally:
        process.terminate()  # it leaves; after a kill its keeper would stay for a minute
        process.wait()


def with_client(script: str, started: Started, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """What a client of that version has to say."""
    (file := tmp_path / "script.py").write_text(SCRIPT)
    return subprocess.run(
        [sys.executable, str(file), started.address],
        env={**os.environ, "PYTHONPATH": str(Path(script).parents[1])},
        capture_output=True,
        text=True,
        timeout=GUARD_S,
        check=False,
    )


def kept(session: Session, task: Task) -> Task:
    """A task that is submitted."""
    task.output.keep()
    session.submit()
    return task


def governors(client: Client) -> set[str]:
    return {one["governor_id"] for one in client.get_server_info()["governors"]}


def test_of_another_protocol(marked: Marked, options: StartOptions, tmp_path: Path) -> None:  # noqa: F811
    """A client, a governor and an executor of the version before are refused by name; or stay, and work with those of
    the next, whose data they read over connections, and theirs; or have left, and nothing is in the way."""
    new, work = version(tmp_path / "next", *NEXT), tmp_path / "work"
    deaf = version(tmp_path / "deaf", *NEXT, NO_MORE)
    apart = version(tmp_path / "apart", *NEXT, APART)
    with running(options) as started:
        with Client(started.address) as client, client.new_session("ordinary") as session:
            data = large(200_000)
            kept(session, data).wait()
            long = kept(session, patient(str(work)))
            until(lambda: executions(work)["patient"] == 1, "it runs")
            fetches = Waiting(lambda: long.output.fetch().load())
            [before] = governors(client)
            first = server_of(started)

            refused = restart(deaf, started)
            assert refused.returncode == 1, refused.stdout
            assert f"from version {PROTOCOL_VERSION + 1} to {PROTOCOL_VERSION + 1} only. Nothing was" in refused.stderr
            for name in (before, "client-1"):
                assert f"{name} (protocol {PROTOCOL_VERSION}, Python " in refused.stderr, refused.stderr
            assert (server_of(started), governors(client)) == (first, {before})
            early = with_client(new, started, tmp_path)
            assert f"speaks version {PROTOCOL_VERSION} of Rain's protocol" in early.stderr, early.stderr

            done = restart(new, started)
            assert done.returncode == 0, done.stderr
            kill(second := server_of(started))
            until(lambda: server_of(started) != second, "another server is there")
            assert version_of(started).startswith("98.")
            assert governors(client) == {before}
            with governor(apart, started, tmp_path):
                until(lambda: len(governors(client)) == 2, "a governor of the next version too")
                [other] = governors(client) - {before}
                user, made = kept(session, length(data.output)), kept(session, large(300_000))
                assert (user.output.fetch().load(), made.output.fetch().load()) == (200_000, bytes(300_000))
                assert {task.attempts[-1].governor for task in (user, made)} == {other}, "the first one is busy"
            [pid] = [int(name.split(".")[1]) for name in os.listdir(work) if name.startswith("patient")]
            (work / "go").touch()
            assert fetches.result() == pid, "it went on in the same process"
            until(lambda: governors(client) == {before}, "the other has gone")
            late = with_client(new, started, tmp_path)
            assert late.stdout == f"{PROTOCOL_VERSION + 1} [3, 300000]\n", late.stderr
            assert kept(session, length(data.output)).output.fetch().load() == 200_000
            assert executions(work) == {"patient": 1}
        words = [sys.executable, "-P", new, "drain", before, "--server", started.address]
        subprocess.run(words, check=True, timeout=GUARD_S, stdout=subprocess.DEVNULL)
        done = restart(deaf, started)
        assert done.returncode == 0, done.stderr
        assert "0 clients and 0 governors" in done.stdout
