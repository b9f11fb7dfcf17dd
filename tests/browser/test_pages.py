"""What programs other than Jupyter show of Rain's things: marimo and Voilà, in environments of their own.

`make test-jupyters` makes the environments (`tools/jupyters.py`) and runs this. A picture of each page is left in
``<environment>/jupyters/pictures``.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import indent

import nbformat
import pytest
from playwright.sync_api import ConsoleMessage, Page, sync_playwright

from tests.browser.expecting import expect
from tests.browser.lab import ARGUMENTS, CHROMIUM, SIZE, WAIT_MS
from tests.support.waiting import until
from tools.jupyters import FOLDER

pytestmark = pytest.mark.jupyters

HOSTILE = "<img src=x onerror='window.harmed = 1'>&amp;<script>window.harmed = 2</script>"
MADE = f"""\
import rain

client = rain.Client.local(cpus=1)
session = client.new_session({HOSTILE!r}, default=True)

@rain.remote(name={HOSTILE!r}, auto_encode="pickle")
def squares(ctx, count):
    return {{{HOSTILE!r}: [n * n for n in range(count)]}}

task = squares(5)
value = task.output
value.keep()
session.submit()
session.wait_all()
"""
SHOWN = ("session", "client", "task", "value", "value.fetch()")
NOT_SHOWN = re.compile("not supported|unsupported|widget-view|ing widget|Traceback|0 items", re.IGNORECASE)
_ELSEWHERE = re.compile("ERR_NAME_NOT_RESOLVED")
"""What these programs load of others' servers is not there."""


def marimo(folder: Path, port: int) -> list[str]:
    """A notebook of marimo, and the command that shows it."""
    cells = [("", MADE, "client, session, task, value"), *((name.partition(".")[0], name, "") for name in SHOWN)]
    text = "import marimo\n\napp = marimo.App()\n"
    for takes, body, gives in cells:
        text += f"\n\n@app.cell\ndef _({takes}):\n{indent(body.strip(), '    ')}\n    return {gives}\n"
    page = folder / "page.py"
    page.write_text(text)
    return [str(FOLDER / "marimo" / "bin" / "marimo"), "run", str(page), "--headless", "--port", str(port)]


def voila(folder: Path, port: int) -> list[str]:
    """A notebook, and the command with which Voilà shows it."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in (MADE, *SHOWN)])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "python3"}
    page = folder / "page.ipynb"
    nbformat.write(notebook, page)
    program = str(FOLDER / "voila" / "bin" / "voila")
    return [program, str(page), "--no-browser", f"--port={port}", "--Voila.ip=127.0.0.1", "--Voila.port_retries=0"]


@contextmanager
def served(command: list[str], folder: Path, port: int) -> Iterator[str]:
    """The address of a page, while its program runs."""
    settings = {
        "MARIMO_SKIP_UPDATE_CHECK": "1",
        **{name: str(folder / name.lower()) for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME")},
        **{name: str(folder / name.lower()) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR")},
    }
    (folder / "jupyter_runtime").mkdir()
    settings["JUPYTER_RUNTIME_DIR"] = str(folder / "jupyter_runtime")
    with (folder / "program.log").open("w") as log:
        program = subprocess.Popen(command, env=os.environ | settings, cwd=folder, stdout=log, stderr=log)
        address = f"http://127.0.0.1:{port}/"

        def answers() -> bool:
            assert program.poll() is None, (folder / "program.log").read_text()[-3000:]
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=5):
                    return True
            except OSError:
                return False

        try:
            until(answers)
            yield address
        finally:
            program.terminate()
            program.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.mark.parametrize("made", [marimo, voila], ids=lambda made: made.__name__)
def test_all_things_are_shown_as_pictures_and_text(made: Callable[[Path, int], list[str]], tmp_path: Path) -> None:
    if CHROMIUM is None:
        pytest.skip("needs chromium (Debian: apt-get install chromium)")
    if not (FOLDER / made.__name__).is_dir():
        pytest.skip("needs the environments that tools/jupyters.py makes")
    port, said = free_port(), []

    def heard(message: ConsoleMessage) -> None:
        if message.type == "error" and not _ELSEWHERE.search(message.text):
            said.append(message.text)

    with (
        served(made(tmp_path, port), tmp_path, port) as address,
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS) as browser,
    ):
        page = browser.new_page(viewport=SIZE)
        page.set_default_timeout(WAIT_MS)
        page.on("console", heard)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(address, timeout=WAIT_MS)
        expect(page.get_by_text("[0, 1, 4, 9, 16]")).to_have_count(2)  # of the last two, the object and its value
        shows_all(page)
        folder = FOLDER / "pictures"
        folder.mkdir(exist_ok=True)
        page.screenshot(path=folder / f"{made.__name__}.png", full_page=True)
        assert page.evaluate("window.harmed") is None
        assert page.locator("img[src=x]").count() == 0
        expect(page.get_by_text(NOT_SHOWN)).to_have_count(0)
        assert said == []


def shows_all(page: Page) -> None:
    """The session as a picture that says in words what it shows, the others as tables and text that can be read."""
    picture = page.get_by_alt_text(re.compile("open, 1 task: 1 finished; 1 object"))
    expect(picture).to_be_visible()
    page.wait_for_function("image => image.naturalWidth > 100", arg=picture.element_handle())
    assert "<img src=x onerror=" in str(picture.get_attribute("alt"))
    for words in ("connected", "✓ finished", "output out0", "out0: pickle, "):
        expect(page.get_by_text(words).first).to_be_visible()
    expect(page.get_by_text(HOSTILE, exact=True)).to_be_visible()  # the task's title
    gaps = page.locator("table tr").evaluate_all(
        """rows => rows.flatMap((row) => [...row.cells].slice(1).map((cell, i) => {
            const box = (one) => {
                const range = document.createRange();
                range.selectNodeContents(one);
                return range.getBoundingClientRect();
            };
            return box(cell).left - box(row.cells[i]).right;
        }))"""
    )
    assert gaps
    assert min(gaps) >= 6, "cells of tables run into each other"
