"""What a kernel displays of sessions, and what it leaves of them."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

pytest.importorskip("ipykernel")

import nbformat

from tests.integration.kernels import Kernel, Shown, kernel

OURS, HTML, PDF, TEXT = "application/vnd.rain.view+json", "text/html", "application/pdf", "text/plain"
LIVE, FINAL = {OURS, HTML, PDF, TEXT}, {HTML, PDF, TEXT}


@pytest.fixture(scope="module")
def started() -> Iterator[Kernel]:
    with kernel() as found:
        found.good(
            "import rain\n"
            "from rain.notebook import widget_of\n"
            "client = rain.Client.local(cpus=1)\n"
            "@rain.remote(auto_encode='json')\n"
            "def f(ctx, x):\n"
            "    return x\n"
        )
        yield found


def bundles(shown: Shown, kind: str) -> list[set[str]]:
    return [set(m["content"]["data"]) for m in shown.messages if m["msg_type"] == kind]


def test_a_session_displayed_twice_is_frozen_twice(started: Kernel) -> None:
    started.good("session = client.new_session('twice', default=True)")
    first = started.good("display(session)\nsession")
    assert bundles(first, "display_data") == [LIVE] * 2
    assert bundles(first, "update_display_data") == [], "nothing has changed"
    second = started.good("session.run(f(1))")
    assert bundles(second, "update_display_data") == [LIVE] * 2
    last = started.good("session.close()\nsession")
    assert bundles(last, "update_display_data") == [FINAL] * 2
    assert last.displayed[-1][TEXT] == "<Session 'twice' closed, 1 task: 1 finished; 1 object>"


def test_a_session_that_a_block_closes_where_it_is_displayed(started: Kernel) -> None:
    shown = started.good("with client.new_session('block') as session:\n    display(session)\n    session.run(f(1))")
    assert bundles(shown, "display_data") == [LIVE]
    assert bundles(shown, "update_display_data") == [FINAL]


def test_a_widget_in_the_users_hands_stays_when_the_session_ends(started: Kernel) -> None:
    started.good("session = client.new_session('box', default=True)\nwidget = widget_of(session)")
    shown = started.good("import ipywidgets\nsession")
    assert bundles(shown, "display_data") == [LIVE]
    box = started.good("ipywidgets.HBox([widget])").result
    assert "<SessionWidget of <Session " in box
    assert " at 0x" not in box
    shown = started.good("widget")
    assert bundles(shown, "display_data") == [LIVE]
    last = started.good("session.close()\nwidget.comm is not None")
    assert bundles(last, "update_display_data") == [FINAL] * 2
    assert last.result == "True"


def test_where_nobody_looks_there_are_no_widgets(started: Kernel) -> None:
    started.good("session = client.new_session('headless', default=True)")
    shown = started.good("session", allow_stdin=False)
    assert bundles(shown, "display_data") == [FINAL]
    shown = started.good(
        "task = f(1)\ntask.keep_outputs()\nsession.submit()\nsession.wait_all()\nclient", allow_stdin=False
    )
    assert bundles(shown, "display_data") == [{HTML, TEXT}]
    assert bundles(shown, "update_display_data") == [FINAL]
    shown = started.good("task.output", allow_stdin=False)
    assert bundles(shown, "display_data") == [{HTML, TEXT}]
    started.good("session.close()", allow_stdin=False)


def test_a_session_is_a_picture_in_latex_without_inkscape(started: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what a page shows live, too."""
    from nbconvert import LatexExporter  # a second of a cpu in each process that collects this file

    started.good("session = client.new_session('written', default=True)\ntask = f(1)\ntask.keep_outputs()")
    shown = started.good("session")
    started.good("session.close()")
    outputs = [nbformat.v4.new_output("display_data", bundle) for bundle in shown.displayed]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("session", outputs=outputs)])
    monkeypatch.setenv("PATH", "")
    text, resources = LatexExporter().from_notebook_node(notebook)
    assert {name: bytes(begin[:4]) for name, begin in resources["outputs"].items()} == {"output_0_0.pdf": b"%PDF"}
    assert re.search(r"\\(adjustimage|includegraphics).*\{output_0_0.pdf\}", text)


def test_a_large_session_gets_its_picture_when_there_is_time(started: Kernel) -> None:
    started.good("session = client.new_session('large', default=True)\nmany = [f(i) for i in range(1500)]")
    shown = started.good("session")
    assert bundles(shown, "display_data") == [{OURS, TEXT}]
    assert bundles(shown, "update_display_data") == [], "a browser may be about to show it"
    shown = started.good("session.close()")
    assert bundles(shown, "update_display_data") == [FINAL]
    started.good("session = client.new_session('large', default=True)\nmany = [f(i) for i in range(1500)]")
    shown = started.good("session", allow_stdin=False)
    assert bundles(shown, "update_display_data") == [FINAL]
    started.good("session.close()", allow_stdin=False)
