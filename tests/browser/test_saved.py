"""What is saved of live views, and how it reads when kernel, server or page have gone."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.browser.expecting import expect
from tests.browser.lab import Lab, Notebook
from tests.browser.test_graph import CONNECT, VIEW, node, show

OURS, HTML, PDF, TEXT = "application/vnd.rain.view+json", "text/html", "application/pdf", "text/plain"
PID = "print('pid', os.getpid())"
AS_OF = re.compile(r"as of \d+ \w+ \d{4}, \d\d:\d\d")


def bundle(cell: Any) -> dict[str, Any]:
    """The display in the outputs of a saved cell."""
    (found,) = [output["data"] for output in cell["outputs"] if HTML in output.get("data", {})]
    return {kind: "".join(data) if isinstance(data, list) else data for kind, data in found.items()}


@contextmanager
def reopened(lab: Lab, path: Path) -> Iterator[Notebook]:
    """The notebook in a page of its own, with no kernel."""
    page = lab.browser.new_page(viewport={"width": 1400, "height": 1000})
    found = Notebook(lab, page, path)
    try:
        page.goto(lab.address_of(path.name))
        page.wait_for_function("() => window.jupyterapp && window.jupyterapp.shell.currentWidget?.context")
        page.evaluate("async () => { await window.jupyterapp.shell.currentWidget.context.ready; }")
        yield found
    finally:
        found.close()


def reads_well(notebook: Notebook, *captions: str) -> None:
    """Pictures and captions are there, and no error."""
    cells = notebook.page.locator(".jp-Notebook")
    for caption in captions:
        expect(cells.locator("figcaption", has_text=caption).first).to_be_visible()
    expect(cells.get_by_text(re.compile("Error displaying widget|Loading widget|model not found"))).to_have_count(0)


def test_a_notebook_read_tomorrow(lab: Lab) -> None:
    cells = [
        CONNECT,
        "session",
        "client",
        "done = tasks.Concat([blob('a')], name='joined')\ndone.output.keep()\nsession.submit()\nsession.wait_all()",
        "done.output.fetch()",
    ]
    with lab.open(cells) as notebook:
        for cell in range(5):
            notebook.run(cell)
            notebook.wait_done(cell)
        notebook.page.wait_for_selector(VIEW)
        expect(node(notebook, "joined")).to_have_attribute("data-s", "finished")
        notebook.wait_picture("joined")
        saved = notebook.save()
        assert "widget-view" not in str(saved.cells)
        live = bundle(saved.cells[1])
        assert set(live) == {OURS, HTML, PDF, TEXT}
        assert "1 task: 1 finished" in live[HTML]
        assert AS_OF.search(live[HTML])
        assert notebook.problems == []
        path = notebook.path
    with reopened(lab, path) as notebook:
        reads_well(notebook, "as of")
        expect(notebook.page.get_by_alt_text(re.compile("1 task: 1 finished"))).to_be_visible()
        expect(notebook.page.locator(".jp-Notebook td", has_text="127.0.0.1:").first).to_be_visible()
        assert notebook.problems == []


def test_a_kernel_that_is_killed_while_a_cell_runs(lab: Lab, tmp_path: Path) -> None:
    cells = [
        CONNECT,
        PID,
        "session",
        f"task = waits({str(tmp_path / 'never')!r})\nsession.submit()\nsession.wait_all()",
    ]
    with lab.open(cells) as notebook:
        show(notebook, 0, 1, 2)
        (output,) = notebook.outputs(1)
        notebook.run(3)
        expect(node(notebook, "waits")).to_have_attribute("data-s", "running")
        notebook.wait_picture("running")
        during = bundle(notebook.save().cells[2])
        assert set(during) == {OURS, HTML, PDF, TEXT}
        assert "1 running" in during[HTML]
        os.kill(int("".join(output["text"]).split()[1]), signal.SIGKILL)
        expect(
            notebook.page.locator("figcaption", has_text=re.compile("then the kernel was (restarted|closed)"))
        ).to_be_visible()
        after = bundle(notebook.save().cells[2])
        assert set(after) == {HTML, PDF, TEXT}
        assert "1 running" in after[HTML]
        reads_well(notebook)


def test_a_page_loaded_again_while_a_cell_runs(lab: Lab, tmp_path: Path) -> None:
    go = tmp_path / "go"
    cells = [
        CONNECT,
        "session",
        f"task = waits({str(go)!r})\nsession.submit()\nsession.wait_all()",
        "session.close()",
    ]
    with lab.open(cells) as notebook:
        show(notebook, 0, 1)
        notebook.run(2)
        expect(node(notebook, "waits")).to_have_attribute("data-s", "running")
        notebook.wait_picture("running")
        notebook.reload(busy=True)
        reads_well(notebook, "as of")
        go.touch()
        notebook.page.wait_for_selector(VIEW)  # by itself, when the kernel answers again
        expect(node(notebook, "waits")).to_have_attribute("data-s", "finished")
        notebook.run(3)
        notebook.page.wait_for_function(
            """() => {
                const saved = window.jupyterapp.shell.currentWidget.content.model.cells.get(1).outputs.toJSON();
                return saved[0].data['text/html'] && !saved[0].data['application/vnd.rain.view+json'];
            }"""
        )
        assert "1 finished" in bundle(notebook.save().cells[1])[HTML]
        assert notebook.problems == []


def test_what_tasks_printed_while_no_page_was_open(lab: Lab, tmp_path: Path) -> None:
    """It is in the cell that made them when the page is back, once, after what was there."""
    go, done = tmp_path / "go", tmp_path / "done"
    made = f"""
@remote()
def says(ctx, path, go, done):
    print("before", flush=True)
    while not os.path.exists(go):
        time.sleep(0.01)
    print("meanwhile 1", flush=True)
    print("meanwhile 2", file=sys.stderr, flush=True)
    return b""
import sys
says("x", {str(go)!r}, {str(done)!r}, name="says")
session.submit()
print("submitted")
"""
    cells = ["%load_ext rain.notebook\n" + CONNECT + "session.echo = True", "session", made, "session.wait_all()"]
    with lab.open(cells) as notebook:
        show(notebook, 0, 1)
        notebook.run(2)
        notebook.wait_text(2, "before")
        notebook.save()
        notebook.page.goto("about:blank")
        go.touch()
        notebook.page.goto(lab.address_of(notebook.path.name))
        notebook._wait_for_kernel()
        notebook.wait_text(2, "meanwhile 2")
        expect(node(notebook, "says")).to_have_attribute("data-s", "finished")
        texts = ["".join(output["text"]) for output in notebook.outputs(2) if output["output_type"] == "stream"]
        whole = "".join(texts)
        assert {word: whole.count(word) for word in ("before", "submitted", "meanwhile 1", "meanwhile 2")} == {
            "before": 1, "submitted": 1, "meanwhile 1": 1, "meanwhile 2": 1,
        }  # fmt: skip
        assert whole.index("before") < whole.index("meanwhile 1")
