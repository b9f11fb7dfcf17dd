"""What the killed leave in shared memory and temporary folders is removed soon, by whoever stands above them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rain import Client, blob, pickled, tasks
from rain.client.operations.uploads import put
from rain.host.process_table import descendants, parents
from rain.processes import connection_files
from rain.processes.launching import Launch, Program
from tests.integration.test_cli import Shell, ends, runtime_path, shell  # noqa: F401
from tests.support.processes import kill_guardian
from tests.support.waiting import GUARD_S, until

MEMORY = Path("/dev/shm")
LARGE = 1 << 20


def in_memory(kind: str = "rain-") -> set[Path]:
    return set(MEMORY.glob(f"{kind}*"))


def files_below(folder: Path) -> list[str]:
    return [os.path.join(where, name) for where, _, names in os.walk(folder) for name in names if name[0] != "."]


def inodes_below(folder: Path) -> set[int]:
    found = set()
    for path in files_below(folder):
        with contextlib.suppress(FileNotFoundError):  # gone meanwhile
            found.add(os.stat(path).st_ino)
    return found


def named(client: Client, name: str) -> int:
    """The one process of the private cluster that calls itself so."""
    (pid,) = [pid for pid in below(client) if comm(pid) == name]
    return pid


def below(client: Client) -> list[int]:
    """What the guardian started itself; what a governor starts has the governor's name for a moment."""
    guardian = client._cluster._launch.pid
    return [pid for pid, parent in parents().items() if parent == guardian]


