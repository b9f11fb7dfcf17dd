"""How many instructions a task costs the cores of server and governor: figures that the load of a machine leaves alone.

    python benchmarks/instructions.py [--n 2000] [--machine]

The cores decide and do no input or output, so what they are told can be played to them: tasks that do nothing are
submitted, assigned, run by executors of paper, and reported, each message encoded and decoded as on its way. Counted
are instructions of byte code, by tracing; those of twice as many tasks less those of once as many are the tasks' own.
With `--machine` this runs in valgrind's cachegrind as well: instructions of the processor, those of C code included.
Results are told in runs of 64, as executors do at their quickest.
"""

from __future__ import annotations

import argparse
import gc
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from rain.common.ids import ID
from rain.common.location import Inline
from rain.common.protocol import messages as m
from rain.common.protocol.columns import counts, floats
from rain.common.protocol.encoding import encode
from rain.common.spec import ObjectInfo, ObjectSpec, TaskInfo, TaskSpec
from rain.governor.core import GovernorCore
from rain.governor.core import effects as fx
from rain.governor.core import events as gev
from rain.server.core import ServerCore
from rain.server.core import effects as do
from rain.server.core import events as ev
from rain.server.scheduling.locality import LocalityPolicy

RUN = 64
GOVERNOR = "127.0.0.1:1"
ENV = m.SessionEnv("host", "python3", "3.11", [], "/")
TOOK_S = 0.0001
VALGRIND = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]


def sent(message: Any) -> Any:
    """A message as its receiver has it."""
    import msgspec

    return msgspec.msgpack.decode(encode(message), type=type(message))


def spec_of(number: int, config: Any) -> tuple[TaskSpec, ObjectSpec]:
    id, output = ID(1, number), ID(1, number + 1)
    return TaskSpec(id, "py/", config, outputs=[output], resources={"cpus": 1.0}), ObjectSpec(output)


def submit(n: int, alike: bool) -> m.Submit:
    """Tasks 1, 3, …: as a family, or one by one."""
    if alike:
        spec, output = spec_of(1, [b""])
        families = [m.Family(spec, [output], [b"%d" % place for place in range(n)], [0])]
        return m.Submit(2, 1, [], [], [], [], families=families)
    made = [spec_of(1 + 2 * place, [b"%d" % place]) for place in range(n)]
    return m.Submit(2, 1, [spec for spec, _ in made], [output for _, output in made], [], [o.id for _, o in made])


def told(first: ID, attempt: int, count: int) -> m.FamilyResults:
    column = m.OutputColumn(ObjectInfo(), [b"x"] * count, counts([7] * count))
    starts = floats([place * TOOK_S for place in range(count)])
    return m.FamilyResults(first, 2, attempt, starts, floats([TOOK_S] * count), [column])


def result(id: ID, attempt: int) -> m.TaskResult:
    output = m.OutputResult(ID(id[0], id[1] + 1), ObjectInfo(size=1), Inline(b"x", 7))
    return m.TaskResult(id, attempt, TaskInfo(None, 0.0, TOOK_S), [output])


def in_runs(assign: m.Assign) -> Iterator[m.Finished]:
    """What a governor reports of what it was assigned."""
    for family in assign.families:
        session_id, first = family.spec.id
        for start in range(0, len(family.args), RUN):
            count = min(RUN, len(family.args) - start)
            yield m.Finished([], [told(ID(session_id, first + 2 * start), family.attempt, count)])
    for start in range(0, len(assign.tasks), RUN):
        yield m.Finished([result(task.spec.id, task.attempt) for task in assign.tasks[start : start + RUN]])


