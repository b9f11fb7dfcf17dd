"""Saved notebooks in versions of JupyterLab and Notebook, the kernel in an environment of its own.

`make test-jupyters` makes the environments (`tools/jupyters.py`) and runs this. A picture of each notebook as another
browser shows it is left in ``<environment>/jupyters/pictures``.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Page

from tests.browser.expecting import expect
from tests.browser.lab import CHROMIUM, KERNEL, LAB, NOTEBOOK, SIZE, WAIT_MS, Lab, Notebook, Program
from tests.browser.test_graph import CONNECT, VIEW, node
from tests.browser.test_saved import AS_OF, HTML, OURS, PDF, PID, TEXT, bundle
from tools.jupyters import FOLDER, SERVERS

pytestmark = pytest.mark.jupyters

ERRORS = re.compile("Error displaying widget|Loading widget|model not found|widget-view")
FATE = re.compile(r"as of .*, then the kernel was (restarted|closed)")
CASES = [
    (version, program, kernel, live)
    for version in SERVERS
    for program in ("lab", "notebook")
    for kernel, live in (("wheel", True), ("wheel", False), ("editable", True))
]


def name_of(case: tuple[str, str, str, bool]) -> str:
    version, program, kernel, live = case
    return f"{program}-{version}-{kernel}-{'live' if live else 'pictures'}"


@pytest.fixture(params=CASES, ids=name_of)
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Lab, bool]]:
    """A server of another environment, with or without the front ends of ipywidgets and anywidget, and a kernel."""
    version, program, kernel, live = request.param
    if CHROMIUM is None:
        pytest.skip("needs chromium (Debian: apt-get install chromium)")
    if not (FOLDER / "front-ends").is_dir():
        pytest.skip("needs the environments that tools/jupyters.py makes")
    known = LAB if program == "lab" else NOTEBOOK
    paths = {"JUPYTER_PATH": str(FOLDER / "front-ends" / "share" / "jupyter")} if live else {}
    python = str(FOLDER / version / "bin" / "python")
    lab = Lab(tmp_path, Program(known.module, known.options, known.place, python, paths))
    try:
        own = sys.executable if kernel == "editable" else str(FOLDER / "kernel" / "bin" / "python")
        lab.add_kernel("apart", python=own)
        yield name_of(request.param), lab, live
    finally:
        lab.close()


@contextmanager
def another_browser(lab: Lab, name: str) -> Iterator[Page]:
    """The notebook in a browser that has nothing of the first one."""
    context = lab.browser.new_context(viewport=SIZE)
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    try:
        page.goto(lab.address_of(name))
        page.wait_for_function("() => window.jupyterapp && window.jupyterapp.shell.currentWidget?.context")
        page.evaluate("async () => { await window.jupyterapp.shell.currentWidget.context.ready; }")
        yield page
    finally:
        context.close()


def reads_well(page: Page, caption: re.Pattern[str], name: str) -> None:
    """The picture of the session is there with the time that it is of, the client's card too, and no error."""
    cells = page.locator(".jp-Notebook")
    picture = cells.locator("figure", has=page.get_by_alt_text(re.compile("1 task: 1 running")))
    expect(picture.locator("figcaption")).to_have_text(caption)
    page.wait_for_function(
        "() => [...document.querySelectorAll('.jp-Notebook figure img')].every((one) => one.naturalWidth > 100)"
    )
    expect(cells.locator("figure td", has_text="127.0.0.1:").first).to_be_visible()
    folder = FOLDER / "pictures"
    folder.mkdir(exist_ok=True)
    picture.scroll_into_view_if_needed()
    page.screenshot(path=folder / f"{name}.png")
    expect(cells.get_by_text(ERRORS)).to_have_count(0)


def run(notebook: Notebook, *cells: int) -> None:
    for cell in cells:
        notebook.run(cell)
        notebook.wait_done(cell)


def test_a_kernel_is_killed_and_the_notebook_read_in_another_browser(
    case: tuple[str, Lab, bool], tmp_path: Path
) -> None:
    name, lab, live = case
    waits = f"""
task = waits({str(tmp_path / "never")!r})
session.submit()
while task.state is None or task.state.value != "running":
    time.sleep(0.01)
"""
    cells = [CONNECT, PID, "session", "client", waits, "session.wait_all()"]
    with lab.open(cells, kernel="apart", new_page=True) as notebook:
        run(notebook, 0, 1, 2, 3)
        (output,) = notebook.outputs(1)
        if live:
            notebook.page.wait_for_selector(VIEW)
        run(notebook, 4)
        if live:
            expect(node(notebook, "waits")).to_have_attribute("data-s", "running")
            notebook.wait_picture("1 running")
        notebook.run(5)
        notebook.page.wait_for_function(f"() => {KERNEL}.status === 'busy'")
        during = bundle(notebook.save().cells[2])
        assert set(during) == {OURS, HTML, PDF, TEXT}
        assert AS_OF.search(during[HTML])
        assert "1 running" in during[HTML]
        notebook.reload(busy=True)
        expect(notebook.page.locator(".jp-Notebook figcaption", has_text=AS_OF).first).to_be_visible()
        expect(notebook.page.locator(".jp-Notebook").get_by_text(ERRORS)).to_have_count(0)
        notebook.interrupt()
        notebook.page.wait_for_function(f"() => {KERNEL}.status === 'idle'")
        if live:
            notebook.page.wait_for_selector(VIEW)  # by itself
            notebook.wait_picture("1 running")
        notebook.run(5)
        notebook.page.wait_for_function(f"() => {KERNEL}.status === 'busy'")
        os.kill(int("".join(output["text"]).split()[1]), signal.SIGKILL)
        if live:
            expect(notebook.page.locator("figcaption", has_text=FATE).first).to_be_visible()
        notebook.restart_kernel()
        after = bundle(notebook.save().cells[2])
        assert "1 running" in after[HTML]
        assert "widget-view" not in notebook.path.read_text()
        path = notebook.path
    caption = FATE if live else AS_OF
    with another_browser(lab, path.name) as page:
        reads_well(page, caption, name)
    untrusted = path.with_name("untrusted.ipynb")  # as a colleague gets it
    changed = nbformat.read(path, 4)
    changed.cells.append(nbformat.v4.new_markdown_cell("by mail"))
    nbformat.write(changed, untrusted)
    with another_browser(lab, untrusted.name) as page:
        reads_well(page, caption, f"{name}-untrusted")
