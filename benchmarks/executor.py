"""What one executor alone spends on each task: fed through its socket as a governor feeds it, and nothing else runs.

    python benchmarks/executor.py [--n 20000] [--runs 5] [--piece 500] [--base PATH] [--profile FILE]

prints microseconds of a processor for each member of a family and for each ordinary task (both do nothing), medians
of the rounds, all threads of the executor together. With `--base` the checkout there runs in turn with this one.
`--profile` writes what cProfile sees of the main thread during the members, to look at the order of things only.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from costs import spent_ns
from peerlib import compared

HERE = Path(__file__).resolve().parent


def one_round(n: int, piece: int, profile: str) -> dict[str, float]:
    """An executor from its fork to its end."""
    from rain.common.limits import LEDGER_BYTES, WORDS_BYTES
    from rain.common.protocol.encoding import encode
    from rain.common.protocol.framing import encode_prefix
    from rain.common.protocol.messages import ExecutorSetup

    governor, end = socket.socketpair()
    words = os.memfd_create("words")
    os.ftruncate(words, WORDS_BYTES + LEDGER_BYTES)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        pid = os.fork()
        if not pid:
            governor.close()
            be_executor(end, words, profile)
        end.close()
        governor.sendall(
            encode_prefix(
                encode([ExecutorSetup(1, 1, "here:1", f"{folder}/work", folder, folder, 1 << 30, None, None, {}, {})])
            )
        )
        figures = {}
        fed = Fed(governor, pid)
        fed.families(2000, piece)  # warm
        figures["member"] = fed.families(n, piece)
        fed.tasks(500)
        figures["task"] = fed.tasks(n // 4)
        governor.close()
        os.waitpid(pid, 0)
    return figures


def be_executor(end: socket.socket, words: int, profile: str) -> None:
    """In the child."""
    from rain.executor.loop import run

    os.setpgid(0, 0)
    for number in (1, 2):
        os.dup2(os.memfd_create("stdio"), number)
    if profile:
        import atexit
        import cProfile

        profiler = cProfile.Profile()
        import rain.executor.governor_connection as connection

        def ended() -> None:
            profiler.disable()
            profiler.dump_stats(profile)
            os._exit(0)

        connection.die = ended  # type: ignore[assignment]
        atexit.register(ended)
        profiler.enable()
    run(end, words, 0)


class Fed:
    """An executor that is given tasks."""

    def __init__(self, governor: socket.socket, pid: int) -> None:
        from rain_bodies import noop

        from rain.common.ids import ID
        from rain.common.location import Inline
        from rain.common.protocol.framing import FrameDecoder
        from rain.common.protocol.messages import ExecutorInput
        from rain.common.spec import ObjectInfo, ObjectSpec
        from rain.common.task_configs import FunctionPayload, encode_function

        self._governor = governor
        self._pid = pid
        self._frames = FrameDecoder()
        self._number = 1
        payload = encode_function(FunctionPayload(pickle.dumps(noop), "noop"))
        self._function = ExecutorInput(ObjectSpec(ID(1, 1)), ObjectInfo(), None, Inline(payload))
        self._given = False

    def _spec(self, number: int, args: bytes) -> Any:
        from rain.common.ids import ID
        from rain.common.spec import TaskSpec
        from rain.common.task_configs import PyConfig

        config = PyConfig(args=args, load=True, encode=["pickle"])
        return TaskSpec(ID(1, 2 * number), "py/", config, outputs=[ID(1, 2 * number + 1)], function=ID(1, 1))

    def families(self, n: int, piece: int) -> float:
        """Microseconds for each of `n` members."""
        from rain.common.ids import ID
        from rain.common.protocol.messages import ExecutorFamily, RunTasks
        from rain.common.spec import ObjectSpec

        def message(first: int, count: int) -> Any:
            args = [pickle.dumps(((i,), {})) for i in range(first, first + count)]
            outputs = [ObjectSpec(ID(1, 2 * first + 1))]
            family = ExecutorFamily(first, 1, self._spec(first, b""), [], outputs, args, self._first_function())
            return RunTasks([], [family])

        return self._run(n, piece, message)

    def tasks(self, n: int, piece: int = 32) -> float:
        """Microseconds for each of `n` ordinary tasks."""
        from rain.common.ids import ID
        from rain.common.protocol.messages import ExecutorTask, RunTasks
        from rain.common.spec import ObjectSpec

        def message(first: int, count: int) -> Any:
            return RunTasks(
                [
                    ExecutorTask(
                        i, 1, self._spec(i, pickle.dumps(((i,), {}))), [], [ObjectSpec(ID(1, 2 * i + 1))],
                        self._first_function(),
                    )
                    for i in range(first, first + count)
                ]
            )  # fmt: skip

        return self._run(n, piece, message)

    def _first_function(self) -> Any:
        given, self._given = self._given, True
        return None if given else self._function

    def _run(self, n: int, piece: int, message: Any) -> float:
        from rain.common.protocol.encoding import encode
        from rain.common.protocol.framing import encode_prefix

        frames = []
        for done in range(0, n, piece):
            count = min(piece, n - done)
            frames.append((count, encode_prefix(encode([message(self._number, count)]))))
            self._number += count
        began = sum(spent_ns(self._pid))
        ahead = 0
        for count, frame in frames:
            self._governor.sendall(frame)
            ahead += count
            while ahead > piece:
                ahead -= self._heard()
        while ahead:
            ahead -= self._heard()
        return (sum(spent_ns(self._pid)) - began) / 1e3 / n

    def _heard(self) -> int:
        import msgspec

        from rain.common.protocol.messages import ExecutorToGovernor

        count = 0
        for header, _ in self._frames.feed(self._governor.recv(1 << 18)):
            for told in msgspec.msgpack.decode(header, type=list[ExecutorToGovernor]):
                for result in told.results:
                    assert result.error is None, result.error
                count += len(told.results) + sum(len(one.durations) // 8 for one in told.families)
        return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--n", type=int, default=20_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--piece", type=int, default=500, help="members in a message")
    parser.add_argument("--base", type=Path, help="another checkout, which runs in turn")
    parser.add_argument("--profile", default="", help="a file")
    parser.add_argument("--one-round", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one_round or options.profile:
        print(json.dumps(one_round(options.n, options.piece, options.profile)))
        return
    checkouts = {"now": HERE.parent} | ({"base": options.base.resolve()} if options.base else {})
    found: dict[str, list[dict[str, float]]] = {name: [] for name in checkouts}
    for _ in range(options.runs):
        for name, checkout in checkouts.items():
            command = [sys.executable, __file__, "--one-round", "--n", str(options.n), "--piece", str(options.piece)]
            path = os.pathsep.join([str(checkout), str(HERE)])
            done = subprocess.run(
                command, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, text=True, check=True
            )
            found[name].append(json.loads(done.stdout))
    for what in ("member", "task"):
        figures = {name: [one[what] for one in rounds] for name, rounds in found.items()}
        print(compared(what, figures["now"], figures.get("base"), " µs"))


if __name__ == "__main__":
    main()
