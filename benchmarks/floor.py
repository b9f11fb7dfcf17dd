"""The floor under W4: bytes there and back through four processes, as one task's go, by raw sockets and nothing else.

    python benchmarks/floor.py [--n 3000] [--rain]

client → server → governor → executor over TCP on loopback (the last hop a socket pair), each hop a blocking `recv` of a
frame and a `sendall`, with as many bytes as Rain's messages have for a task that does nothing. Prints median and 99th
percentile, in microseconds; with `--rain` those of Rain's W4 in the same run, in alternating rounds, and the ratios.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import struct
import time
from collections.abc import Callable
from typing import Any

PREFIX = struct.Struct("<I")
THERE = {"submit": 330, "assign": 360, "run": 330}
BACK = {"results": 120, "finished": 140, "update": 150}
ROUNDS = 5


def received(peer: socket.socket) -> bytes:
    """The next frame."""
    head = exactly(peer, PREFIX.size)
    return exactly(peer, *PREFIX.unpack(head))


def exactly(peer: socket.socket, count: int) -> bytes:
    data = peer.recv(count)
    while len(data) < count:
        more = peer.recv(count - len(data))
        if not more:
            raise SystemExit(0)  # the one before has ended
        data += more
    return data


def send(peer: socket.socket, size: int) -> None:
    peer.sendall(PREFIX.pack(size) + bytes(size))


def connected() -> tuple[socket.socket, socket.socket]:
    """Two ends of a TCP connection on loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = socket.create_connection(listener.getsockname())
        other, _ = listener.accept()
    for end in (one, other):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return one, other


def forked(work: Callable[[], None]) -> int:
    pid = os.fork()
    if not pid:
        try:
            work()
        finally:
            os._exit(0)
    return pid


def relay(before: socket.socket, behind: socket.socket | None, there: int, back: int) -> None:
    """Hand each frame on, and its answer back; the last one answers."""
    while True:
        received(before)
        if behind is not None:
            send(behind, there)
            received(behind)
        send(before, back)


class Floor:
    """The chain of processes."""

    def __init__(self) -> None:
        client, server = connected()
        to_governor, governor = connected()
        to_executor, executor = socket.socketpair()
        ends = [client, server, to_governor, governor, to_executor, executor]

        def only(*own: socket.socket) -> None:
            for end in ends:
                if end not in own:
                    end.close()

        def be_server() -> None:
            only(server, to_governor)
            relay(server, to_governor, THERE["assign"], BACK["update"])

        def be_governor() -> None:
            only(governor, to_executor)
            relay(governor, to_executor, THERE["run"], BACK["finished"])

        def be_executor() -> None:
            only(executor)
            relay(executor, None, 0, BACK["results"])

        self._pids = [forked(be_server), forked(be_governor), forked(be_executor)]
        only(client)
        self._client = client

    def one(self) -> None:
        """There and back."""
        send(self._client, THERE["submit"])
        received(self._client)

    def close(self) -> None:
        self._client.close()
        for pid in self._pids:
            os.waitpid(pid, 0)


def timed(one: Callable[[], Any], n: int) -> list[float]:
    """Microseconds of each of `n` calls."""
    found = []
    for _ in range(n):
        start = time.perf_counter()
        one()
        found.append((time.perf_counter() - start) * 1e6)
    return found


def told(name: str, found: list[float]) -> tuple[float, float]:
    """Print median and 99th percentile."""
    median, late = statistics.median(found), sorted(found)[int(len(found) * 0.99)]
    print(f"{name:6} median {median:8.0f} µs   p99 {late:8.0f} µs", flush=True)
    return median, late


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--n", type=int, default=3000, help="round trips")
    parser.add_argument("--rain", action="store_true", help="also Rain's W4, in alternating rounds")
    options = parser.parse_args()
    floor = Floor()
    try:
        if not options.rain:
            timed(floor.one, 200)
            told("floor", timed(floor.one, options.n))
            return
        import rain_bodies

        from rain import Client, Remote

        found: dict[str, list[float]] = {"floor": [], "rain": []}
        with Client.local(cpus=2) as client, client.new_session("floor") as session:
            noop = Remote(rain_bodies.noop, auto_load=True, auto_encode="pickle")
            session.run(noop.map(range(1000)))
            for _ in range(ROUNDS):
                found["floor"] += timed(floor.one, options.n // ROUNDS)
                found["rain"] += timed(lambda: session.run(noop(1)), options.n // ROUNDS // 4)
        (least, late), (median, p99) = told("floor", found["floor"]), told("rain", found["rain"])
        print(f"ratios: median {median / least:.2f}, p99 {p99 / late:.2f}")
    finally:
        floor.close()


if __name__ == "__main__":
    main()
