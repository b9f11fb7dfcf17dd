"""What is saved of live views, and how it reads when kernel, server or page have gone."""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.browser.expecting import expect
from tests.browser.lab import LOOK_MS, Lab, Notebook
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
    """The notebook in a page of its own, with no kernel that knows of it."""
    page = lab.new_page()
    found = Notebook(lab, page, path)
    try:
        page.goto(lab.address_of(path.name))
        page.wait_for_function("() => window.jupyterapp?.shell.currentWidget?.context", polling=LOOK_MS)
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


PRINTS = """
import sys

@remote()
def says(ctx, path):
    print("before", flush=True)
    while not os.path.exists(path):
        time.sleep(0.01)
    print("meanwhile 1", flush=True)
    print("meanwhile 2", file=sys.stderr, flush=True)
    return b""

says({printed!r}, name="says")
waits({looked!r}, name="long")
session.submit()
print("submitted")
"""
JOINED = """
done = tasks.Concat([blob('a')], name='joined')
done.output.keep()
session.submit()
session.wait_all()
done.output.fetch()
"""
WAITING = """
other = client.new_session("killed", default=True)
waits({path!r}, name="never")
display(other)
other.submit()
"""


def test_pages_come_back_a_kernel_is_killed_and_the_notebook_is_read_tomorrow(lab: Lab, tmp_path: Path) -> None:
    printed, looked, go = (tmp_path / name for name in ("printed", "looked", "go"))
    cells = [
        "%load_ext rain.notebook\n" + CONNECT + "session.echo = True",
        "session",
        PRINTS.format(printed=str(printed), looked=str(looked)),
        "session",
        f"task = waits({str(go)!r}, name='held')\nsession.submit()\nsession.wait_all()",
        JOINED,
        "client",
        "session.close()",
        PID,
        WAITING.format(path=str(tmp_path / "never")),
        "other.wait_all()",
    ]
    with lab.open(cells) as notebook:
        show(notebook, 0, 1)
        check_what_tasks_printed_while_no_page_was_open(notebook, 2, printed)
        check_a_second_view_shows_the_present_state(notebook, 3, looked)
        check_a_page_loaded_again_while_a_cell_runs(notebook, 4, go)
        for cell in (5, 6):
            notebook.run(cell)
            notebook.wait_done(cell)
        tomorrow = check_what_is_saved_of_a_live_view(notebook)
        notebook.run(7)
        wait_frozen(notebook, 1)
        assert "4 finished" in bundle(notebook.save().cells[1])[HTML]
        assert notebook.problems == []
        check_a_kernel_that_is_killed_while_a_cell_runs(notebook, 8, 9, 10)
    with reopened(lab, tomorrow) as notebook:
        reads_well(notebook, "as of")
        expect(notebook.page.get_by_alt_text(re.compile("4 tasks: 4 finished")).first).to_be_visible()
        expect(notebook.page.locator(".jp-Notebook td", has_text="127.0.0.1:").first).to_be_visible()
        assert notebook.problems == []


def check_what_tasks_printed_while_no_page_was_open(notebook: Notebook, cell: int, printed: Path) -> None:
    """It is in the cell that made them when the page is back, once, after what was there."""
    notebook.run(cell)
    notebook.wait_text(cell, "before")
    notebook.wait_text(cell, "waiting for looked")
    expect(node(notebook, "long")).to_have_attribute("data-s", "running")
    with notebook.page_away():
        printed.touch()
    notebook.wait_text(cell, "meanwhile 2")
    expect(node(notebook, "says")).to_have_attribute("data-s", "finished")
    expect(node(notebook, "long")).to_have_attribute("data-s", "running")
    whole = "".join("".join(one["text"]) for one in notebook.outputs(cell) if one["output_type"] == "stream")
    for words in ("before", "submitted", "meanwhile 1", "meanwhile 2", "waiting for looked"):
        assert whole.count(words) == 1, whole
    assert whole.index("before") < whole.index("meanwhile 1")


def check_a_second_view_shows_the_present_state(notebook: Notebook, cell: int, looked: Path) -> None:
    notebook.run(cell)
    notebook.wait_done(cell)
    expect(node(notebook, "long")).to_have_count(2)
    looked.touch()
    for index in range(2):
        expect(node(notebook, "long").nth(index)).to_have_attribute("data-s", "finished")


def check_a_page_loaded_again_while_a_cell_runs(notebook: Notebook, cell: int, go: Path) -> None:
    notebook.run(cell)
    expect(node(notebook, "held").first).to_have_attribute("data-s", "running")
    notebook.wait_picture("held")
    notebook.reload(busy=True)
    reads_well(notebook, "as of")
    assert notebook.page.locator(VIEW).count() == 0
    go.touch()
    notebook.page.wait_for_selector(VIEW)  # by itself, when the kernel answers again
    expect(node(notebook, "held").first).to_have_attribute("data-s", "finished")


def check_what_is_saved_of_a_live_view(notebook: Notebook) -> Path:
    """What a page shows without its kernel; a copy of the notebook as it is now."""
    expect(node(notebook, "joined").first).to_have_attribute("data-s", "finished")
    notebook.wait_picture("joined")
    saved = notebook.save()
    assert "widget-view" not in str(saved.cells)
    live = bundle(saved.cells[1])
    assert set(live) == {OURS, HTML, PDF, TEXT}
    assert "4 tasks: 4 finished" in live[HTML]
    assert AS_OF.search(live[HTML])
    return Path(shutil.copy(notebook.path, notebook.path.with_stem("tomorrow")))


def wait_frozen(notebook: Notebook, cell: int) -> None:
    """Wait until a display in a cell is for good."""
    notebook.page.wait_for_function(
        """(cell) => {
            const saved = window.jupyterapp.shell.currentWidget.content.model.cells.get(cell).outputs.toJSON();
            return saved[0].data['text/html'] && !saved[0].data['application/vnd.rain.view+json'];
        }""",
        arg=cell,
        polling=LOOK_MS,
    )


def check_a_kernel_that_is_killed_while_a_cell_runs(notebook: Notebook, pid: int, shown: int, waiting: int) -> None:
    show(notebook, pid, shown)
    (output,) = notebook.outputs(pid)
    notebook.run(waiting)
    expect(node(notebook, "never")).to_have_attribute("data-s", "running")
    notebook.wait_picture("1 running")
    during = bundle(notebook.save().cells[shown])
    assert set(during) == {OURS, HTML, PDF, TEXT}
    assert "1 running" in during[HTML]
    os.kill(int("".join(output["text"]).split()[1]), signal.SIGKILL)
    cell = notebook.page.locator(".jp-CodeCell").nth(shown)
    expect(cell.locator("figcaption", has_text=re.compile("then the kernel was (restarted|closed)"))).to_be_visible()
    after = bundle(notebook.save().cells[shown])
    assert set(after) == {HTML, PDF, TEXT}
    assert "1 running" in after[HTML]
    reads_well(notebook)
