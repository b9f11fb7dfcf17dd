"""Companions and those who start programs there: who is let in, what comes back, what is killed."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import msgspec
import pytest

from rain.common.errors import RainException
from rain.common.protocol.messages import Node
from rain.executor.gangs import companion, launchers, launching, started, wire
from rain.host.process_table import is_alive
from rain.host.signals import signal_all
from rain.net.auth import Certificate
from tests.support.waiting import until

KEY = b"k" * wire.KEY_BYTES


@pytest.fixture(scope="module")
def certificate() -> Certificate:
    return Certificate.generate()


@pytest.fixture
def node(certificate: Certificate) -> Iterator[Node]:
    """One that a companion of this process serves."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    plain, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(
                    target=companion._serve, args=(plain, certificate, KEY, dict(os.environ)), daemon=True
                ).start()

        threading.Thread(target=accept, daemon=True).start()
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        yield Node("host-2:7211", "h2", 2.0, address, certificate.fingerprint, KEY)
        listener.shutdown(socket.SHUT_RDWR)


def _run(nodes: list[Node], *args: str) -> tuple[list[int], dict[tuple[int, bytes], bytes]]:
    wrote: dict[tuple[int, bytes], bytes] = {}

    def writer(rank: int) -> launching.Write:
        def write(kind: bytes, data: bytes) -> None:
            wrote[rank, kind] = wrote.get((rank, kind), b"") + data

        return write

    return launching.launch(nodes, args, {"OWN": "1"}, writer).statuses, wrote


def test_a_program_runs_once_on_each_node(node: Node) -> None:
    statuses, wrote = _run(
        [Node("host-1:7211", "h1", 2.0), node], "sh", "-c", "echo $RAIN_NODE_RANK $RAIN_NODES $OWN; echo e >&2"
    )
    assert statuses == [0, 0]
    assert wrote == {(0, b"o"): b"0 2 1\n", (1, b"o"): b"1 2 1\n", (0, b"e"): b"e\n", (1, b"e"): b"e\n"}


def test_much_output_and_a_program_that_is_not_there(node: Node) -> None:
    statuses, wrote = _run([node], "sh", "-c", "head -c 3000000 /dev/zero; exit 3")
    assert (statuses, len(wrote[0, b"o"])) == ([3], 3_000_000)
    for there in (node, Node("host-1:7211", "h1", 2.0)):
        statuses, wrote = _run([there], "no-such-program")
        assert statuses == [127]
        assert b"cannot be started" in wrote[0, b"e"]


def test_who_has_another_key_or_meets_another_certificate_is_not_served(node: Node) -> None:
    with pytest.raises(RainException, match="is not the companion of this task"):
        wire.connect(msgspec.structs.replace(node, fingerprint=b"other"))
    with wire.connect(msgspec.structs.replace(node, key=b"x" * wire.KEY_BYTES)) as link:
        assert wire.receive(link) == (b"", b"")
    with pytest.raises(RainException, match="was lost while it ran true"):
        _run([msgspec.structs.replace(node, key=b"x" * wire.KEY_BYTES)], "true")
    with pytest.raises(RainException, match="cannot be reached"):
        wire.connect(msgspec.structs.replace(node, address="127.0.0.1:1"))


def test_the_end_of_a_connection_kills_what_it_started(node: Node) -> None:
    link = wire.connect(node)
    wire.send(link, wire.OUT, msgspec.msgpack.encode(wire.Launch(["sh", "-c", "echo $$; sleep 1000 & wait"], {})))
    pid = int(wire.receive(link)[1])
    link.close()
    until(lambda: not is_alive(pid))


def test_nodes_are_named_by_number_governor_or_host(node: Node) -> None:
    nodes = [Node("host-1:7211", "h1", 2.0), node]
    assert [launching.chosen(nodes, name) for name in ("0", "1", "host-2", "host-2:7211", "host-1")] == [0, 1, 1, 1, 0]
    with pytest.raises(RainException, match=r"'host-3' is no node of this task; they are 0 \(host-1:7211\), 1"):
        launching.chosen(nodes, "host-3")


