"""What the live graph of a notebook costs: kernel, browser, saved file. One question a run; see `README.md`.

Each prints one JSON line. Ratios compare runs that took turns in the same kernel, so they hold on a busy machine too.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kernels import HERE, SHOWN, Headless, InLab, headless, in_lab

N = 10_000
LARGE = 100_000


def told(values: list[float], digits: int = 3) -> dict[str, float]:
    """Median, shortest and longest."""
    return {
        "median": round(statistics.median(values), digits),
        "min": round(min(values), digits),
        "max": round(max(values), digits),
    }


# -- submit: a cell that submits many tasks and waits, with and without a widget ------------------

SUBMIT = """
made = list(noop.map(range({n})))
session.submit()
session.wait_all()
"""


def submit(options: argparse.Namespace) -> dict[str, Any]:
    """Seconds of a cell that submits `n` tasks and waits, and how many times that is with a widget."""
    n, repeat = options.n or N, options.repeat or 7

    def ratio(kernel: Headless | InLab) -> dict[str, Any]:
        seconds: dict[bool, list[float]] = {False: [], True: []}
        for turn in range(repeat + 1):
            for shown in (False, True) if turn % 2 else (True, False):
                kernel.run("new()")
                if shown:
                    kernel.show()
                kernel.run(SUBMIT.format(n=n))
                spent = kernel.run("answer(took[-1])")
                if turn:  # the first one warms
                    seconds[shown].append(spent)
                kernel.run("session.close(); del made")
        pairs = [b / a for a, b in zip(seconds[False], seconds[True], strict=True)]
        without, with_one = seconds[False], seconds[True]
        pairs = [b / a for a, b in zip(without, with_one, strict=True)]
        medians = round(statistics.median(with_one) / statistics.median(without), 3)
        return {"without": told(without), "with": told(with_one), "ratio": told(pairs), "ratio_of_medians": medians}

    with headless() as kernel:
        no_browser = ratio(kernel)
    with in_lab() as lab:
        visible = ratio(lab)
    return {"n": n, "no_browser": no_browser, "visible": visible}


# -- ready: from running the cell `session` to a drawn graph ---------------------------------------


def ready(options: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds from the cell `session` to a drawn graph; the first one in a page loads the app and Graphviz."""
    n, repeat = options.n or 200, options.repeat or (5 if (options.n or 0) < LARGE else 3)
    spent = []
    with in_lab() as lab:
        for _ in range(repeat + 1):
            lab.run(f"new()\nmade = declare({n}, 4)")
            spent.append(lab.show())
            nodes = lab.page.locator(".rain-node").count()
            lab.run("session.close(); del made")
    return {"n": n, "nodes": nodes, "first_ms": round(spent[0]), "ms": told(spent[1:], 0)}


# -- latency: from a change in the kernel to its colour in the browser -----------------------------

PROBE = """
import os, tempfile

new()
folder = tempfile.mkdtemp()
gate = Remote(rain_bodies.gate, auto_load=True, auto_encode="json")
made = [gate(os.path.join(folder, str(i)), name=f"probe{i}") for i in range(PROBES)]
session.submit()
"""
TOUCH = """
stamps = {}
more = threading.Event()

def saw():
    for record in watch.take():
        if getattr(record, "outputs", None) is not None and record.state is TaskState.FINISHED:
            stamps.setdefault(f"t{record.spec.id.id}", time.time() * 1000)
            more.set()

watch = ChangeFeed(session._inside.mirror, lambda: None)
watch._notify = saw
saw()
for i in range(PROBES):
    more.clear()
    open(os.path.join(folder, str(i)), "w").close()
    more.wait()
    time.sleep(0.2 + i % 7 * 0.013)
watch.close()
answer(stamps)
"""
_RECOLOURED = """(view) => {
    window.benchSeen = {};
    new MutationObserver((all) => {
        for (const { target } of all) {
            const { key, s } = target.dataset;
            if (key && s === "finished") window.benchSeen[key] ??= performance.timeOrigin + performance.now();
        }
    }).observe(document.querySelector(view), { attributes: true, attributeFilter: ["data-s"], subtree: true });
}"""


