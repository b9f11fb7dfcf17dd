"""The live graph in JupyterLab: colours while cells run, clicks, tabs, reloads, what stays behind."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.lab import Lab, Notebook

VIEW = "[data-ready=true] .rain-session"
SVG, TEXT, WIDGET = "image/svg+xml", "text/plain", "application/vnd.jupyter.widget-view+json"

CONNECT = """
import os, time
from rain import Client, Input, Output, Program, blob, directory, pickled, remote, tasks
client = Client.local(cpus=2)
session = client.new_session("shown")
session.set_as_default()

@remote()
def waits(ctx, path, answer=b"done"):
    print("waiting for", os.path.basename(path), flush=True)
    while not os.path.exists(path):
        time.sleep(0.01)
    return answer
"""


def node(notebook: Notebook, label: str) -> Any:
    """The node whose label ends so."""
    return notebook.page.locator(f"{VIEW} .rain-node", has_text=re.compile(f"{re.escape(label)}$"))


def show(notebook: Notebook, *cells: int) -> None:
    """Run cells one after the other, and wait for the graph."""
    for cell in cells:
        notebook.run(cell)
        notebook.wait_done(cell)
    notebook.page.wait_for_selector(VIEW)


def frozen(notebook: Notebook, cell: int) -> str:
    """The picture that is in a cell's output when the widget has gone."""
    notebook.page.wait_for_function(
        """(index) => {
            const saved = window.jupyterapp.shell.currentWidget.content.model.cells.get(index).outputs.toJSON();
            const data = saved.find((output) => output.data?.['image/svg+xml'])?.data;
            return data && !data['application/vnd.jupyter.widget-view+json'];
        }""",
        arg=cell,
    )
    (bundle,) = [output["data"] for output in notebook.outputs(cell) if SVG in output.get("data", {})]
    assert set(bundle) == {SVG, TEXT}
    svg = bundle[SVG] if isinstance(bundle[SVG], str) else "".join(bundle[SVG])
    ElementTree.fromstring(svg)
    return svg


def test_colours_change_while_a_cell_runs(lab: Lab, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    cells = [
        CONNECT,
        "session",
        f"a = waits({str(first)!r}, name='one')\nb = waits({str(second)!r}, name='two')\nc = tasks.Concat([a, b])\n"
        "c.output.keep()\nsession.submit()\nsession.wait_all()\nprint('over')",
        "session.close()",
    ]
    with lab.open(cells) as notebook:
        show(notebook, 0, 1)
        notebook.run(2)
        expect(node(notebook, "one")).to_have_attribute("data-s", "running")  # it grew while the cell runs
        expect(node(notebook, "two")).to_have_attribute("data-s", "running")
        expect(notebook.page.locator(f"{VIEW} .rain-chip[data-s=running]")).to_contain_text("2")
        first.touch()
        expect(node(notebook, "one")).to_have_attribute("data-s", "finished")
        expect(node(notebook, "two")).to_have_attribute("data-s", "running")
        second.touch()
        expect(node(notebook, "concat")).to_have_attribute("data-s", "finished")
        notebook.wait_done(2)
        notebook.run(3)
        svg = frozen(notebook, 1)
        assert "one" in svg
        assert "finished" in svg
        assert notebook.problems == []


@pytest.mark.parametrize("kernel", ["python3", "ipykernel-7.3"])
def test_a_click_is_answered_while_a_cell_runs(lab: Lab, tmp_path: Path, kernel: str) -> None:
    go = tmp_path / "go"
    cells = [
        CONNECT,
        "session",
        f"task = waits({str(go)!r})\nsession.submit()\nsession.wait_all()\nprint('over')",
        "import ipykernel; print('version', ipykernel.__version__)",
    ]
    lab.need_kernel(kernel)
    with lab.open(cells, kernel=kernel) as notebook:
        show(notebook, 0, 1)
        notebook.run(3)
        notebook.wait_text(3, "version 7.3" if kernel.endswith("7.3") else "version 7.")
        notebook.run(2)
        expect(node(notebook, "waits")).to_have_attribute("data-s", "running")
        node(notebook, "waits").click()
        details = notebook.page.locator(f"{VIEW} .rain-details")
        expect(details).to_contain_text("def waits(ctx, path")
        expect(details).to_contain_text("Cell In[")
        expect(details).to_contain_text("waiting for go")  # what it has printed so far
        assert "over" not in str(notebook.outputs(2))
        go.touch()
        notebook.wait_done(2)
        assert notebook.problems == []


def test_a_running_task_is_cancelled_from_its_details(lab: Lab, tmp_path: Path) -> None:
    cells = [
        CONNECT,
        "session",
        f"task = waits({str(tmp_path / 'never')!r})\nsession.submit()\nprint(session.wait_all(raise_on_failure=False))",
    ]
    with lab.open(cells) as notebook:
        show(notebook, 0, 1)
        notebook.run(2)
        expect(node(notebook, "waits")).to_have_attribute("data-s", "running")
        node(notebook, "waits").click()
        notebook.page.locator(f"{VIEW} .rain-details").get_by_role("button", name=re.compile("cancel", re.I)).click()
        expect(node(notebook, "waits")).to_have_attribute("data-s", "cancelled")
        notebook.wait_done(2)
        assert notebook.problems == []
