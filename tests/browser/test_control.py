"""Control from JupyterLab: a side panel, why a task waits, stale results run again, what is killed, reused or lost."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.browser.expecting import expect
from tests.browser.lab import Lab, Notebook
from tests.browser.test_graph import CONNECT, VIEW, node, show

FIT = """
def helper(x):
    return x + 1

@remote(auto_load=True, auto_encode="json")
def fit(ctx, x, path=None):
    while path is not None and not os.path.exists(path):
        time.sleep(0.01)
    return helper(x)

@remote(auto_load=True, auto_encode="json")
def total(ctx, *parts):
    return sum(parts)
"""
TASKS = """
fits = [fit(i, name=f"fit{{i}}") for i in range(2)]
slow = fit(10, {gate!r}, name="slow")
whole = total(*fits, slow, name="whole")
for task in (*fits, slow, whole):
    task.keep_outputs()
session.submit()
session.wait(fits)
"""


def shot(lab_page: object, name: str) -> None:
    """Leave a screenshot where one is asked for."""
    folder = os.environ.get("RAIN_SHOTS")
    if folder:
        lab_page.screenshot(path=f"{folder}/{name}.png")  # type: ignore[attr-defined]


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    return tmp_path / "gate"


def test_a_run_is_kept_in_sight_explained_edited_and_run_again(lab: Lab, gate: Path) -> None:
    cells = [
        CONNECT,
        FIT,
        TASKS.format(gate=str(gate)),
        "session",
        "print('\\n' * 200)",
        "print(whole.output.fetch().load(), whole.renewed.output.fetch().load())",
        FIT.replace("x + 1", "x + 3"),
    ]
    with lab.open(cells) as notebook:
        page = notebook.page
        show(notebook, 0, 1, 2, 3)
        # Why it waits: on the node, and in the details; live.
        node(notebook, "whole").hover()
        why = "Waits for 1 of its 3 inputs: object 'out0'"
        expect(page.locator(".rain-tooltip-why")).to_contain_text(why)
        expect(page.locator(".rain-tooltip-why")).to_contain_text("made by task slow")
        shot(page, "why")
        node(notebook, "whole").click()
        expect(page.locator(".rain-details .rain-why")).to_contain_text(why)
        # Beside the notebook, and back.
        page.click(".rain-session .rain-dock")
        beside = page.locator(".rain-side-panel .rain-session")
        expect(beside.locator(".rain-node")).to_have_count(8)
        expect(beside.locator(".rain-dock")).to_have_count(0)
        shot(page, "dock")
        page.locator(".lm-TabBar-tab", has_text="Rain: shown").locator(".lm-TabBar-tabCloseIcon").click()
        expect(page.locator(".rain-side-panel")).to_have_count(0)
        # The strip, once the cell is out of sight.
        expect(page.locator(".rain-strip")).to_have_count(0)
        notebook.run(4)
        notebook.wait_done(4)
        page.evaluate(
            """() => {
                const { content } = window.jupyterapp.shell.currentWidget;
                content.activeCellIndex = 5;
                void content.scrollToItem(5, 'end');
            }"""
        )
        expect(page.locator(".rain-strip")).to_contain_text("shown · 2 of 4 finished")
        shot(page, "strip")
        page.click(".rain-strip-go")
        expect(page.locator(".rain-strip")).to_have_count(0)
        # An edit makes stale what was made with the code before.
        gate.touch()
        expect(page.locator(f"{VIEW} .rain-header [role=progressbar]")).to_have_attribute("aria-valuenow", "4")
        notebook.run(1)
        notebook.wait_done(1)
        expect(page.locator(f"{VIEW} .rain-stale-chip")).to_have_count(0)
        page.evaluate(
            """() => {
                const { model } = window.jupyterapp.shell.currentWidget.content;
                const cell = model.cells.get(1).sharedModel;
                cell.setSource(cell.getSource().replace('x + 1', 'x + 2'));
            }"""
        )
        notebook.run(1)
        notebook.wait_done(1)
        expect(page.locator(f"{VIEW} .rain-stale-chip")).to_have_text("4 stale tasks")
        expect(page.locator(f"{VIEW} .rain-node.rain-task[data-stale]")).to_have_count(4)
        shot(page, "stale")
        page.get_by_role("button", name=re.compile(r"⟳ Run 4 tasks again, about ")).click()
        expect(page.locator(".rain-stale-line").first).to_contain_text("Run 4 tasks again, about ")
        expect(page.locator(".rain-stale-line").nth(1)).to_have_text("fit0, fit1, slow, whole")
        shot(page, "plan")
        page.get_by_role("button", name="Run them again").click()
        expect(page.locator(f"{VIEW} .rain-header [role=progressbar]")).to_have_attribute("aria-valuenow", "8")
        notebook.run(5)
        notebook.wait_text(5, "14 17")
        expect(page.locator(f"{VIEW} .rain-header button", has_text="again")).to_have_count(0)
        # The same function, defined otherwise in another cell.
        notebook.run(6)
        notebook.wait_done(6)
        expect(page.get_by_role("button", name=re.compile(r"⟳ Run 4 tasks again, about "))).to_be_visible()
        assert notebook.problems == []


TABLE = """
import io
import pyarrow as pa, pyarrow.parquet as pq