def comm(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    before = in_memory()
    with Client.local(cpus=1) as made:
        yield made
    assert in_memory() == before


def test_a_governor_that_is_started_again_takes_over_what_there_is(client: Client) -> None:
    store = max(in_memory("rain-store-"), key=os.path.getmtime)
    with client.new_session("s") as session:
        made = tasks.Concat([blob(bytes(LARGE)), blob(bytes(LARGE))])
        made.output.keep()
        session.submit()
        made.wait()
        stored = inodes_below(store / "objects")
        assert stored
        work = set(Path(client._cluster.folder).glob("rain-governor-*"))
        before = named(client, "rain-governor")
        os.kill(before, signal.SIGKILL)
        until(lambda: any(comm(pid) == "rain-governor" and pid != before for pid in below(client)))
        until(lambda: not store.exists())
        assert str(store) in Path(f"/proc/{named(client, 'rain-governor')}/cmdline").read_text()
        taken = max(in_memory("rain-store-"), key=os.path.getmtime)
        assert stored & inodes_below(taken / "objects"), "not the very file of what is kept"
    assert set(Path(client._cluster.folder).glob("rain-governor-*")) == work


UPLOADER = """
import os, sys
from rain import *
client = Client(sys.argv[1], connection_file=sys.argv[2])
with client.new_session("s"):
    held = pickled(bytes(1 << 20))
    print(held is not None, flush=True)
    if os.fork() == 0:  # a child of the user's, which has all descriptors
        os.read(0, 1)
        os._exit(0)
    os.kill(os.getpid(), 9)
"""


def test_what_a_killed_client_was_about_to_submit_goes(client: Client) -> None:
    incoming = Path(client._connection.link.welcome.incoming)
    until(lambda: files_below(incoming) == [])
    before = set(os.listdir(incoming))
    words = [sys.executable, "-c", UPLOADER, client.address, client._cluster.connection_file]
    killed = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert killed.stdout is not None
    assert killed.stdin is not None
    assert killed.stdout.readline() == b"True\n"
    killed.wait(GUARD_S)
    until(lambda: set(os.listdir(incoming)) == before)
    killed.stdin.close()
    killed.stdout.close()


def test_what_a_client_elsewhere_sent_and_did_not_submit_goes_with_it(client: Client) -> None:
    incoming = Path(client._connection.link.welcome.incoming)
    with Client(client.address, connection_file=client._cluster.connection_file) as other:
        room = other._connection.room
        assert room is not None
        room._memory.incoming = room._disk.incoming = ""  # as on another host
        with other.new_session("s") as session:
            both = tasks.Concat([blob(bytes(LARGE)), blob(b"!")])
            assert len(session.run(both)) == LARGE + 1
            value = blob(bytes(LARGE))._record.value
            other._connection.link.call(put(other._connection, value)).result(GUARD_S)
            assert [os.path.basename(path) for path in files_below(incoming)] == [value.name]
    until(lambda: files_below(incoming) == [])


def test_a_client_that_is_closed_leaves_nothing_with_the_server(client: Client) -> None:
    incoming = Path(client._connection.link.welcome.incoming)
    before = set(os.listdir(incoming))
    with Client(client.address, connection_file=client._cluster.connection_file) as other, other.new_session("s"):
        held = pickled(bytes(LARGE))
        assert held is not None
        assert len(files_below(incoming)) == 1
    assert set(os.listdir(incoming)) == before


# -- daemons that were started alone --------------------------------------------------------------


def test_daemons_that_were_started_alone_have_a_keeper(shell: Shell) -> None:  # noqa: F811
    before = in_memory()
    server, address = shell.server()
    governor = shell.daemon("governor", address, "--cpus", "1")
    ended_well = shell.daemon("governor", address, "--cpus", "1")
    (keeper,) = [pid for pid in descendants(ended_well.pid) if comm(pid) == "rain-keeper"]
    os.kill(keeper, signal.SIGTERM)  # a service manager asks all to end
    ends(ended_well, signal.SIGTERM)
    assert ended_well.returncode == 0
    assert comm(keeper) == ""
    assert len(in_memory() - before) == 2
    assert list(shell.temporary.glob("rain-governor-*")) != []
    keepers = [pid for daemon in (server, governor) for pid in descendants(daemon.pid) if comm(pid) == "rain-keeper"]
    assert len(keepers) == 2
    for daemon, left in ((governor, 1), (server, 0)):
        ends(daemon, signal.SIGKILL)
        until(lambda left=left: len(in_memory() - before) == left)
    assert list(shell.temporary.glob("rain-governor-*")) == []
    for pid in keepers:
        until(lambda pid=pid: comm(pid) == "")


# -- rain start, rain stop ------------------------------------------------------------------------


def test_rain_stop_leaves_no_folder(shell: Shell) -> None:  # noqa: F811
    before = in_memory()
    address = shell.start("--local-governors", "[]")
    file = connection_files.read(runtime_path(shell, address))
    assert Path(file.logdir).parent == shell.temporary
    (constants,) = in_memory("rain-constants-") - before
    code = f"import os\nfrom rain import *\nc = Client({address!r})\ns = c.new_session('s', persistent=True)\n"
    code += "with s:\n    kept = blob(bytes(1 << 20))\n    kept.keep()\n    s.submit()\n    os._exit(0)"
    subprocess.run([sys.executable, "-c", code], env=shell.environment, check=True, timeout=GUARD_S)
    assert files_below(constants) != []
    os.kill(file.pid, signal.SIGKILL)
    until(lambda: connection_files.read(runtime_path(shell, address)).pid not in (0, file.pid))
    assert in_memory("rain-constants-") - before == {constants}  # the next server has taken it over
    assert files_below(constants) != [], "the session that it brought back needs them"
    shell.run("stop", address)
    assert in_memory() == before
    assert list(shell.temporary.iterdir()) == []
    assert list(shell.runtime.iterdir()) == []


def test_rain_stop_removes_what_a_killed_guardian_could_not(shell: Shell) -> None:  # noqa: F811
    before = in_memory()
    address = shell.start("--local-governors", "[]")
    guardian = connection_files.read(runtime_path(shell, address)).guardian
    os.kill(guardian, signal.SIGSTOP)  # it neither cleans up nor is missed while the others are killed
    for pid in descendants(guardian):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    kill_guardian(guardian)
    ends(guardian)
    assert in_memory() != before
    assert "was gone already" in shell.fails("stop", address)
    assert in_memory() == before
    assert list(shell.temporary.iterdir()) == []


# -- the guardian itself --------------------------------------------------------------------------

FAILING = """
import os, sys
sys.path[:0] = {path!r}
from rain.processes.keeper import report_folders_to
from rain.host.lifeline import write_ready_file
from rain.processes.scratch import Scratch
report_folders_to(sys.argv[2])
begun = os.path.exists(sys.argv[3] + "/begun")
if begun and sys.argv[4] == "fails":
    sys.exit(1)
made = Scratch(sys.argv[3], "left-" if not begun or sys.argv[4] == "takes" else "other-")
open(sys.argv[3] + "/begun", "w").close()
open(made.path + "/file", "w").close()
write_ready_file(sys.argv[1])
if not begun:
    os.kill(os.getpid(), 9)
os.read(int(sys.argv[5]), 1)
"""


@pytest.mark.parametrize("then", ["never", "fails", "takes", "does not take"])
def test_a_guardian_removes_what_no_successor_takes_over(tmp_path: Path, then: str) -> None:
    script, place = tmp_path / "script.py", tmp_path / "place"
    script.write_text(FAILING.replace("{path!r}", repr([p for p in sys.path if p])))
    place.mkdir()
    gate, open_gate = os.pipe()
    program = Program("one", [str(script), "{ready}", "{folders}", str(place), then, str(gate)], str(tmp_path / "log"))
    program.command, program.restart, program.keep = [sys.executable], then != "never", [gate]
    launch = Launch([program], str(tmp_path), preload=False)
    launch.wait()
    left = {"takes": ["left"], "does not take": ["other"]}.get(then, [])
    if then in ("takes", "fails"):
        until(lambda: "starting it again" in (tmp_path / "guardian.log").read_text())
    if then != "fails":
        until(lambda: sorted(path.name.partition("-")[0] for path in place.glob("*-*")) == left)
    launch.stop()
    assert list(place.glob("*-*")) == []
    os.close(gate)
    os.close(open_gate)
