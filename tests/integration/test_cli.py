"""The `rain` command as processes: what it starts, says, leaves behind, and how it fails."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import os
import pty
import re
import select
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from rain import Client, Program
from rain.client.local_cluster import LocalCluster
from rain.common.protocol.address import is_loopback, parse_address
from rain.common.protocol.messages import ServerInfo
from rain.host.network.addresses import own_addresses
from rain.host.process_table import descendants, is_alive
from rain.net.auth import Credentials
from rain.processes import connection_files
from tests.support.commands import write_command
from tests.support.processes import kill_guardian
from tests.support.waiting import GUARD_S, until

RAIN = [sys.executable, "-m", "rain"]


class Shell:
    """Runs `rain` with a runtime folder, temporary folder and path of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runtime = folder / "run"
        self.temporary = folder / "tmp"
        self.bin = folder / "bin"
        for path in (self.runtime, self.temporary, self.bin):
            path.mkdir()
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("RAIN")} | {
            "XDG_RUNTIME_DIR": str(self.runtime),
            "TMPDIR": str(self.temporary),
            "PATH": f"{self.bin}:{os.environ['PATH']}",
        }
        self.daemons: list[subprocess.Popen[str]] = []

    def run(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*RAIN, *words],
            env=self.environment | variables,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=GUARD_S,
            stdin=subprocess.DEVNULL,
        )

    def fails(self, *words: str, status: int = 1, **variables: str) -> str:
        """The one line that the command fails with."""
        ended = self.run(*words, **variables)
        assert ended.returncode == status, ended
        assert ended.stdout == ""
        (line,) = ended.stderr.splitlines()
        return line

    def daemon(self, *words: str, stdin: int | None = None, **variables: str) -> subprocess.Popen[str]:
        """Start a daemon; returns when its ready file is there."""
        ready = self.folder / f"ready-{len(self.daemons)}"
        process = subprocess.Popen(
            [*RAIN, *words, "--ready-file", str(ready)],
            env=self.environment | variables,
            cwd=self.folder,
            stdin=stdin if stdin is not None else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.daemons.append(process)
        until(lambda: ready.exists() or process.poll() is not None)
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        assert ready.read_text() == "ready\n"
        return process

    def end(self) -> None:
        """End the daemons: a governor that is killed leaves its data to another one for a minute."""
        for number, wait_s in ((signal.SIGINT, 10.0), (signal.SIGKILL, GUARD_S)):
            running = [daemon for daemon in self.daemons if daemon.poll() is None]
            for daemon in running:
                daemon.send_signal(number)
                daemon.send_signal(signal.SIGCONT)
            for daemon in running:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    daemon.wait(wait_s)
        for daemon in self.daemons:
            if daemon.stderr is not None:
                daemon.stderr.close()

    def server(self, *words: str, **variables: str) -> tuple[subprocess.Popen[str], str]:
        process = self.daemon("server", "--listen", "0", "--http-listen", "0", *words, **variables)
        return process, self.file(process.pid).reachable()

    def file(self, pid: int) -> connection_files.ConnectionFile:
        found = [connection_files.read(path) for path in (self.runtime / "rain").glob("*.json")]
        return next(file for file in found if file.pid == pid)

    def info(self, address: str) -> ServerInfo:
        from rain.cli.server_query import server_info

        files = (connection_files.read(path) for path in (self.runtime / "rain").glob("*.json"))
        return server_info(address, next(file for file in files if file.reachable() == address).credentials)

    def start(self, *words: str, **variables: str) -> str:
        """`rain start`; returns the server's address."""
        started = self.run("start", "--listen", "0", "--http-listen", "0", *words, **variables)
        assert started.returncode == 0, started.stderr
        address = re.search(r"^server +(\S+),", started.stdout, re.MULTILINE)
        assert address is not None
        return address[1].replace("0.0.0.0", "127.0.0.1")


def ends(pid_or_process: int | subprocess.Popen[str], number: int | None = None) -> None:
    """Wait for a process, after a signal."""
    if isinstance(pid_or_process, subprocess.Popen):
        if number is not None:
            pid_or_process.send_signal(number)
        pid_or_process.wait(GUARD_S)
        return
    handle = os.pidfd_open(pid_or_process)
    if number is not None:
        signal.pidfd_send_signal(handle, number)
    assert select.select([handle], [], [], GUARD_S)[0]
    os.close(handle)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    made = Shell(tmp_path)
    yield made
    made.end()
    for path in (made.runtime / "rain").glob("*.json"):
        file = connection_files.read(path)
        if file.guardian:
            os.kill(file.guardian, signal.SIGTERM)
            until(lambda pid=file.guardian: not is_alive(pid))


# -- words ----------------------------------------------------------------------------------------


def test_version_and_help(shell):
    assert re.fullmatch(r"rain \d+\.\d+\.\d+\n", shell.run("--version").stdout)
    listed = shell.run("--help").stdout
    for command in ("start", "stop", "status", "sessions", "report", "logs", "demo", "lab"):
        assert command in listed
        assert "Usage" in shell.run(command, "--help").stdout
    for command in ("server", "governor"):
        assert re.search(rf"^  {command} +Run a ", listed, re.MULTILINE)
        assert "--ready-file" in shell.run(command, "--help").stdout
    assert shell.run("help").stdout == listed
    assert "--ready-file" in shell.run("help", "governor").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["bogus"], "No such command 'bogus'"),
        (["start", "--bogus"], "rain start: No such option: --bogus"),
        (["server", "--bogus"], "rain server: unrecognized arguments: --bogus"),
        (["governor"], "rain governor: the following arguments are required: SERVER"),
    ],
)
def test_misuse_is_one_line(shell, words, said):
    assert said in shell.fails(*words, status=2)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["start", "--listen", "99999"], "'99999' is not a port"),
        (["start", "--simple", "--autoconf", "pbs"], "choose one of"),
        (["start", "--autoconf", "pbs"], "PBS_NODEFILE is not set"),
        (["start", "--local-governors", "4"], "is a list of cpus like"),
        (["start", "--governor-host-file", "nothing"], "nothing cannot be read"),
        (["start", "--listen", "0", "--http-listen", "0", "--governor-config", "no.toml"], "no governor configuration"),
        (["stop"], "no server of this user is known on this machine"),
        (["status", "7999"], "no server of this user is known at 127.0.0.1:7999"),
        (["sessions"], "no server of this user is known"),
        (["governor", "localhost:1"], "no server of this user is known at localhost:1"),
        (["governor", "localhost:1", "--cpus", "many"], "cpus must be a number"),
        (["governor", "localhost:1", "--config", "no.toml"], "no.toml cannot be read"),
        (["governor", "localhost:1", "--token-file", "nothing"], "the token file nothing cannot be read"),
        (["server", "--listen", "no.such.invalid:0"], "the host is not known"),
    ],
)
def test_what_cannot_start_says_why_in_one_line(shell, words, said):
    line = shell.fails(*words)
    assert line.startswith(f"rain {words[0]}: ")
    assert said in line