@remote(outputs=[Output("cars.parquet")])
def make(ctx, rows):
    names = [f"car <b>{i}</b>" for i in range(rows)]
    table = pa.table({"name": names, "speed": [i * 7919 % 100003 for i in range(rows)]})
    file = io.BytesIO()
    pq.write_table(table, file, row_group_size=100_000)
    return file.getvalue()

cars = make(600_000).output
cars.keep()
session.submit()
session.wait(cars)
cars
"""
KILL = """
from rain.chaos.targets import found
os.kill(found(os.getpid(), 'server')[0], 9)
"""


def test_what_is_killed_lies_elsewhere_was_there_or_gets_lost(lab: Lab, tmp_path: Path) -> None:
    first, second, results = tmp_path / "first", tmp_path / "second", str(tmp_path / "results")
    cells = [
        CONNECT,
        f"task = waits({str(first)!r}, name='long'); session.submit()",
        "session",
        f"again = waits({str(second)!r}, name='again'); again.keep_outputs(); session.submit()",
        KILL,
        "print(again.output.fetch().get_bytes(), again.info.attempts, session)",
        TABLE,
        REUSES.format(close="", folder=results, factor="2"),
        REUSES.format(close="again.close() or ", folder=results, factor="'<script>' and 3"),
        LOSES,
        "len(lost)",
    ]
    with lab.open(cells) as notebook:
        show(notebook, 0, 1, 2)
        check_a_governor_is_killed_and_recovers(notebook, first)
        show(notebook, 3)
        check_a_view_goes_on_over_the_death_of_the_server(notebook, 4, 5, second)
        check_a_table_is_sorted_and_filtered_where_it_lies(notebook, 6)
        check_what_was_reused_and_what_has_changed(notebook, 7, 8)
        check_what_has_no_answer_is_asked_again(notebook, 9, 10)
        assert notebook.problems == []


def check_a_governor_is_killed_and_recovers(notebook: Notebook, gate: Path) -> None:
    page = notebook.page
    expect(node(notebook, "long")).to_have_attribute("data-s", "running")
    page.click(".rain-tab:has-text('governors')")
    tile = page.locator(".rain-tile-name")
    expect(tile).to_have_text("this host")
    before = tile.get_attribute("title")
    page.get_by_role("button", name="Kill this governor").click()
    shot(page, "kill")
    page.get_by_role("button", name="Leave it").click()
    page.get_by_role("button", name="Kill this governor").click()
    page.get_by_role("button", name="Kill it, watch it recover").click()
    expect(page.locator(".rain-governors .rain-tab-note[role=status]")).to_contain_text(f"{before} was killed")
    expect(tile).not_to_have_attribute("title", before)
    page.click(".rain-tab:has-text('graph')")
    gate.touch()
    expect(node(notebook, "long")).to_have_attribute("data-s", "finished")


def check_a_view_goes_on_over_the_death_of_the_server(notebook: Notebook, kill: int, after: int, gate: Path) -> None:
    expect(node(notebook, "again")).to_have_attribute("data-s", "running")
    notebook.run(kill)
    gate.touch()
    expect(node(notebook, "again")).to_have_attribute("data-s", "finished")
    notebook.run(after)
    notebook.wait_text(after, "b'done' 1 <Session 1 'shown' open, 2/2 tasks finished>")
    shot(notebook.page, "server")


def check_a_table_is_sorted_and_filtered_where_it_lies(notebook: Notebook, cell: int) -> None:
    page = notebook.page
    notebook.run(cell)
    head = page.locator(".rain-data [role=columnheader]")
    first = page.locator(".rain-data .rain-item").first
    expect(first).to_contain_text("car <b>0</b>")
    page.locator(".rain-data-name", has_text="speed").click()
    expect(head.nth(2)).to_have_attribute("aria-sort", "ascending")
    page.locator(".rain-data-name", has_text="speed").click()
    expect(head.nth(2)).to_have_attribute("aria-sort", "descending")
    expect(first).to_contain_text("100002")
    expect(page.locator(".rain-insp-note").first).to_contain_text("The first 1,000 of 600,000 rows.")
    page.get_by_label("column to filter by").select_option(label="speed")
    page.locator(".rain-row-filters input").fill("< 5000")
    page.locator(".rain-row-filters input").press("Enter")
    expect(first).to_contain_text("4999")
    page.locator(".rain-row-filters input").fill("abc")
    page.locator(".rain-row-filters input").press("Enter")
    expect(page.locator(".rain-insp-error")).to_contain_text("'abc' cannot be compared with it")
    expect(page.get_by_role("button", name="speed < 5000 ×")).to_be_visible()
    shot(page, "table")
    page.get_by_role("button", name="speed < 5000 ×").click()
    expect(first).to_contain_text("100002")


REUSES = """
import rain
import numpy as np
from rain import task
again = {close}client.new_session("again", cache={folder!r})
again.set_as_default()
@task
def make(n):
    return np.arange(n) ** 2