def play_server(n: int, alike: bool) -> int:
    """Have a server's core take so many tasks and have them run; how many have ended."""
    core, now = ServerCore("server:1", "host", "server:2", "0", policy=LocalityPolicy, policy_name="own"), 100.0
    core.step(ev.ClientJoined("c"), now)
    core.step(ev.ClientSaid("c", m.NewSession(1, "n", "continue", False, ENV)), now)
    core.step(ev.GovernorJoined("g", m.Register(GOVERNOR, "host", {"cpus": 2.0}, [], "3.11")), now)
    core.step(ev.ClientSaid("c", sent(submit(n, alike))), now)
    done, todo = 0, list(core.step(ev.TurnEnded(), now))
    while todo:
        effects, todo = todo, []
        for effect in effects:
            if isinstance(effect, do.ToClient):
                encode(effect.message)
            if not isinstance(effect, do.ToGovernor) or not isinstance(effect.message, m.Assign):
                continue
            for finished in in_runs(sent(effect.message)):
                done += len(finished.results) + sum(len(part.durations) // 8 for part in finished.families)
                now += RUN * TOOK_S
                todo += core.step(ev.GovernorSaid("g", sent(finished)), now)
                todo += core.step(ev.TurnEnded(), now)
    return done


def play_governor(n: int, alike: bool) -> int:
    """Have a governor's core take so many tasks and have executors of paper run them; how many have ended."""
    core, now = GovernorCore(GOVERNOR, {"cpus": 2.0}), 100.0
    core.step(gev.ServerSaid(m.OpenSession(1, ENV)), now)
    wanted = submit(n, alike)
    assign = m.Assign([], [])
    for family in wanted.families:
        assign.families.append(m.FamilyAssignment(family.spec, 1, family.outputs, family.args, [0.0, 1.0], [0]))
    for place, (spec, output) in enumerate(zip(wanted.tasks, wanted.objects, strict=True)):
        assign.tasks.append(m.TaskAssignment(spec, 1, [output], [0.0, float(place)], [], [0]))
    core.step(gev.ServerSaid(sent(assign)), now)
    done, todo = 0, list(core.step(gev.TurnEnded(), now))
    while todo:
        effects, todo = todo, []
        for effect in effects:
            if isinstance(effect, fx.ToServer):
                encode(effect.message)
            if not isinstance(effect, fx.RunOnExecutor):
                continue
            results = gev.ExecutorResults(effect.executor_id, [])
            for item in effect.items:
                if isinstance(item, fx.MemberItems):
                    first = ID(1, item.family.spec.id[1] + 2 * item.start)
                    results.families.append(told(first, 1, item.stop - item.start))
                    done += item.stop - item.start
                else:
                    results.results.append(result(item.assignment.spec.id, item.assignment.attempt))
                    done += 1
            now += RUN * TOOK_S
            todo += core.step(results, now)
            todo += core.step(gev.TurnEnded(), now)
    return done


PLAYS: dict[str, Callable[[int, bool], int]] = {"server": play_server, "governor": play_governor}


def byte_code(play: Callable[[int, bool], int], n: int, alike: bool) -> int:
    """Instructions of byte code that a play takes."""
    count = 0

    def trace(frame: FrameType, event: str, _arg: Any) -> Any:
        nonlocal count
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        count += event == "opcode"
        return trace

    sys.settrace(trace)
    try:
        done = play(n, alike)
    finally:
        sys.settrace(None)
    assert done == n, f"{done} of {n} tasks have ended"
    return count


def machine_code(name: str, n: int, alike: bool) -> int:
    """Instructions of the processor that a process takes for a play, its start included."""
    words = [sys.executable, str(Path(__file__).resolve()), "--play", name, "--n", str(n), *["--alike"] * alike]
    env = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    done = subprocess.run([*VALGRIND, *words], env=env, capture_output=True, text=True, check=True)
    found = re.search(r"I\s+refs:\s+([\d,]+)", done.stderr)
    assert found is not None, done.stderr[-2000:]
    return int(found[1].replace(",", ""))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--n", type=int, default=2000, help="tasks")
    parser.add_argument("--machine", action="store_true", help="also instructions of the processor (needs valgrind)")
    parser.add_argument("--play", choices=PLAYS, help=argparse.SUPPRESS)
    parser.add_argument("--alike", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    n = options.n
    gc.disable()  # when it runs depends on more than the tasks
    if options.play:
        assert PLAYS[options.play](n, options.alike) == n
        return
    print(f"Python {sys.version.partition(' ')[0]}: instructions a task")
    for name, play in PLAYS.items():
        for alike, what in ((True, "of a family"), (False, "ordinary")):
            own = (byte_code(play, 2 * n, alike) - byte_code(play, n, alike)) / n
            text = f"{name}, {what:12} byte code {own:8.1f}"
            if options.machine:
                more = (machine_code(name, 2 * n, alike) - machine_code(name, n, alike)) / n
                text += f"   processor {more:10.0f}"
            print(text, flush=True)


if __name__ == "__main__":
    main()
