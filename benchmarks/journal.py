"""What the server's journal costs: a record, a commit, and the image of a state with many tasks. Prints JSON lines, in
seconds of a processor.

    python benchmarks/journal.py [--tasks 100000] [--records 100000] [--folder DIR]

The state is that of a server in the middle of a graph: each task has a constant as its function and the result of
the task before the last as its input, a third has finished with small results, the rest waits or is assigned.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import msgspec

from rain.common.ids import ID
from rain.common.location import Inline
from rain.common.protocol import messages as m
from rain.common.protocol.encoding import encode
from rain.common.spec import ObjectInfo, ObjectSpec, TaskInfo, TaskSpec, TaskSpecInput
from rain.server.check import check
from rain.server.core import ServerCore
from rain.server.core import events as ev
from rain.server.journal.images.dumping import dump
from rain.server.journal.images.loading import load
from rain.server.journal.journal import Journal
from rain.server.journal.state_classes import codec

PIECE = 2000


def travelled(kind: type, message: Any) -> Any:
    """A message as the server has it: nothing in it is shared but what msgspec shares."""
    return msgspec.msgpack.decode(encode(message), type=kind)


def core_of(tasks: int) -> ServerCore:
    """A server's core with so many tasks."""
    core = ServerCore("127.0.0.1:7210", "host")
    core.step(ev.ClientJoined("client-1"), 1.0)
    env = m.SessionEnv("host", "/usr/bin/python3", "3.11", ["/home/me"], "/home/me")
    core.step(ev.ClientSaid("client-1", m.NewSession(1, "bench", "continue", False, env)), 1.0)
    register = m.Register("127.0.0.1:7300", "host", {"cpus": 8.0}, [], "3.11")
    core.step(ev.GovernorJoined("127.0.0.1:7300", register), 1.0)
    (session,) = core.state.graph.sessions
    function = ID(session, 1)
    for first in range(0, tasks, PIECE):
        numbers = range(first, min(first + PIECE, tasks))
        specs = [
            TaskSpec(
                ID(session, 2 * number + 2), "py/", [b"\x80\x05" + bytes(40), [], []],
                [TaskSpecInput(ID(session, 2 * number - 1))] if number > 1 else [],
                [ID(session, 2 * number + 3)], {"cpus": 1.0}, "step", {}, function,
            )
            for number in numbers
        ]  # fmt: skip
        objects = [ObjectSpec(ID(session, 2 * number + 3), "result", "pickle") for number in numbers]
        constants = []
        if not first:
            objects.append(ObjectSpec(function, None, "pickle"))
            constants.append(m.Constant(function, Inline(b"f" * 600, 1)))
        keep = [id for spec in specs for id in spec.outputs]
        submit = m.Submit(2, session, specs, objects, constants, keep)
        core.step(ev.ClientSaid("client-1", travelled(m.Submit, submit)), 2.0)
    done = 0
    effects = core.step(ev.TurnEnded(), 3.0)
    while done < tasks // 3:
        given = [effect.message for effect in effects if getattr(effect, "governor_id", "")]
        results = [
            m.TaskResult(
                task.spec.id, task.attempt, TaskInfo(start_time=1e9, duration=0.01, governor="127.0.0.1:7300"),
                [m.OutputResult(id, ObjectInfo(size=60), Inline(b"r" * 60, 7)) for id in task.spec.outputs],
            )
            for message in given if isinstance(message, m.Assign) for task in message.tasks
        ]  # fmt: skip
        assert results
        done += len(results)
        core.step(ev.GovernorSaid("127.0.0.1:7300", travelled(m.Finished, m.Finished(results))), 4.0)
        effects = core.step(ev.TurnEnded(), 4.0)
    check(core)
    return core


def timed(function: Callable[[], Any], repeat: int = 5) -> tuple[float, Any]:
    """Median seconds, and what the last call gave."""
    seconds = []
    for _ in range(repeat):
        result = None
        begin = time.process_time()
        result = function()
        seconds.append(time.process_time() - begin)
    return statistics.median(seconds), result


def images(tasks: int) -> dict[str, Any]:
    """Writing and reading an image."""
    core = core_of(tasks)
    gc.collect()
    known = codec()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    dump_s, image = timed(lambda: dump(known, core.state))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    load_s, state = timed(lambda: load(known, image))
    assert dump(known, state) == image
    return {
        "tasks": tasks, "image_bytes": len(image), "bytes_per_task": len(image) / tasks, "dump_s": dump_s,
        "load_s": load_s, "us_per_task": 1e6 * (dump_s + load_s) / tasks, "dump_memory_mib": (after - before) / 1024,
    }  # fmt: skip


def writing(count: int, size: int, per_commit: int, folder: str, durable: bool) -> dict[str, Any]:
    """Records of one size, so many a commit. Of durable ones the time is that of a clock, else that of a processor."""
    clock = time.perf_counter if durable else time.process_time
    payload = os.urandom(size)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        journal = Journal(os.path.join(place, "journal"), "bench", durable)
        journal.add(1, b"")
        journal.commit()
        before, adding = journal.tail_bytes, 0.0
        begin = clock()
        for _ in range(count // per_commit):
            start = clock()
            for _ in range(per_commit):
                journal.add(1, payload)
            adding += clock() - start
            assert journal.commit()
        seconds = clock() - begin
        written = journal.tail_bytes - before
        journal.close()
        begin = clock()
        again = Journal(os.path.join(place, "journal"), "bench")
        read = sum(1 for _ in again.records())
        reading = clock() - begin
        again.close()
    commits = count // per_commit
    return {
        "payload_bytes": size, "per_commit": per_commit, "durable": durable,
        "overhead_bytes_per_record": written / (commits * per_commit) - size, "add_us": 1e6 * adding / count,
        "commit_us": 1e6 * (seconds - adding) / commits, "read_us": 1e6 * reading / read,
    }  # fmt: skip


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--folder", default=None)
    options = parser.parse_args()
    if options.records:
        for size, per_commit in ((100, 1), (100, 10), (1000, 1), (1000, 10), (60_000, 1), (60_000, 16)):
            count = min(options.records, max(1000, 300_000_000 // size))
            print(json.dumps(writing(count, size, per_commit, options.folder, False)), flush=True)
        print(json.dumps(writing(300, 1000, 1, options.folder, True)), flush=True)
    if options.tasks:
        print(json.dumps(images(options.tasks)), flush=True)


if __name__ == "__main__":
    main()