@task(name="<b>fit</b>")
def fit(data, rate=1):
    # see <img src=x onerror=alert(1)>
    return int(data.sum()) * {factor}
made = make(20)
fitted = fit(made)
again.run(fitted)
again
"""


def check_what_was_reused_and_what_has_changed(notebook: Notebook, *cells: int) -> None:
    """Results of earlier runs: which they are, what has changed, and how they look."""
    page = notebook.page
    show(notebook, *cells)
    view = page.locator(".rain").last
    view.scroll_into_view_if_needed()
    nodes = view.locator(".rain-node")
    nodes.filter(has_text="make").click()
    expect(view).to_contain_text("reused: made on 20")
    shot(page, "reuse-made")
    nodes.filter(has_text="<b>fit</b>").click()
    expect(view).to_contain_text("recomputed because line 12 of fit")
    expect(view).to_contain_text("* '<script>' and 3, before: return int(data.sum()) * 2)")
    shot(page, "reuse-fit")
    nodes.filter(has_text="result").first.click()
    expect(view).to_contain_text("int64")
    shot(page, "reuse-value")
    view.get_by_role("tab", name="table").click()
    expect(view.locator(".rain-task-row", has_text="make")).to_contain_text("✓ reused")
    shot(page, "reuse-table")
    assert page.locator("b", has_text=re.compile("^fit$")).count() == 0


LOSES = """
from rain import Session, tasks
from rain.notebook import widget_of
session = Session(None, 99, "lost")
with session.bind_only():
    tasks.Concat([], name="first")
widget = widget_of(session)
lost = []

def say(content, buffers=None, kept=widget.send):
    if content["type"] == "reply" and len(lost) < 2:
        lost.append(content)
    else:
        kept(content, buffers)

widget.send = say
session
"""


def check_what_has_no_answer_is_asked_again(notebook: Notebook, cell: int, count: int) -> None:
    """Answers get lost between kernel and page: Jupyter's server drops them while a cell writes very much."""
    notebook.run(cell)
    notebook.wait_done(cell)
    view = notebook.page.locator(".jp-CodeCell").nth(cell).locator(VIEW)
    expect(view.locator(".rain-node", has_text="first")).to_be_visible()
    notebook.run(count)
    notebook.wait_done(count)
    assert notebook.outputs(count)[0]["data"]["text/plain"] == "2"