def test_the_files_of_a_task_are_its_users_alone(node: Node, tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    files = launching.GangFiles(str(tmp_path), [Node("host-1:7211", "h1", 2.0), node, node])
    env = files.environment
    with open(env["RAIN_HOSTFILE"]) as file:
        assert file.read() == "host-1 slots=2\nhost-2 slots=4\n"
    assert os.stat(env["RAIN_NODES_FILE"]).st_mode & 0o777 == 0o600
    monkeypatch.setenv("RAIN_NODES_FILE", env["RAIN_NODES_FILE"])
    assert launching.nodes_of_this_task()[1:] == [node, node]
    files.remove()
    with pytest.raises(RainException, match="cannot be read from"):
        launching.nodes_of_this_task()
    monkeypatch.delenv("RAIN_NODES_FILE")
    with pytest.raises(RainException, match="RAIN_NODES_FILE is not set"):
        launching.nodes_of_this_task()


@pytest.mark.parametrize("command", ["sleep 1", [], [1], b"x"])
def test_a_command_is_a_sequence_of_texts(command: object) -> None:
    with pytest.raises(RainException, match="a command is a sequence of texts"):
        launching.check_args(command)  # type: ignore[arg-type]


def test_what_has_ended_is_not_killed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its number may be another's by then."""
    program = started.Started(["true"], dict(os.environ), lambda number, data: None)
    assert program.wait() == 0
    killed: list[object] = []
    monkeypatch.setattr(started, "signal_all", lambda *what: killed.append(what))
    program.kill()
    assert not killed


HERE = Node("host-1:7211", "h1", 2.0)
"""The first node of a task, where programs are started directly."""


@pytest.mark.parametrize("dies", [0, 1])
def test_the_node_is_named_whose_program_was_killed_first(node: Node, dies: int) -> None:
    """The others are killed because of it."""
    command = ["sh", "-c", f"if [ $RAIN_NODE_RANK = {dies} ]; then kill -KILL $$; fi; sleep 1000"]
    name = [HERE, node][dies].governor
    with pytest.raises(RainException, match=rf"sh on node {dies} \({name}\) was killed by SIGKILL; those on the other"):
        launchers.launch_all([HERE, node], command, {})


def test_the_first_cause_is_told_and_not_what_follows_from_it(node: Node) -> None:
    gone = msgspec.structs.replace(node, address="127.0.0.1:1")
    with pytest.raises(RainException, match="cannot be reached"):
        launching.launch([HERE, gone, node], ["sleep", "1000"], {}, lambda rank: lambda kind, data: None)
    end = launching.Ending()
    end.now(1)
    end.now(RainException("hung up"))
    assert end.cause == 1


def test_a_companion_that_is_lost_before_it_was_told_anything(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(wire, "send", broken)
    end = launching.Ending()
    with pytest.raises(RainException, match=r"governor host-2:7211 was lost before it could start true .*Broken pipe"):
        launching.run_on(node, 1, ["true"], {}, lambda kind, data: None, end)
    end.now(0)
    connect = wire.connect

    def late(node: Node) -> object:
        end.ended = False
        return connect(node)

    monkeypatch.setattr(wire, "connect", late)

    def ended(*_: object) -> None:
        end.ended = True
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(wire, "send", ended)
    assert launching.run_on(node, 1, ["true"], {}, lambda kind, data: None, end) == -9


@pytest.mark.parametrize("left", ["sleep 1000", "yes"])
@pytest.mark.parametrize("remote", [False, True])
def test_a_process_left_running_that_holds_the_output_keeps_nothing_up(node: Node, remote: bool, left: str) -> None:
    """Neither one that is silent, nor one that never stops to write."""
    wrote: list[tuple[bytes, bytes]] = []
    command = ["sh", "-c", f"setsid {left} 2>/dev/null & echo $! >&2"]
    there = node if remote else HERE
    status = launching.run_on(there, 0, command, {}, lambda *piece: wrote.append(piece), launching.Ending())
    told = b"".join(data for kind, data in wrote if kind == wire.ERR)
    pid = int(told.split(b"\n")[0])
    try:
        assert status == 0
        assert b"LAUNCH_OUTPUT_S" in told
        assert is_alive(pid) or left == "yes"  # which is told that nobody reads any more
    finally:
        signal_all([pid], signal.SIGKILL)


def test_a_companion_that_cannot_listen_says_so() -> None:
    task = SimpleNamespace(attempt=1, spec=SimpleNamespace(options=None))
    setup = SimpleNamespace(governor_id="192.0.2.1:7211")  # of no interface
    with pytest.raises(RainException, match=r"cannot listen at 192\.0\.2\.1: "):
        companion.run_companion(task, setup, lambda ready: None)  # type: ignore[arg-type]


def test_a_line_that_never_ends_is_not_kept_in_memory(capfd: pytest.CaptureFixture[str]) -> None:
    lines = launching.Lines()
    write = lines.writer(0)
    for _ in range(5):
        write(wire.OUT, b"x" * 40_000)
        assert sum(map(len, lines._rest.values())) <= launching.LAUNCH_LINE_BYTES_MAX
    write(wire.OUT, b"y\nz")
    lines.end()
    assert capfd.readouterr().out == "x" * 200_000 + "y\nz\n"
