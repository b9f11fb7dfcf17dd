"""What Rain makes of a network: between hosts with networks of their own, beside a floor that does the same by hand,
and over a slow link.

    python benchmarks/links.py [floor] [throughput] [limited] [small] [tasks] [laptop]

Needs root, for namespaces. Prints one JSON line a question.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import xxhash

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from rain import Client, Input, Remote, blob, remote  # noqa: E402
from rain.host.process_table import cpu_seconds, family  # noqa: E402
from rain.net.auth import Credentials, connecting_context  # noqa: E402
from rain.processes.connection_files import read  # noqa: E402
from tests.engines.hosts import LOGIN, NETWORK, Hosts, missing  # noqa: E402

PORT = 7210
GIB = 1 << 30
CHUNK_BYTES = 1 << 20
WRITE_BYTES = 256 << 10
QUESTIONS = ("floor", "throughput", "limited", "small", "tasks", "laptop")
REPEAT = 3
FOLDER = Path(os.environ.get("LINKS_FOLDER", "/nowhere"))


class Plain(Hosts):
    """Hosts on which nothing runs."""

    def __init__(self, folder: Path, kept: list[Path]) -> None:
        daemon = f"echo $$ >{folder}/pid.$number\nexec sleep infinity"
        super().__init__(folder, 3, kept, "true", daemon, {"LINKS_FOLDER": str(folder)})

    def idle(self) -> int:
        return sum((self.folder / f"pid.{number}").exists() for number in self.numbers)


# -- inside: on the machine that is not one of the hosts ------------------------------------------


_processes: list[int] = []


def cpu() -> float:
    """Processor seconds so far of what is running, the server, governors and executors, and of this process."""
    return sum(cpu_seconds(pid) or 0.0 for pid in {*family(os.getpid()), *_processes})


def on(number: int) -> list[str]:
    """What stands before a command that is to run on a host; 0: here."""
    if not number:
        return []
    pid = (FOLDER / f"pid.{number}").read_text().strip()
    return ["nsenter", f"--target={pid}", "--mount", "--net", "--uts", "--"]


@contextlib.contextmanager
def running(words: list[str], number: int = 0) -> Iterator[subprocess.Popen[str]]:
    """A process here, or on a host; it has written a first line. It is ended."""
    process = subprocess.Popen(
        [*on(number), *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL if "rain" in words else None, text=True
    )
    _processes.append(process.pid)
    assert process.stdout is not None
    try:
        process.stdout.readline()
        yield process
    finally:
        _processes.remove(process.pid)
        process.terminate()
        process.wait()


def python(*words: str) -> list[str]:
    return [sys.executable, "-P", *words]


@contextlib.contextmanager
def proxy(here: str, there: str, bits_per_s: float, delay_s: float) -> Iterator[None]:
    with running(python(str(ROOT / "benchmarks" / "link_proxy.py"), here, there, str(bits_per_s), str(delay_s))):
        yield


@contextlib.contextmanager
def cluster(governors: dict[int, list[str]], server: int = 0) -> Iterator[Client]:
    """A client of a server here, or on a host, with governors on hosts, which have options."""
    address = f"{NETWORK}.{server}" if server else LOGIN
    with contextlib.ExitStack() as stack:
        file = FOLDER / f"connection-{time.monotonic_ns()}.json"
        words = ["-m", "rain", "server", "--listen", f"{address}:{PORT}", "--http-listen", "0"]
        stack.enter_context(running(python(*words, "--connection-file", str(file), "--ready-file", "fd:1"), server))
        client = stack.enter_context(Client(address, PORT, connection_file=file))
        for number, options in governors.items():
            words = ["-m", "rain", "governor", f"{address}:{PORT}", "--connection-file", str(file)]
            stack.enter_context(running(python(*words, "--ready-file", "fd:1", *options), number))
        client.wait_for_governors(len(governors), timeout=60)
        yield client


@remote(outputs=["data"])
def make(ctx: Any, size: int, number: int) -> Any:
    return bytes([number]) * size


@remote(outputs=["done"])
def touch(ctx: Any, data: Input()) -> Any:  # type: ignore[valid-type]
    return b"x"


def config(name: str) -> list[str]:
    path = FOLDER / f"{name}.toml"
    path.write_text(f"[resources]\n{name} = 1\n")
    return ["--cpus", "1", "--config", str(path)]


def crossing(client: Client, size: int) -> tuple[float, float]:
    """Seconds in which an object comes from one governor to another, without what a small one takes; and processor
    seconds of both, of the server and of this process."""
    times, cpus = [], []
    with client.new_session("crossing", default=True) as session:
        for length in (1000, size):
            task = make.options(resources={"one": 1})(length, 7)
            task.keep_outputs()
            session.submit()
            session.wait_all()
            begin, before = time.monotonic(), cpu()
            there = touch.options(resources={"two": 1})(task.output)
            there.keep_outputs()
            session.submit()
            session.wait_all()
            times.append(time.monotonic() - begin)
            cpus.append(cpu() - before)
    return times[1] - times[0], cpus[1] - cpus[0]


def throughput() -> dict[str, Any]:
    ours, floors = [], []
    with cluster({1: config("one"), 2: config("two")}) as client:
        crossing(client, CHUNK_BYTES)
        for _ in range(REPEAT):
            floors.append(floor_once())
            ours.append(crossing(client, GIB))
    ratios = [
        statistics.median(floor) / statistics.median(rain)
        for floor, rain in zip(zip(*floors, strict=True), zip(*ours, strict=True), strict=True)
    ]
    return {
        "floor_s": [seconds for seconds, _ in floors], "rain_s": [seconds for seconds, _ in ours],
        "floor_cpu_s": [seconds for _, seconds in floors], "rain_cpu_s": [seconds for _, seconds in ours],
        "of_the_floor": round(ratios[0], 2), "of_its_cpu": round(ratios[1], 2), "goal": 0.7,
    }  # fmt: skip


def limited() -> dict[str, Any]:
    """Over a link of 1 Gbit/s, which stands before the first host's data port."""
    rate, size, port = 1e9, GIB // 4, 7401
    one = [*config("one"), "--listen", f"{NETWORK}.1:{port}", "--advertise", LOGIN]
    with (
        proxy(f"{LOGIN}:{port}", f"{NETWORK}.1:{port}", rate, 0.0),
        cluster({1: one, 2: config("two")}) as client,
    ):
        crossing(client, CHUNK_BYTES)
        times = [crossing(client, size)[0] for _ in range(REPEAT)]
    share = size * 8 / statistics.median(times) / rate
    return {"rain_s": times, "of_the_link": round(share, 2), "goal": 0.9}