# -- server ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_is_ready_known_and_ends_cleanly(shell, number):
    logs = shell.folder / "deep" / "logs"
    process, address = shell.server("--logdir", str(logs))
    path = runtime_path(shell, address)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert shell.info(address).governors == []
    assert "listening at" in (logs / "server.log").read_text()
    ends(process, number)
    assert process.returncode == 0
    assert not path.exists()
    assert (logs / "events.sqlite").exists()
    assert "no server of this user" in shell.fails("status", address)


def runtime_path(shell: Shell, address: str) -> Path:
    return shell.runtime / "rain" / f"{address.rpartition(':')[2]}.json"


def test_http_beyond_loopback_is_https(shell):
    process = shell.daemon("server", "--listen", "0", "--http-listen", "0.0.0.0:0")
    file = shell.file(process.pid)
    address = file.reachable()
    shown = shell.run("status", address).stdout
    url, _ = re.search(r"dashboard +(https://127\.0\.0\.1:\d+/)#(\S{20,})", shown).groups()
    assert file.credentials.fingerprint.hex(":").upper() in shown
    (path,) = (shell.runtime / "rain").glob("*.json")
    with Client(address, connection_file=path) as client:
        assert client.http_url == url
        request = urllib.request.Request(url + "events", b"{}", client.http_headers)
        with urllib.request.urlopen(request, timeout=GUARD_S, context=client.http_context()) as answer:
            assert b"ClientNew" in answer.read()
        with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
            urllib.request.urlopen(request, timeout=GUARD_S)
    ends(process, signal.SIGTERM)