def latency(options: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds from a task's end as the kernel knows it to its colour in the page, while a cell runs."""
    probes = options.n or 40
    with in_lab() as lab:
        lab.run(f"PROBES = {probes}\n{PROBE}")
        lab.show()
        lab.page.evaluate(_RECOLOURED, SHOWN)
        stamps = lab.run(TOUCH)
        lab.page.wait_for_timeout(1000)
        seen = lab.page.evaluate("() => window.benchSeen")
    spent = sorted(seen[key] - at for key, at in stamps.items() if key in seen)
    return {
        "probes": len(stamps),
        "seen": len(spent),
        "ms": told(spent, 1),
        "p90_ms": round(spent[len(spent) * 9 // 10], 1),
    }


# -- messages: what a running session sends --------------------------------------------------------

_COUNT = """() => {
    const kernel = window.jupyterapp.shell.currentWidget.context.sessionContext.session.kernel;
    window.benchTimes = [];
    window.benchBytes = 0;
    kernel.anyMessage.connect((_, { msg, direction }) => {
        if (direction !== "recv" || msg.header.msg_type !== "comm_msg") return;
        window.benchTimes.push(performance.now() / 1000);
        window.benchBytes += JSON.stringify(msg.content).length;
    });
}"""


def messages(options: argparse.Namespace) -> dict[str, Any]:
    """Messages a second to the browser while `n` tasks run (all kinds, answers to the browser too)."""
    n = options.n or N
    with in_lab() as lab:
        lab.run("new()")
        lab.show()
        lab.run(SUBMIT.format(n=100))
        lab.page.evaluate(_COUNT)
        lab.run(SUBMIT.format(n=n))
        seconds = lab.run("answer(took[-1])")
        times, size = lab.page.evaluate("() => [window.benchTimes, window.benchBytes]")
    fullest = max((sum(at <= other < at + 1 for other in times) for at in times), default=0)
    return {"n": n, "seconds": round(seconds, 2), "messages": len(times), "per_second": round(len(times) / seconds, 1),
            "fullest_second": fullest, "bytes": size}  # fmt: skip


# -- thread: how long the kernel's main thread is held up ------------------------------------------

SPIN = """
def spin(until):
    "Longest gap in milliseconds, and turns a millisecond."
    longest, turns, clock = 0.0, 0, time.perf_counter
    begin = last = clock()
    while not until(last - begin):
        now = clock()
        if now - last > longest:
            longest = now - last
        last = now
        turns += 1
    return {"gap_ms": longest * 1e3, "turns": turns / (last - begin) / 1e3}
"""
FOR = "answer(spin(lambda passed: passed > 3))"
WHILE_RUNNING = """
made = list(noop.map(range({n})))
session.submit()
answer(spin(lambda passed: passed > 1 and session._inside.mirror.unfinished == 0))
"""


def thread(options: argparse.Namespace) -> dict[str, Any]:
    """Longest gaps of a busy main thread while `n` tasks run and after the display of `LARGE` tasks."""
    n, repeat = options.n or N, options.repeat or 3
    found: dict[str, dict[str, list[float]]] = {}

    def note(name: str, what: dict[str, float]) -> None:
        for key, value in what.items():
            found.setdefault(name, {}).setdefault(key, []).append(value)

    with in_lab() as lab:
        lab.run(SPIN)
        for _ in range(repeat):
            for shown in (False, True):
                lab.run("new()")
                if shown:
                    lab.show()
                note("running_with" if shown else "running_without", lab.run(WHILE_RUNNING.format(n=n)))
                lab.run("session.close(); del made")
            lab.run(f"new(); made = declare({LARGE}, 20)")
            note("large_without", lab.run(FOR))
            lab.start_show()
            note("large_with", lab.run(f"shown = took[-1] * 1e3\n{FOR}"))
            note("large_with", {"display_ms": lab.run("answer(shown)")})
            lab.run("session.close(); del made")
    return {name: {key: told(values, 1) for key, values in part.items()} for name, part in found.items()}


# -- frames: what the browser's frames do while many nodes change ----------------------------------

_FRAMES = """() => {
    window.benchGaps = [];
    let last = performance.now();
    const frame = (now) => {
        window.benchGaps.push(now - last);
        last = now;
        requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
}"""


def frames(options: argparse.Namespace) -> dict[str, Any]:
    """Longest gaps between frames: nothing to do, first drawing of `n` nodes, and while they change."""
    n, repeat = (options.n or 1000) // 2, options.repeat or 3
    found: dict[str, list[float]] = {"idle": [], "drawing": [], "changing": []}
    with in_lab() as lab:
        lab.run(f"from rain.notebook.graph_model import view\nview.NODES_MAX, view.READABLE_SCALE = {3 * n}, 0")
        lab.run("rain.notebook.graph_model.View.__init__.__defaults__ = (view.NODES_MAX,)")
        lab.page.evaluate(_FRAMES)

        def gap(name: str) -> None:
            found[name].append(lab.page.evaluate("() => Math.max(...window.benchGaps.splice(0))"))

        for turn in range(repeat + 1):
            lab.hide()
            lab.run(f"new(); made = declare({n}, 4)")
            lab.page.evaluate("() => void window.benchGaps.splice(0)")
            lab.page.wait_for_timeout(2000)
            gap("idle")
            lab.show()
            gap("drawing")
            nodes = lab.page.locator(".rain-node").count()
            lab.run("session.submit(); session.wait_all(); time.sleep(1)")
            gap("changing")
            lab.run("session.close(); del made")
            if not turn:  # the first one loads the app and Graphviz
                first = {name: values.pop() for name, values in found.items()}
    return {"nodes": nodes, "first_drawing_ms": round(first["drawing"]), **{k: told(v, 0) for k, v in found.items()}}


# -- fold: opening a folded group, and recolouring many open nodes ---------------------------------

_OPEN = """async (view) => {
    const frame = () => new Promise(requestAnimationFrame);
    const root = document.querySelector(view);
    const begin = performance.now();
    root.querySelector('.rain-toggle[data-open]').dispatchEvent(new MouseEvent('click', { bubbles: true }));
    while (!root.querySelector('.rain-frame')) await frame();
    const opened = performance.now() - begin;
    root.querySelector('.rain-toggle[data-close]').dispatchEvent(new MouseEvent('click', { bubbles: true }));
    while (root.querySelector('.rain-frame')) await frame();
    return opened;
}"""
# All changes come in one message.
_AT_ONCE = """
from rain.notebook import widget_of
with widget_of(session)._lock:
    session.submit()
    session.wait_all()
time.sleep(1)
"""
# From the message's arrival to the last node that has its colour.
_TURNS = """(view) => {
    const kernel = window.jupyterapp.shell.currentWidget.context.sessionContext.session.kernel;
    window.benchTurns = [];
    window.benchCame = [];
    kernel.anyMessage.connect((_, { msg, direction }) => {
        const told = direction === "recv" && msg.header.msg_type === "comm_msg" && msg.content.data.content;
        const size = told && told.event === "delta" && Object.keys(told.data.status).length;
        if (size) window.benchCame.push([performance.now(), size]);
    });
    const nodes = (all) => all.filter(({ target }) => target.dataset.key).length;
    new MutationObserver((all) => nodes(all) && window.benchTurns.push([performance.now(), nodes(all)])).observe(
        document.querySelector(view), { attributes: true, attributeFilter: ["data-s"], subtree: true });
}"""


_ALL_FINISHED = """(view) =>
    [...document.querySelectorAll(`${view} .rain-node`)].every((node) => node.dataset.s === "finished")"""


def fold(options: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds to open a folded group of `n` tasks, and to recolour twice as many open nodes at one change."""
    n, repeat = options.n or 1000, options.repeat or 7
    with in_lab() as lab:
        lab.run(f"new()\nmade = list(noop.map(range({n})))")
        lab.show()
        opening = [lab.page.evaluate(_OPEN, SHOWN) for _ in range(repeat + 1)][1:]
        lab.run("session.close(); del made")
        lab.hide()
        lab.run(f"from rain.notebook.graph_model import view\nview.NODES_MAX, view.READABLE_SCALE = {9 * n}, 0")
        lab.run("rain.notebook.graph_model.View.__init__.__defaults__ = (view.NODES_MAX,)")
        spans, frames = [], []
        for _ in range(repeat):
            lab.run(f"new()\nmade = list(noop.map(range({2 * n})))")
            lab.show()
            nodes = lab.page.locator(".rain-node").count()
            lab.page.evaluate(_TURNS, SHOWN)
            lab.run(_AT_ONCE)
            lab.page.wait_for_function(_ALL_FINISHED, arg=SHOWN)
            turns, came = lab.page.evaluate("() => [window.benchTurns, window.benchCame]")
            assert sum(count for _, count in turns) >= nodes
            spans.append(turns[-1][0] - max(came, key=lambda one: one[1])[0])
            frames.append(len(turns))
            lab.run("session.close(); del made")
            lab.hide()
    return {
        "n": n,
        "opening_ms": told(opening, 0),
        "nodes": nodes,
        "recolour_ms": told(spans, 1),
        "frames": told(frames, 0),
    }


# -- growth: what a session adds to a saved notebook, and to the wheel -----------------------------

CELLS = """
from rain import Client, Remote
import rain_bodies
client = Client.local(cpus=2)
inc = Remote(rain_bodies.inc, auto_load=True, auto_encode="json")
session = client.new_session("bench", default=True)
made = []
for i in range({n}):
    made.append(inc(made[-1] if i % 8 else 0, name=f"group{{i % 4}}/task{{i}}"))
"""
_RUN_ALL = "session.submit(); session.wait_all()"
_CLOSE = "session.close(); client.close()"


def executed(cells: list[str], folder: Path, *options: str) -> int:
    """Bytes of a notebook of these cells after ``nbconvert --execute``."""
    import nbformat

    path = folder / "in.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells]), path)
    command = [
        sys.executable,
        "-m",
        "jupyter",
        "nbconvert",
        "--to",
        "notebook",
        "--execute",
        "--output",
        "out",
        *options,
    ]
    subprocess.run([*command, str(path)], check=True, capture_output=True)
    return (folder / "out.ipynb").stat().st_size


def growth(options: argparse.Namespace) -> dict[str, Any]:
    """Bytes that a shown session of `n` tasks adds to a saved notebook: frozen in a browser, and without one."""
    n = options.n or 200
    with in_lab() as lab:
        lab.run("new()")
        before = lab.saved()
        lab.run(f"made = declare({n}, 4)")
        lab.show()
        lab.run("session.submit(); session.wait_all()")
        live = lab.saved()
        lab.run("session.close(); del made")
        lab.page.wait_for_selector(SHOWN, state="detached")
        frozen = lab.saved()
    sizes: dict[str, int] = {"live_in_browser": live - before, "frozen_in_browser": frozen - before}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        setup = CELLS.format(n=n)
        bare = executed([setup, _RUN_ALL, _CLOSE], folder)
        shown = [setup, "session", _RUN_ALL]
        stateless = "--ExecutePreprocessor.store_widget_state=False"
        sizes["nbconvert_open"] = executed(shown, folder) - bare
        sizes["nbconvert_open_stateless"] = executed(shown, folder, stateless) - bare
        sizes["nbconvert_closed"] = executed([*shown, _CLOSE], folder) - bare
        sizes["nbconvert_closed_stateless"] = executed([*shown, _CLOSE], folder, stateless) - bare
    return {"n": n, "bytes": sizes}


# -- report: one file with all of a session --------------------------------------------------------


def fit(ctx: Any, number: int) -> int:
    """Fails once in a hundred times, and tells a secret then."""
    if number % 100 == 3:
        raise ValueError(os.environ["KEY_OF_TASK"])
    return number


def report(options: argparse.Namespace) -> dict[str, Any]:
    """Seconds that ``session.report()`` takes of `n` tasks, by the clock and of a processor, and the file's bytes."""
    from rain import Client, remote

    n, repeat = options.n or N, options.repeat or 5
    function = remote(auto_encode="json", auto_load=True)(fit)
    seconds: dict[str, list[float]] = {"wall": [], "cpu": []}
    with tempfile.TemporaryDirectory() as name, Client.local(cpus=2) as client, client.new_session("many") as session:
        env = {"KEY_OF_TASK": "planted-in-a-variable"}
        made = [function(number, name=f"fold {number % 40}/fit", env=env) for number in range(n)]
        session.submit()
        session.wait_all(raise_on_failure=False)
        path = Path(name) / "report.html"
        for _ in range(repeat):
            began, used = time.perf_counter(), time.process_time()
            session.report(path)
            seconds["wall"].append(time.perf_counter() - began)
            seconds["cpu"].append(time.process_time() - used)
        size = path.stat().st_size
    return {"n": len(made), "seconds": {kind: told(found) for kind, found in seconds.items()}, "bytes": size}


def wheel(_options: argparse.Namespace) -> dict[str, Any]:
    """Bytes of the wheel."""
    with tempfile.TemporaryDirectory() as name:
        command = [sys.executable, "-m", "pip", "wheel", str(HERE.parent), "--no-deps", "-q", "-w", name]
        subprocess.run(command, check=True)
        return {"bytes": {path.name: path.stat().st_size for path in Path(name).iterdir()}}


# -- watch: what it costs the client to be watched -------------------------------------------------


def watch(options: argparse.Namespace) -> dict[str, Any]:
    """Seconds of the client's processor to make, submit and wait for `n` tasks; how many times that is if watched."""
    n, repeat = options.n or LARGE, options.repeat or 5
    found: dict[bool, dict[str, list[float]]] = {False: {}, True: {}}
    with headless() as kernel:
        for turn in range(repeat):
            for watched in (False, True) if turn % 2 else (True, False):
                kernel.run("new()")
                kernel.run("watch = ChangeFeed(session._inside.mirror, lambda: None)" if watched else "watch = None")
                measured = kernel.run(WATCHED.format(n=n))
                for name, value in zip(("make_cpu", "submit_cpu", "all_cpu", "all"), measured, strict=True):
                    found[watched].setdefault(name, []).append(value)
                kernel.run("watch = None; session.close(); del made")
    ratios = {
        key: told([b / a for a, b in zip(found[False][key], found[True][key], strict=True)]) for key in found[True]
    }
    return {"n": n, "without": {key: told(values) for key, values in found[False].items()}, "ratios": ratios}


WATCHED = """
clocks = [time.process_time()]
wall = time.perf_counter()
made = list(noop.map(range({n})))
clocks.append(time.process_time())
session.submit()
clocks.append(time.process_time())
session.wait_all()
clocks.append(time.process_time())
answer([*(b - clocks[0] for b in clocks[1:]), time.perf_counter() - wall])
"""


QUESTIONS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "submit": submit, "ready": ready, "latency": latency, "messages": messages, "thread": thread,
    "frames": frames, "fold": fold, "growth": growth, "report": report, "wheel": wheel, "watch": watch,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("question", choices=QUESTIONS)
    parser.add_argument("--n", type=int, help="how many tasks")
    parser.add_argument("--repeat", type=int)
    options = parser.parse_args()
    load = os.getloadavg()[0]
    found = QUESTIONS[options.question](options)
    print(json.dumps({"question": options.question, **found, "load": [round(load, 1), round(os.getloadavg()[0], 1)]}))


if __name__ == "__main__":
    main()