def small() -> dict[str, Any]:
    """Objects of 10 kB from one governor to another."""
    count = 5000
    with (
        cluster({1: config("one"), 2: config("two")}) as client,
        client.new_session("small", default=True) as session,
    ):
        rates = []
        for _ in range(REPEAT):
            made = [make.options(resources={"one": 0.0001})(10_000, number % 256) for number in range(count)]
            for task in made:
                task.keep_outputs()
            session.submit()
            session.wait_all()
            begin = time.monotonic()
            there = gather.options(resources={"two": 1})(*[task.output for task in made])
            there.keep_outputs()
            session.submit()
            session.wait_all()
            rates.append(count / (time.monotonic() - begin))
    return {"objects_per_s": [round(rate) for rate in rates], "median": round(statistics.median(rates)), "goal": 5000}


@remote(outputs=["done"])
def gather(ctx: Any, *data: Input()) -> Any:  # type: ignore[valid-type]
    return b"x"


def noop_seconds(client: Client, count: int = 10_000) -> float:
    """W1."""
    import rain_bodies

    function = Remote(rain_bodies.noop, auto_load=True, auto_encode="pickle")
    with client.new_session("noop", default=True) as session:
        best = []
        for number in (500, count, count):
            made = list(function.map(range(number)))
            begin = time.monotonic()
            for task in made:
                task.keep_outputs()
            session.submit()
            session.wait_all()
            best.append(time.monotonic() - begin)
    return min(best[1:])


def tasks() -> dict[str, Any]:
    """W1 on three governors elsewhere, and on three here with as many cpus, in turn."""
    here, there = [], []
    for _ in range(2):
        with Client.local(cpus=1, governors=3) as client:
            here.append(noop_costs(client))
        with cluster({number: ["--cpus", "1"] for number in (1, 2, 3)}) as client:
            there.append(noop_costs(client))
    ratios = [min(x[i] for x in there) / min(x[i] for x in here) for i in (0, 1)]
    return {
        "here_s": [seconds for seconds, _ in here], "there_s": [seconds for seconds, _ in there],
        "here_cpu_s": [seconds for _, seconds in here], "there_cpu_s": [seconds for _, seconds in there],
        "times_as_long": round(ratios[0], 2), "times_the_cpu": round(ratios[1], 2), "goal": 1.3,
    }  # fmt: skip


def noop_costs(client: Client) -> tuple[float, float]:
    """W1: seconds, and processor seconds of the server, the governors and executors, and this process, for two runs."""
    before = cpu()
    seconds = noop_seconds(client)
    return seconds, cpu() - before


def laptop() -> dict[str, Any]:
    """A client beyond a link of 100 Mbit/s and a round trip of 20 ms."""
    rate, size, port = 1e8, 100_000_000, 7501
    with cluster({1: ["--cpus", "2"]}, server=1) as client:
        near = noop_seconds(client)
        near_again = noop_seconds(client)
        with (
            proxy(f"127.0.0.1:{port}", f"{NETWORK}.1:{PORT}", rate, 0.01),
            Client("127.0.0.1", port, token=_token()) as far,
        ):
            slow = noop_seconds(far)
            data = os.urandom(size)
            with far.new_session("upload", default=True) as session:
                begin = time.monotonic()
                there = touch(blob(data))
                there.keep_outputs()
                session.submit()
                session.wait_all()
                upload = time.monotonic() - begin
    share = size * 8 / upload / rate
    return {
        "near_s": [near, near_again], "far_s": slow, "times_as_long": round(slow / min(near, near_again), 2),
        "goal": 1.5,
        "upload_s": upload, "of_the_link": round(share, 2), "upload_goal": 0.9,
    }  # fmt: skip