def test_a_port_in_use_is_one_line(shell):
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        for words in (
            ["server", "--listen", str(port), "--http-listen", "0"],
            ["server", "--listen", "0", "--http-listen", str(port)],
            ["start", "--listen", str(port), "--http-listen", "0"],
        ):
            line = shell.fails(*words)
            assert f"cannot listen at 127.0.0.1:{port}: the port is in use by another process" in line
    assert list((shell.runtime).glob("rain/*")) == []


def test_default_folders_are_private(shell):
    process, _ = shell.server()
    (folder,) = shell.temporary.glob("rain-logs-*")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    ends(process, signal.SIGTERM)


# -- governor -------------------------------------------------------------------------------------


def test_a_governor_registers_and_ends_cleanly(shell):
    server, address = shell.server()
    work = shell.folder / "work" / "here"
    config = shell.folder / "governor.toml"
    config.write_text("[resources]\ngpus = 2\n")
    options = ["--cpus", "3", "--workdir", str(work), "--config", str(config), "--logdir", str(shell.folder / "logs")]
    governor = shell.daemon("governor", address.replace("127.0.0.1", "localhost"), *options)
    (known,) = until(lambda: shell.info(address).governors)  # it is ready when it has said who it is
    assert known.resources == {"cpus": 3, "gpus": 2}
    assert known.governor_id.startswith("127.0.0.1:")
    assert list(work.iterdir()) != []
    ends(governor, signal.SIGINT)
    assert governor.returncode == 0
    assert list(work.iterdir()) == []
    until(lambda: shell.info(address).governors == [])  # at once, by its goodbye
    ends(server, signal.SIGTERM)


def test_a_governor_with_a_wrong_key(shell):
    _, address = shell.server()
    token = shell.folder / "token"
    token.write_text(Credentials.generate().token("governor"))
    token.chmod(0o640)
    line = shell.fails("governor", address, "--token-file", str(token))
    assert line.endswith(f"can be read by other users, who could then run code as you: chmod 600 {token}")
    token.chmod(0o600)
    assert "has another key" in shell.fails("governor", address, "--token-file", str(token))
    token.write_text(Credentials.generate().token("client"))
    assert "a key for the role governor is needed" in shell.fails("governor", address, "--token-file", str(token))
    assert "this is not a Rain token" in shell.fails("governor", address, RAIN_TOKEN="hunter2")


def test_a_governor_of_nobody(shell):
    server, address = shell.server()
    token = shell.file(server.pid).credentials.token("governor")
    ends(server, signal.SIGTERM)
    assert f"nothing listens at {address}" in shell.fails("governor", address, RAIN_TOKEN=token)


def test_a_governor_tries_each_address_of_its_server(shell):
    server, address = shell.server()
    with socket.socket() as bound:  # and nobody listens
        bound.bind(("127.0.0.1", 0))
        silent = f"127.0.0.1:{bound.getsockname()[1]}"
        shell.daemon("governor", f"{silent},{address}")
        assert len(until(lambda: shell.info(address).governors)) == 1
        token = shell.file(server.pid).credentials.token("governor")
        line = shell.fails("governor", f"{silent},nowhere.invalid:7", RAIN_TOKEN=token)
    assert "the server cannot be reached at any of its 2 addresses" in line
    assert f"nothing listens at {silent}" in line
    assert "the host of nowhere.invalid:7 is not known" in line


def test_a_token_on_standard_input_is_a_lifeline(shell):
    server, address = shell.server()
    read, write = os.pipe()
    os.write(write, shell.file(server.pid).credentials.token("governor").encode() + b"\n")
    governor = shell.daemon("governor", address, "--token-file", "-", stdin=read)
    os.close(read)
    assert len(until(lambda: shell.info(address).governors)) == 1
    os.close(write)
    ends(governor)
    assert governor.returncode == 0


def test_status_from_elsewhere_with_a_token(shell):
    _, address = shell.server()
    token = shell.run("status", address, "--token").stdout.strip()
    shown = shell.run("status", address, RAIN_TOKEN=token, XDG_RUNTIME_DIR=str(shell.bin))
    assert "no governors" in shown.stdout, shown.stderr
    file = shell.folder / "token"
    file.write_text(token)
    file.chmod(0o600)
    assert "no sessions" in shell.run("sessions", address, "--token-file", str(file)).stdout


