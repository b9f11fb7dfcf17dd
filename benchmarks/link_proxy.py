"""A proxy that makes a link slow: so many bits a second in each direction, over all connections, and a delay."""

from __future__ import annotations

import collections
import socket
import sys
import threading
import time

PIECE_BYTES = 64 << 10
WAITING_BYTES = 256 << 10
"""What may wait in one direction of a connection beyond what is on its way, as in the buffers of a router."""


class Line:
    """One direction of the link.

    Parameters
    ----------
    bits_per_s, delay_s : float
    """

    def __init__(self, bits_per_s: float, delay_s: float) -> None:
        self._bytes_per_s = bits_per_s / 8
        self._delay_s = delay_s
        self._free_at = 0.0
        self._lock = threading.Lock()
        self.on_the_way = WAITING_BYTES + int(self._bytes_per_s * delay_s)

    def arrives(self, count: int) -> float:
        """When so many bytes, given to the link now, arrive."""
        with self._lock:
            self._free_at = max(self._free_at, time.monotonic()) + count / self._bytes_per_s
            return self._free_at + self._delay_s


class Pump:
    """Carries what comes from one end to another, until one of them ends.

    Parameters
    ----------
    line : Line
    source, target : socket.socket
    """

    def __init__(self, line: Line, source: socket.socket, target: socket.socket) -> None:
        self._line, self._source, self._target = line, source, target
        self._waiting: collections.deque[tuple[float, bytes]] = collections.deque()
        self._change = threading.Condition()
        self._held = 0
        self._ended = False
        for work in (self._take, self._give):
            threading.Thread(target=work, daemon=True).start()

    def _take(self) -> None:
        while not self._ended:
            try:
                data = self._source.recv(PIECE_BYTES)
            except OSError:
                data = b""
            with self._change:
                if data:
                    self._change.wait_for(lambda: self._held < self._line.on_the_way)
                    self._held += len(data)
                    self._waiting.append((self._line.arrives(len(data)), data))
                else:
                    self._ended = True
                self._change.notify_all()

    def _give(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: bool(self._waiting) or self._ended)
                if not self._waiting:
                    break
                due, data = self._waiting.popleft()
            if (pause_s := due - time.monotonic()) > 0:
                time.sleep(pause_s)
            try:
                self._target.sendall(data)
            except OSError:
                self._source.close()
            with self._change:
                self._held -= len(data)
                self._change.notify_all()
        try:
            self._target.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def main() -> None:
    """``link_proxy.py HOST:PORT TARGET:PORT BITS_PER_S DELAY_S``: the delay is that of one direction."""
    here, there = ((host, int(port)) for host, _, port in (word.rpartition(":") for word in sys.argv[1:3]))
    lines = [Line(float(sys.argv[3]), float(sys.argv[4])) for _ in range(2)]
    with socket.create_server(here) as listener:
        print("ready", flush=True)
        while True:
            inner, _ = listener.accept()
            outer = socket.create_connection(there)
            for line, ends in zip(lines, ((inner, outer), (outer, inner)), strict=True):
                for end in ends:
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                Pump(line, *ends)


if __name__ == "__main__":
    main()