def _token() -> str:
    return read(sorted(FOLDER.glob("connection-*.json"))[-1]).credentials.token("client")


# -- the floor ------------------------------------------------------------------------------------


def floor_once() -> tuple[float, float]:
    """Seconds for 1 GiB from one host to another: TLS 1.3, xxh3 on both sides, from a file in memory into one; and
    processor seconds of both."""
    with running(python(__file__, "give"), 1) as giver:
        done = subprocess.run(
            [*on(2), *python(__file__, "take")],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert giver.stdout is not None
        gave_cpu_s = float(giver.stdout.readline())
    seconds, cpu_s = map(float, done.stdout.split())
    return seconds, cpu_s + gave_cpu_s


def floor() -> dict[str, Any]:
    return {"seconds": [floor_once() for _ in range(REPEAT)]}


class Secured:
    """TLS over a blocking socket, in pieces of `WRITE_BYTES`: a socket that ssl wraps reads each record by itself.

    Parameters
    ----------
    connection : socket.socket
    context : ssl.SSLContext
    server_side : bool
    """

    def __init__(self, connection: socket.socket, context: ssl.SSLContext, server_side: bool = False) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = connection
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=server_side)
        self._come = bytearray(WRITE_BYTES)
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._flush()
                self._more()
        self._flush()

    def _flush(self) -> None:
        if data := self._out.read():
            self._socket.sendall(data)

    def _more(self) -> None:
        count = self._socket.recv_into(self._come)
        assert count, "the other side has closed the connection"
        self._in.write(memoryview(self._come)[:count])

    def send(self, data: memoryview | bytes) -> None:
        self._tls.write(data)
        self._flush()

    def fill(self, buffer: memoryview) -> None:
        filled = 0
        while filled < len(buffer):
            try:
                filled += self._tls.read(len(buffer) - filled, buffer[filled:])  # type: ignore[arg-type, operator]
            except ssl.SSLWantReadError:
                self._more()


def give() -> None:
    credentials = Credentials.generate()
    credentials.certify()
    assert credentials.certificate is not None
    with open("/dev/shm/floor", "wb") as file:
        for _ in range(GIB // CHUNK_BYTES):
            file.write(os.urandom(16) * (CHUNK_BYTES // 16))
    with socket.create_server((f"{NETWORK}.1", 7600)) as listener, open("/dev/shm/floor", "rb") as file:
        print("ready", flush=True)
        connection, _ = listener.accept()
        before = time.process_time()
        secured = Secured(connection, credentials.certificate.context(), server_side=True)
        digest = xxhash.xxh3_64()
        with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as data, memoryview(data) as view:
            for start in range(0, GIB, CHUNK_BYTES):
                digest.update(view[start : start + CHUNK_BYTES])
                for piece in range(start, start + CHUNK_BYTES, WRITE_BYTES):
                    secured.send(view[piece : piece + WRITE_BYTES])
        secured.send(digest.digest())
        connection.recv(1)
        print(time.process_time() - before, flush=True)
    os.unlink("/dev/shm/floor")


def take() -> None:
    begin, before = time.monotonic(), time.process_time()
    connection = socket.create_connection((f"{NETWORK}.1", 7600))
    secured = Secured(connection, connecting_context())
    buffer, checksum = memoryview(bytearray(CHUNK_BYTES)), memoryview(bytearray(8))
    digest = xxhash.xxh3_64()
    with open("/dev/shm/floor", "wb", buffering=0) as file:
        for _ in range(GIB // CHUNK_BYTES):
            secured.fill(buffer)
            digest.update(buffer)
            file.write(buffer)
    secured.fill(checksum)
    took, cpu_s = time.monotonic() - begin, time.process_time() - before
    assert checksum == digest.digest()
    connection.close()
    os.unlink("/dev/shm/floor")
    print(took, cpu_s)


def main() -> None:
    words = sys.argv[1:]
    if words in (["give"], ["take"]):
        globals()[words[0]]()
        return
    if words[:1] == ["inside"]:
        for question in words[1:]:
            print(json.dumps({"question": question, **globals()[question](), "load": os.getloadavg()[0]}), flush=True)
        return
    if why := missing({}):
        sys.exit(why)
    if unknown := [word for word in words if word not in QUESTIONS]:
        sys.exit(f"{unknown[0]} is none of {', '.join(QUESTIONS)}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        hosts = Plain(folder, [ROOT, Path(sys.prefix)])
        try:
            with hosts.start(python(__file__, "inside", *(words or QUESTIONS)), stderr=None) as process:
                assert process.stdout is not None
                for line in process.stdout:
                    print(line, end="", flush=True)
        finally:
            hosts.close()


if __name__ == "__main__":
    main()