def test_a_report_of_another_clients_session(shell):
    """It is told while its client is at work with it, and stays that client's."""
    address = shell.start("--local-governors", "[2]")
    with Client(address, connection_file=runtime_path(shell, address)) as client:
        with client.new_session("busy", persistent=True) as session:
            hello = Program(["sh", "-c", "echo said-something >&2; printf 12345"], stdout=True)()
            hello.output.keep()
            session.submit()
            session.wait_all()
            done = shell.run("report", "busy", address, "--package", "msgspec")
            assert done.returncode == 0, done.stderr
            path = Path(done.stdout.strip())
            assert path == shell.folder.resolve() / f"session-{session.session_id}.html"
            (data,) = re.findall(r'id="rain-data">([^<]*)<', path.read_text())
            told = json.loads(gzip.decompress(base64.b64decode(data)))
            assert [row["state"] for row in told["rows"]] == ["finished"]
            assert [output["stderr"] for output in told["outputs"].values()] == ["said-something\n"]
            assert "12345" in json.dumps(told["previews"])
            assert "msgspec" in json.dumps(told["versions"])
            assert session.run(Program(["echo"], stdout=True)()) == b"\n", "it goes on"
            other = shell.run("report", str(session.session_id), address, "-o", "again.html")
            assert other.stdout == f"{shell.folder.resolve() / 'again.html'}\n", other.stderr
            (shell.folder / "mine.txt").write_text("mine")
            assert "is no report of Rain" in shell.fails("report", "busy", address, "-o", "mine.txt")
        text = shell.fails("report", "busy", address)
        assert text.startswith("rain report: there is no persistent session 'busy', and none that waits for its client")
        assert "Of a closed session the server keeps nothing" in text


# -- clusters -------------------------------------------------------------------------------------


def test_start_and_stop(shell):
    logs = shell.folder / "logs"
    address = shell.start("--local-governors", "[1,2]", "--logdir", str(logs))
    file = connection_files.read(runtime_path(shell, address))
    pids = [file.guardian, *descendants(file.guardian)]
    assert len(pids) >= 4
    shown = shell.run("status").stdout
    assert address in shown
    assert re.search(r"dashboard +http://127\.0\.0\.1:\d+/#\S{20,}", shown)
    assert sorted(re.findall(r"cpus (\d)", shown)) == ["1", "2"]
    assert shell.run("sessions", address).stdout == "no sessions\n"
    assert "listening at" in shell.run("logs", "-p", "server").stdout
    assert "there is no log of" not in shell.fails("logs", "-p", "nobody")
    port = address.rpartition(":")[2]
    assert f"`rain stop {port}` ends it" in shell.fails("start", "--listen", port, "--http-listen", "0")
    assert shell.run("stop", port).stdout == f"stopped {address}\n"
    assert not any(is_alive(pid) for pid in pids)
    assert not runtime_path(shell, address).exists()
    assert "no server of this user" in shell.fails("stop", port)


def test_a_dead_server_is_started_again_and_its_governors_come_back(shell):
    address = shell.start("--local-governors", "[1]")
    before = connection_files.read(runtime_path(shell, address))
    os.kill(before.pid, signal.SIGKILL)
    until(lambda: connection_files.read(runtime_path(shell, address)).pid not in (0, before.pid))
    after = connection_files.read(runtime_path(shell, address))
    assert (after.address, after.http, after.keys, after.guardian) == (
        before.address,
        before.http,
        before.keys,
        before.guardian,
    )
    until(lambda: len(shell.info(address).governors) == 1)
    (governor,) = shell.info(address).governors
    os.kill(_governors_below(after.guardian)[0], signal.SIGKILL)
    until(lambda: [one.governor_id for one in shell.info(address).governors] not in ([], [governor.governor_id]))
    shell.run("stop", address)


def _governors_below(guardian: int) -> list[int]:
    return [pid for pid in descendants(guardian) if Path(f"/proc/{pid}/comm").read_text() == "rain-governor\n"]


def test_stop_without_an_address(shell):
    address = shell.start("--local-governors", "[]")
    here, shell.folder = shell.folder, shell.bin
    assert f"not started from this folder: {address} (started from {here})" in shell.fails("stop")
    assert "nothing was stopped" in at_a_terminal(shell, "stop", answer="")
    shown = at_a_terminal(shell, "stop", answer="1")
    assert f"started from\r\n1  {address}" in shown
    assert f"stopped {address}" in shown
    assert "no server of this user" in shell.fails("stop", "--all")


