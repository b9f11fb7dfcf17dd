"""How often a run survives the death of its server, as it is promised: N of N, and how soon the server is back.

    python benchmarks/deaths.py [--ways killed,by-hand,stopped-5] [--runs 10] [--tasks 2000] [--seed 1]

Each run makes tasks that depend on each other, and one that runs until it is told to end; at a random point of it
something happens to the server, or to a governor. It is right if all values are right, no task ran twice but those
that a governor took with it, and the task that ran ended in the process in which it began. The ways:

* ``killed``: SIGKILL, twice; the guardian starts it again;
* ``by-hand``: `rain start`; the guardian, the server and the governors are killed, and started by hand on the same
  folder;
* ``guardian``: SIGKILL of the guardian; its standby guards on;
* ``silent``: as ``governor``, but it is stopped until the server has given it up, and goes on;
* ``governor``: one of two governors is killed, twice, with results of 100 kB that it keeps; the guardian starts another
  one. No task that had finished may run again;
* ``stopped-S``: SIGSTOP for S seconds;
* ``reset``, ``half-open``, ``one-byte``, ``blackholed``, ``corrupting``: as ``killed``, with a client that reaches the
  server through a proxy: which resets its connections, leaves them open on one side, passes one byte at a time,
  swallows all for 8 s, or flips a bit now and then and of what comes after the death (on an address beyond loopback,
  where connections are encrypted).

Prints a line for each way.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import os
import random
import select
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bodies import chances, executions, until

from rain import Client, remote
from rain.common.states import TaskState
from rain.deploy.start import StartOptions, start
from rain.host.process_table import is_alive, parents
from rain.net.own_address import own_address
from rain.processes import connection_files
from rain.processes.launching import stop_guardian

PROXIED = ("reset", "half-open", "one-byte", "blackholed", "corrupting")
BLACK_S = 8.0
CORRUPTED_SHARE = 0.02
"""Of what is read at a time."""


@remote(auto_encode="pickle")
def added(ctx: Any, folder: str, number: int, *values: Any) -> Any:
    import os
    import time

    open(f"{folder}/{number}.{os.getpid()}.{time.monotonic_ns()}", "w").close()
    return (number * number + sum(value.load() for value in values)) % 1000003


@remote(auto_encode="pickle")
def large(ctx: Any, folder: str, number: int, *values: Any) -> Any:
    import os
    import time

    open(f"{folder}/{number}.{os.getpid()}.{time.monotonic_ns()}", "w").close()
    return (number * number + sum(value.load()[0] for value in values)) % 1000003, bytes(100_000)


@remote(auto_encode="pickle")
def patient(ctx: Any, folder: str) -> Any:
    import os
    import time

    open(f"{folder}/patient.{os.getpid()}.{time.monotonic_ns()}", "w").close()
    while not os.path.exists(f"{folder}/go"):
        time.sleep(0.02)
    return os.getpid()


class Proxy:
    """Stands between a client and its server, and breaks what it carries."""

    def __init__(self, target: str, way: str) -> None:
        host, _, port = target.rpartition(":")
        self._target, self.way = (host, int(port)), way
        self._black = False
        self.flips = False  # whether some of what it carries is changed; not before the client is connected
        self._flips = 0
        self._dice = random.Random(self._target[1])
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._socket = socket.create_server((host, 0))
        self.address = f"{host}:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._target)
            except OSError:
                client.close()
                continue
            self._pairs.append((client, server))
            threading.Thread(target=self._carry, args=(client, server), daemon=True).start()

    def _carry(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError):
            while True:
                for source in select.select([client, server], [], [], 1.0)[0]:
                    data = source.recv(1 if self.way == "one-byte" else 65536)
                    if self._black:
                        continue
                    if not data:
                        raise OSError
                    if self.flips and (self._flips or self._dice.random() < CORRUPTED_SHARE):
                        self._flips = max(0, self._flips - 1)
                        place = self._dice.randrange(len(data))
                        data = data[:place] + bytes([data[place] ^ 1 << self._dice.randrange(8)]) + data[place + 1 :]
                    (server if source is client else client).sendall(data)
        for end in (client, server):
            with contextlib.suppress(OSError):
                end.close()

    def break_(self) -> None:
        """Do what the way says."""
        if self.way == "blackholed":
            self._black = True
            threading.Timer(BLACK_S, self._heal).start()
            return
        if self.way == "corrupting":
            self._flips = 2
            return
        for client, server in self._pairs:
            with contextlib.suppress(OSError):
                if self.way == "reset":
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    client.shutdown(socket.SHUT_RD)
                elif self.way == "half-open":  # the server sees the end, the client hears nothing
                    server.shutdown(socket.SHUT_RDWR)

    def _heal(self) -> None:
        self._black = False
        for pair in self._pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Accept nothing more."""
        self._socket.close()


