"""Processor time a task, of client, server, governor and executors apart: W1 by a loop of calls, and by `map`; and of
W2 (`chain`) and W3 (`tree`), if asked for.

    python benchmarks/costs.py [loop] [map] [chain] [tree] [--n 20000] [--runs 7] [--base PATH] [--unkept] [--threads]
                               [--no-journal]

starts a cluster of two cpus for each round, warms it, runs the workload once and prints medians of the rounds, in
microseconds a task, and the server's own memory at the end. With `--base` the checkout there (`git worktree add
--detach PATH COMMIT`) runs in turn with this one, each round both, and the ratios of the pairs follow: so the load of
the machine is in both. With `--no-journal` the other of each pair is this checkout with a server without a journal.

Theory of operation
-------------------
Processor time is what `/proc/PID/task/*/schedstat` counts, in nanoseconds, of each process and each of its threads,
from before the first call until `wait_all` has returned; `client` is the process with the user's script, with its
phases beside it (the thread that takes in messages is in all of them). The clock starts when the processes are idle:
what the tasks of the warm-up leave behind is let go before. `letting go` is what all processes spend afterwards, when
the script drops its tasks. Outputs are kept, so that all results come to the client, unless `--unkept`. `others` are
zygotes and the guardian. Wall time is printed beside it and says little on a machine that has other work.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
from peerlib import TREE_WIDTH, compared, layered

HERE = Path(__file__).resolve().parent
ROLES = {"rain-server": "server", "rain-governor": "governor", "rain-executor": "executors"}
HOW = ("loop", "map")


def chain(noop: Any, n: int) -> list[Any]:
    """Each takes what the one before has made."""
    made = [noop(0)]
    for _ in range(n - 1):
        made.append(noop(made[-1]))
    return made


def tree(noop: Any, n: int) -> list[Any]:
    """Layers, of which each task takes what two of the layer below have made."""
    import rain_bodies

    from rain import Remote

    concat = Remote(rain_bodies.concat, auto_load=True, auto_encode="pickle")
    leaf = Remote(rain_bodies.leaf, auto_load=True, auto_encode="pickle")
    first, *layers = layered(max(2, n // TREE_WIDTH))
    below = [leaf(k) for k in range(len(first))]
    made = list(below)
    for layer in layers:
        below = [concat(below[a], below[b]) for a, b in layer]
        made += below
    return made


BUILDERS = {
    "loop": lambda noop, n: [noop(i) for i in range(n)],
    "map": lambda noop, n: noop.map(range(n)),
    "chain": chain,
    "tree": tree,
}
WARM = 3000
LOOK_S = 0.1
IDLE_NS = 5_000_000
"""Processes that together spend less than this between two looks are idle."""
LOOKS_MAX = 100


def spent_ns(pid: int) -> list[int]:
    """Processor time of a process, by thread; the first is its main thread."""
    spent = []
    for thread in sorted(os.listdir(f"/proc/{pid}/task"), key=int):
        try:
            spent.append(int(Path(f"/proc/{pid}/task/{thread}/schedstat").read_text().split()[0]))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return spent


def spent_by_role() -> dict[str, list[int]]:
    """Processor time of all processes of this client, by role and thread."""
    roles: dict[str, list[int]] = {"client": spent_ns(os.getpid())}
    for process in psutil.Process().children(recursive=True):
        try:
            role = ROLES.get(process.name(), "others")
            threads = spent_ns(process.pid)
        except (psutil.Error, FileNotFoundError):
            continue
        known = roles.setdefault(role, [])
        known += [0] * (len(threads) - len(known))
        for index, spent in enumerate(threads):
            known[index] += spent
    return roles


def spent_when_idle() -> dict[str, list[int]]:
    """As `spent_by_role`, once the processes have nothing to do any more."""
    spent = spent_by_role()
    for _ in range(LOOKS_MAX):
        time.sleep(LOOK_S)
        before, spent = beside(spent), spent_by_role()
        if beside(spent) - before < IDLE_NS:
            break
    return spent


def beside(spent: dict[str, list[int]]) -> int:
    """What was spent in all, but for the thread of the script, which looks."""
    return sum(map(sum, spent.values())) - spent["client"][0]


def one_round(how: str, n: int, kept: bool, journal: bool = True) -> dict[str, Any]:
    """Start a cluster, run the workload once."""
    import rain_bodies

    from rain import Client, Remote
    from rain.host.process_table import own_memory

    with Client.local(cpus=2, journal=journal) as client:
        session = client.new_session("costs", default=True)
        noop = Remote(rain_bodies.noop, auto_load=True, auto_encode="pickle")
        for _ in range(2):
            warm = noop.map(range(WARM))
            for task in warm:
                task.keep_outputs()
            session.submit()
            session.wait_all()
            del warm, task
        session.wait_all()  # at the next call a client lets go of what was dropped
        before = spent_when_idle()
        marks = [time.process_time()]
        began = time.perf_counter()
        made = BUILDERS[how](noop, n)
        marks.append(time.process_time())
        if kept:
            session.keep(made[-1:] if how == "chain" else made)
        marks.append(time.process_time())
        session.submit()
        marks.append(time.process_time())
        submitted = time.perf_counter()
        session.wait_all()
        ended = time.perf_counter()
        marks.append(time.process_time())
        after = spent_by_role()
        (server,) = [one.pid for one in psutil.Process().children(recursive=True) if one.name() == "rain-server"]
        memory_mb = own_memory(server) / 1e6
        at_rest = spent_when_idle()
        dropping = time.thread_time_ns()
        del made
        session.wait_all()
        let_go = time.thread_time_ns() - dropping + beside(spent_when_idle()) - beside(at_rest)
        threads = {
            role: [
                round((spent - (before.get(role, []) + [0] * 99)[index]) / 1e3 / n, 3)
                for index, spent in enumerate(after[role])
            ]
            for role in after
        }
    phases = ("building", "keeping", "submitting", "waiting")
    return {
        "server_mb": memory_mb,
        "us": {role: sum(spent) for role, spent in threads.items()},
        "client_us": {name: (marks[i + 1] - marks[i]) * 1e6 / n for i, name in enumerate(phases)},
        "wall_us": {"all": (ended - began) * 1e6 / n, "waiting": (ended - submitted) * 1e6 / n},
        "threads_us": threads,
        "let_go_us": let_go / 1e3 / n,
    }


def run_in(checkout: Path, how: str, options: argparse.Namespace, journal: bool) -> dict[str, Any]:
    """One round by the Rain of `checkout`, in a process of its own."""
    command = [sys.executable, str(Path(__file__).resolve()), how, "--n", str(options.n), "--one-round"]
    path = os.pathsep.join([str(checkout), str(HERE)])
    done = subprocess.run(
        command + ["--unkept"] * options.unkept + ["--no-journal"] * (not journal),
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        cwd=checkout,
    )
    if done.returncode:
        raise SystemExit(f"a round of {checkout} failed:\n{done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def flat(found: dict[str, Any]) -> dict[str, float]:
    """The figures of one round in the order in which they are printed."""
    figures = {role: found["us"].get(role, 0.0) for role in ("server", "governor", "executors", "client")}
    figures.update({f"client {name}": value for name, value in found["client_us"].items()})
    figures["others"] = found["us"].get("others", 0.0)
    figures["all processes"] = sum(found["us"].values())
    figures["server, MB"] = found.get("server_mb", 0.0)
    figures["letting go"] = found["let_go_us"]
    figures["wall"] = found["wall_us"]["all"]
    figures["wall waiting"] = found["wall_us"]["waiting"]
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("how", nargs="*", choices=[*BUILDERS, []], default=[])
    parser.add_argument("--n", type=int, default=20_000, help="tasks")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--unkept", action="store_true", help="results do not come to the client")
    parser.add_argument("--base", type=Path, help="another checkout, which runs in turn")
    parser.add_argument("--no-journal", action="store_true", help="beside runs whose server keeps no journal")
    parser.add_argument("--threads", action="store_true", help="also by thread, the main one first")
    parser.add_argument("--one-round", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one_round:
        print(json.dumps(one_round(options.how[0], options.n, not options.unkept, not options.no_journal)))
        return
    checkouts = {"now": HERE.parent} | ({"base": options.base.resolve()} if options.base else {})
    if options.no_journal:
        checkouts["base"] = HERE.parent
    for how in options.how or HOW:
        rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in checkouts}
        for _ in range(options.runs):
            for name, checkout in checkouts.items():
                rounds[name].append(run_in(checkout, how, options, name == "now" or not options.no_journal))
        print(f"\n{how}: µs a task, medians of {options.runs} rounds of {options.n} tasks")
        figures = {name: [flat(found) for found in found_all] for name, found_all in rounds.items()}
        for line in figures["now"][0]:
            columns = {name: [one[line] for one in found] for name, found in figures.items()}
            print(compared(line, columns["now"], columns.get("base")), flush=True)
        if options.threads:
            for name, found_all in rounds.items():
                print(name, "by thread:", json.dumps(found_all[-1]["threads_us"]))


if __name__ == "__main__":
    main()