def at_a_terminal(shell: Shell, *words: str, answer: str) -> str:
    """What the command shows at a terminal where `answer` is typed."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*RAIN, *words], env=shell.environment, cwd=shell.folder, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    os.write(ours, answer.encode() + b"\n")
    shown = b""
    with contextlib.suppress(OSError):  # the other side is closed
        while data := os.read(ours, 4096):
            shown += data
    os.close(ours)
    process.wait(GUARD_S)
    return shown.decode()


def test_stop_ends_only_what_start_started(shell):
    server, own = shell.server()
    address = shell.start("--local-governors", "[]")
    shell.run("stop", address)
    assert shell.info(own).governors == []
    line = shell.fails("stop", own)
    assert "was not started by `rain start`" in line
    assert str(server.pid) in line


def test_a_guardian_that_was_killed_takes_all_with_it(shell):
    address = shell.start("--local-governors", "[1]")
    file = connection_files.read(runtime_path(shell, address))
    handles = []
    for pid in descendants(file.guardian):
        with contextlib.suppress(ProcessLookupError):  # a short-lived one
            handles.append(os.pidfd_open(pid))
    kill_guardian(file.guardian)
    for handle in handles:
        assert select.select([handle], [], [], GUARD_S)[0]
        os.close(handle)
    assert "was gone already" in shell.fails("stop", address)
    assert not runtime_path(shell, address).exists()


def test_folders_of_users_that_look_like_ours_stay(shell, monkeypatch):
    work, memory = shell.folder / "work", Path("/dev/shm")
    places = {work: "rain-governor-", shell.temporary: "rain-local-", memory: "rain-store-"}
    work.mkdir()
    made = [place / f"{kind}{end}" for place, kind in places.items() for end in ("my-results", "results1")]
    made += [shell.temporary / f"{kind}results1" for kind in ("rain-logs-", "rain-governor-", "rain-sockets-")]
    made += [memory / "rain-constants-results1"]
    try:
        for path in made:
            path.mkdir(mode=0o700)
            (path / "file").touch()
            os.utime(path, (1, 1))
        logs = shell.folder / "logs"
        address = shell.start("--local-governors", "[1]", "--workdir", str(work), "--logdir", str(logs))
        shell.run("stop", address)
        monkeypatch.setattr(tempfile, "tempdir", str(shell.temporary))
        LocalCluster(governors=0).close()
        assert [path for path in made if not (path / "file").exists()] == []
        said = (logs / "server.log").read_text() + (logs / "governor-0.log").read_text()
        assert [path for path in made if (str(path) in said) != path.name.endswith("results1")] == []
    finally:
        for path in made[4:6] + made[-1:]:
            (path / "file").unlink()
            path.rmdir()


def test_a_start_that_fails_leaves_nothing(shell):
    config = shell.folder / "governor.toml"
    config.write_text("[nonsense]\n")
    line = shell.fails("start", "--listen", "0", "--http-listen", "0", "--governor-config", str(config))
    assert "unknown section [nonsense]" in line
    assert list((shell.runtime / "rain").iterdir()) == []
    marks = {str(shell.temporary), str(shell.runtime)}
    assert not any(marks & environment_values(pid) for pid in all_pids())


def all_pids() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit() and int(entry) != os.getpid()]


def environment_values(pid: int) -> set[str]:
    try:
        data = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return set()
    return {item.partition("=")[2] for item in data.decode("utf-8", "replace").split("\0")}


def test_one_cpu_is_reserved(shell):
    address = shell.start("--local-governors", "[3]", "-S")
    assert shell.info(address).governors[0].resources == {"cpus": 2}
    shell.run("stop", address)
    line = shell.fails("start", "--listen", "0", "--http-listen", "0", "--local-governors", "[1]", "-S")
    assert "leaves none for the governor here" in line


# -- over ssh -------------------------------------------------------------------------------------

SSH = """#!/bin/sh
# Like ssh: options, a host, a command for the login shell of that host.
while [ "${1#-}" != "$1" ]; do case "$1" in -o) shift ;; -G) exit 1 ;; esac; shift; done
echo "$@" >> {log}
shift
exec sh -c "$1"
"""


def test_governors_over_ssh(shell):
    log = shell.folder / "ssh.log"
    write_command(shell.bin / "ssh", SSH.replace("{log}", str(log)))
    write_command(shell.bin / "rain", f'#!/bin/sh\nexec {sys.executable} -m rain "$@"\n')
    write_command(shell.bin / "prefix", f'#!/bin/sh\necho prefixed "$@" >> {log}\nexec "$@"\n')
    for name in ("ssh", "rain", "prefix"):
        (shell.bin / name).chmod(0o755)
    hosts = shell.folder / "hosts"
    hosts.write_text("node1.invalid # the first\nuser@node2.invalid\n")
    options = ["--governor-host-file", str(hosts), "--remote-init", "GREETING=hello", "--runprefix", "prefix"]
    assert "cannot reach a server that listens on 127.0.0.1" in shell.fails("start", "--http-listen", "0", *options)
    started = shell.run("start", "--listen", "0.0.0.0:0", "--http-listen", "0", *options)
    assert started.returncode == 0, started.stderr
    (path,) = (shell.runtime / "rain").glob("*.json")
    file = connection_files.read(path)
    pids = descendants(file.guardian)
    assert len(shell.info(file.reachable()).governors) == 2
    lines = log.read_text()
    assert "node1.invalid GREETING=hello && exec prefix rain hold " in lines
    assert "user@node2.invalid" in lines
    assert "prefixed rain hold " in lines
    secrets = [*file.keys.values(), file.credentials.token("governor")]
    commands = [Path(f"/proc/{pid}/cmdline").read_text() for pid in pids]
    assert not any(secret in text for secret in secrets for text in (*commands, lines))
    # One that dies is started again, over ssh, with its key on its standard input.
    before = {one.governor_id for one in shell.info(file.reachable()).governors}
    os.kill(_governors_below(file.guardian)[0], signal.SIGKILL)
    until(lambda: len(log.read_text().splitlines()) > len(lines.splitlines()))
    until(lambda: len(shell.info(file.reachable()).governors) == 2)
    until(lambda: {one.governor_id for one in shell.info(file.reachable()).governors} != before)
    pids += descendants(file.guardian)
    assert shell.run("stop").returncode == 0
    assert not any(is_alive(pid) for pid in pids)


def test_governors_beside_a_server_for_other_hosts_can_be_reached_from_there(shell):
    (host,) = own_addresses()[:1] or ["127.0.0.1"]
    address = shell.start("--listen", "0.0.0.0:0", "--local-governors", "[1]")
    (governor,) = (parse_address(one.governor_id) for one in shell.info(address).governors)
    assert is_loopback(governor[0]) == is_loopback(host)
    with socket.create_connection((host, governor[1]), 10):
        pass
    address = shell.start("--local-governors", "[1]")
    assert [parse_address(one.governor_id)[0] for one in shell.info(address).governors] == ["127.0.0.1"]
    assert shell.run("stop", "--all").returncode == 0


def test_clients_of_this_host_find_a_server_that_listens_on_one_address_of_it(shell):
    address = shell.start("--listen", "127.0.0.9:0", "--local-governors", "[1]")
    port = address.rpartition(":")[2]
    assert address == f"127.0.0.9:{port}"
    code = f"import rain\nwith rain.Client(port={port}) as client: print(client.address)"
    ended = subprocess.run([sys.executable, "-c", code], env=shell.environment, capture_output=True, text=True)
    assert (ended.stdout, ended.stderr) == (f"{address}\n", "")
    assert shell.run("stop", port).stdout == f"stopped {address}\n"


def test_a_host_that_cannot_be_reached_is_one_error(shell):
    write_command(shell.bin / "ssh", "#!/bin/sh\necho 'ssh: Could not resolve hostname node9: no' >&2\nexit 255\n")
    (shell.bin / "ssh").chmod(0o755)
    hosts = shell.folder / "hosts"
    hosts.write_text("node9.invalid\n")
    ended = shell.run("start", "--listen", "0.0.0.0:0", "--http-listen", "0", "--governor-host-file", str(hosts))
    assert ended.returncode == 1
    assert "the governor on node9.invalid could not start: there is no host node9 that" in ended.stderr
    assert "Could not resolve hostname node9" in ended.stderr
    assert list((shell.runtime / "rain").iterdir()) == []


def test_a_batch_job(shell):
    nodes = shell.folder / "nodes"
    nodes.write_text(f"localhost\nlocalhost\n{os.uname().nodename}\n")
    address = shell.start("--autoconf", "pbs", PBS_NODEFILE=str(nodes))
    assert len(shell.info(address).governors) == 2
    shell.run("stop", address)
