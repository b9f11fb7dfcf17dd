"""Kernels that the notebook's benchmarks run code in: one without a browser, one in a JupyterLab with Chromium."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent)]
# Kernels and executors can import the task bodies.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")]))
RUN_S = 300
SHOWN = "[data-ready=true] .rain-session"

SETUP = """
import json, statistics, threading, time
import rain_bodies
import rain.notebook
from rain import Client, Remote, TaskState
from rain.client.core.change_feed import ChangeFeed

client = Client.local(cpus=2)
noop = Remote(rain_bodies.noop, auto_load=True, auto_encode="json")
inc = Remote(rain_bodies.inc, auto_load=True, auto_encode="json")
took = []
begun = None

def begins(_info):
    global begun
    begun = time.perf_counter()

def ends(_result):  # after what the notebook part does then
    took.append(time.perf_counter() - begun)

ip = get_ipython()
ip.events.register("pre_run_cell", begins)
ip.events.register("post_run_cell", ends)

def new():
    global session
    session = client.new_session("bench", default=True)

def declare(n, groups=1):
    "n tasks in groups, in chains of eight."
    made = []
    for i in range(n):
        name = f"group{i * groups // n}/task{i}"
        made.append(noop(i, name=name) if i % 8 == 0 else inc(made[-1], name=name))
    return made

def answer(what):
    print("\\n@" + json.dumps(what))
"""

_RUN = """async (code) => {
    const kernel = window.jupyterapp.shell.currentWidget.context.sessionContext.session.kernel;
    const future = kernel.requestExecute({ code, store_history: false });
    let text = "";
    future.onIOPub = ({ header, content }) => {
        if (header.msg_type === "stream") text += content.text;
        if (header.msg_type === "error") text += content.traceback.join("\\n");
    };
    const reply = await future.done;
    return [reply.content.status, text];
}"""


def answer_in(status: str, text: str) -> Any:
    """What the code gave to `answer`."""
    if status != "ok":
        raise SystemExit(f"code in the kernel failed:\n{text}")
    lines = [line[1:] for line in text.splitlines() if line.startswith("@")]
    return json.loads(lines[-1]) if lines else None


class Headless:
    """A kernel that no browser looks at."""

    def __init__(self) -> None:
        from jupyter_client.manager import start_new_kernel

        self._manager, self._client = start_new_kernel(kernel_name="python3")
        self.run(SETUP)

    def run(self, code: str) -> Any:
        """Run a cell; what it gave to `answer`."""
        parts: list[str] = []

        def told(message: dict[str, Any]) -> None:
            content = message["content"]
            parts.append(
                content["text"] if message["msg_type"] == "stream" else "\n".join(content.get("traceback", []))
            )

        reply = self._client.execute_interactive(code, timeout=RUN_S, output_hook=told)
        return answer_in(reply["content"]["status"], "".join(parts))

    def show(self) -> None:
        """Run the cell ``session``."""
        self.run("session")

    def close(self) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel()


class InLab:
    """A kernel whose notebook is open in a browser; its first cell is ``session``.

    Attributes
    ----------
    page : Page
    notebook : Notebook
    """

    def __init__(self, notebook: Any) -> None:
        self.notebook = notebook
        self.page = notebook.page
        self.page.set_default_timeout(RUN_S * 1000)
        self.run(SETUP)

    def run(self, code: str) -> Any:
        """Run code that belongs to no cell; what it gave to `answer`."""
        return answer_in(*self.page.evaluate(_RUN, code))

    def start(self, code: str) -> None:
        """Start code that belongs to no cell; `finish` gives what it gave to `answer`."""
        self.page.evaluate(f"(code) => {{ window.benchRun = ({_RUN})(code); }}", code)

    def finish(self) -> Any:
        """Wait for what was started."""
        return answer_in(*self.page.evaluate("() => window.benchRun"))

    def hide(self) -> None:
        """Take the display away."""
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.content.model.cells.get(0).outputs.clear()")

    def start_show(self) -> None:
        """Run the cell ``session``, without waiting for its graph."""
        self.hide()
        self.notebook.run(0)
        self.notebook.wait_done(0)

    def saved(self) -> int:
        """Bytes of the notebook when it is saved now."""
        self.notebook.save()
        return int(self.notebook.path.stat().st_size)

    def show(self) -> float:
        """Run the cell ``session``; milliseconds until its graph is drawn."""
        self.hide()
        ms: float = self.page.evaluate(
            """async (view) => {
                const { content } = window.jupyterapp.shell.currentWidget;
                content.deselectAll();
                content.activeCellIndex = 0;
                const begin = performance.now();
                void window.jupyterapp.commands.execute("notebook:run-cell");
                while (!document.querySelector(view)) await new Promise((tick) => setTimeout(tick, 4));
                return performance.now() - begin;
            }""",
            SHOWN,
        )
        return ms


@contextmanager
def headless() -> Iterator[Headless]:
    """A kernel without a browser."""
    kernel = Headless()
    try:
        yield kernel
    finally:
        kernel.close()


@contextmanager
def in_lab() -> Iterator[InLab]:
    """A kernel with a browser."""
    from tests.browser.lab import Lab

    folder = Path(tempfile.mkdtemp(prefix="bench"))
    lab = Lab(folder)
    try:
        with lab.open(["session"]) as notebook:
            yield InLab(notebook)
    finally:
        lab.close()
        shutil.rmtree(folder, ignore_errors=True)