class Cluster:
    """A server that is watched by a guardian, with governors, and a way to end it."""

    def __init__(self, folder: str, host: str = "127.0.0.1") -> None:
        self.options = StartOptions(
            cpus=["1", "1"], listen=f"{host}:{_free_port()}", http_listen="127.0.0.1:0", journal=f"{folder}/journal"
        )
        self.start()

    def start(self) -> None:
        """Start it, or start it again on the same folder."""
        self.started = start(self.options)
        self.address = self.started.address

    @property
    def file(self) -> Any:
        """What its connection file says."""
        return connection_files.read(self.started.file)

    def kill_all(self) -> None:
        """The guardian and the server: the governors end with them."""
        file = self.file
        os.kill(file.guardian, signal.SIGSTOP)
        os.kill(file.pid, signal.SIGKILL)
        for pid in (parents()[file.guardian], file.guardian):  # its standby first
            os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
            until(lambda pid=pid: not is_alive(pid), "it has ended")
        until(lambda: not is_alive(file.pid), "the server has ended")

    def close(self) -> None:
        """End it."""
        file = self.file
        standby = parents().get(file.guardian, 0)
        stop_guardian(file.guardian, file.guardian_start)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(standby or file.guardian, 0)


def _free_port() -> int:
    while True:
        with socket.socket() as probe, contextlib.suppress(OSError):
            port = random.randrange(20_000, 32_000)
            probe.bind(("127.0.0.1", port))
            return port


def depending(function: Any, folder: str, count: int, dice: random.Random) -> tuple[list[Any], list[int]]:
    """Tasks whose outputs are kept, each with up to two of the 20 before it as inputs; and their values."""
    made: list[Any] = []
    inputs, values = chances(count, dice)
    for number, places in enumerate(inputs):
        made.append(function(folder, number, *(made[i].output for i in places)))
        made[-1].output.keep()
    return made, values


def governor_dies(cluster: Cluster, client: Client, dice: random.Random, silent: bool) -> float:
    """Kill a governor, or stop it until it is given up; seconds until another one is there, or it is back."""
    before = {one["governor_id"] for one in client.get_server_info()["governors"]}
    below = [pid for pid, parent in parents().items() if parent == cluster.file.guardian]
    pid = dice.choice([pid for pid in below if Path(f"/proc/{pid}/comm").read_text() == "rain-governor\n"])
    if silent:
        os.kill(pid, signal.SIGSTOP)
        until(lambda: len(client.get_server_info()["governors"]) < len(before), "it is given up")
    began = time.monotonic()
    os.kill(pid, signal.SIGCONT if silent else signal.SIGKILL)

    def is_back() -> bool:
        now = {one["governor_id"] for one in client.get_server_info()["governors"]}
        return len(now) == len(before) and (silent or now != before)

    until(is_back, "a governor is back")
    return time.monotonic() - began


def governor_run(tasks_count: int, seed: int, silent: bool) -> list[float]:
    """One run in which governors die; how long it took until others were there.

    Raises
    ------
    AssertionError
        If anything is not as promised.
    """
    dice = random.Random(seed)
    folder = tempfile.mkdtemp(prefix="rain-deaths-")
    cluster = Cluster(folder)
    os.mkdir(work := f"{folder}/work")
    took: list[float] = []
    had_finished: set[str] = set()
    try:
        with Client(cluster.address) as client, client.new_session("deaths") as session:
            made, values = depending(large, work, tasks_count, dice)
            session.submit()
            for share in (dice.random() / 2, 1.0):
                if share == 1.0:  # with all of them kept, and nothing running
                    for task in made:
                        task.wait()
                until(lambda share=share: sum(executions(work).values()) >= share * tasks_count, "some ran")
                finished = {str(number) for number, task in enumerate(made) if task.state is TaskState.FINISHED}
                counts = executions(work)
                assert all(counts[name] == 1 for name in had_finished), "a task that had finished ran again"
                had_finished |= finished
                before = {name: counts[name] for name in had_finished}
                took.append(governor_dies(cluster, client, dice, silent))
            assert [task.output.fetch().load()[0] for task in made] == values, "a value is wrong"
            counts = executions(work)
            again = sorted(name for name, count in before.items() if counts[name] != count)
            assert not again, f"had finished, and ran again: {again}"
    finally:
        cluster.close()
        shutil.rmtree(folder, ignore_errors=True)
    return took


def happens(way: str, cluster: Cluster, proxy: Proxy | None, client: Client) -> Iterator[float]:
    """Let it happen; seconds until the server answers again."""
    before = cluster.file.pid
    if way.startswith("stopped-"):
        os.kill(before, signal.SIGSTOP)
        time.sleep(float(way.partition("-")[2]))
        began = time.monotonic()
        os.kill(before, signal.SIGCONT)
        client.sessions()
    elif way == "guardian":
        guardian = cluster.file.guardian
        began = time.monotonic()
        os.kill(guardian, signal.SIGKILL)
        until(lambda: cluster.file.guardian != guardian, "another process guards")
    elif way == "by-hand":
        cluster.kill_all()
        began = time.monotonic()
        cluster.start()
        client.sessions()
    else:
        if proxy is not None:
            proxy.break_()
        began = time.monotonic()
        os.kill(before, signal.SIGKILL)
        until(lambda: client.sessions() is not None and cluster.file.pid != before, "the server is back")
    yield time.monotonic() - began


def run(way: str, tasks_count: int, seed: int) -> list[float]:
    """One run; how long the server took to answer again.

    Raises
    ------
    AssertionError
        If anything is not as promised.
    """
    dice = random.Random(seed)
    folder = tempfile.mkdtemp(prefix="rain-deaths-")
    cluster = Cluster(folder, own_address() if way == "corrupting" else "127.0.0.1")
    os.mkdir(work := f"{folder}/work")
    proxy = Proxy(cluster.address, way) if way in PROXIED else None
    came_back: list[float] = []
    try:
        with _client(cluster, proxy) as client, client.new_session("deaths") as session:
            long = patient(work)
            long.output.keep()
            session.submit()
            until(lambda: executions(work)["patient"] == 1, "it runs")
            made, values = depending(added, work, tasks_count, dice)
            session.submit()
            deaths = 1 if way in ("by-hand", "guardian") or way.startswith("stopped-") else 2
            for number in range(deaths):
                share = (number + dice.random()) / (deaths + 1)
                until(lambda share=share: sum(executions(work).values()) > share * tasks_count, "some ran")
                came_back += happens(way, cluster, proxy, client)
            for task in made:
                task.wait()
            twice = {name: count for name, count in executions(work).items() if count != 1}
            Path(work, "go").touch()
            pid = long.output.fetch().load()
            assert [task.output.fetch().load() for task in made] == values, "a value is wrong"
            if way != "by-hand":  # there the governors died too, and what they held is made again
                assert not twice, f"ran twice: {twice}"
                assert os.path.basename(next(Path(work).glob("patient.*"))).split(".")[1] == str(pid), "it began anew"
    finally:
        if proxy is not None:
            proxy.close()
        cluster.close()
        shutil.rmtree(folder, ignore_errors=True)
    return came_back


def _client(cluster: Cluster, proxy: Proxy | None) -> Client:
    if proxy is None:
        return Client(cluster.address)
    client = Client(proxy.address, token=cluster.file.credentials.token("client"))
    proxy.flips = proxy.way == "corrupting"
    return client


def main() -> int:
    """Parse arguments and run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--ways", default="killed,by-hand,stopped-5")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--tasks", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    bad = 0
    for way in options.ways.split(","):
        right, took = 0, []
        for seed in range(options.seed, options.seed + options.runs):
            try:
                governors = way in ("governor", "silent")
                took += (
                    governor_run(options.tasks, seed, way == "silent") if governors else run(way, options.tasks, seed)
                )
                right += 1
            except Exception as error:
                print(f"{way}, seed {seed}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        bad += options.runs - right
        took.sort()
        back = f"; back after {took[len(took) // 2]:.2f} s, at most {took[-1]:.2f} s" if took else ""
        today = datetime.datetime.now(datetime.UTC).date()
        print(f"{way}: {right} of {options.runs} runs of {options.tasks} tasks{back} ({today})", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
