"""The live graph in JupyterLab: colours while cells run, clicks, tabs, themes, what stays behind.

To start a kernel and a cluster costs more than to look at what they show: one notebook serves several checks.
"""

from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from tests.browser.expecting import expect
from tests.browser.lab import LOOK_MS, Lab, Notebook
from tests.browser.test_legible import set_theme

VIEW = "[data-ready=true] .rain-session"
OURS, HTML, PDF, TEXT = "application/vnd.rain.view+json", "text/html", "application/pdf", "text/plain"
PICTURE = re.compile(r'src="data:image/svg\+xml;base64,([^"]+)"')

WAITS = """
@remote()
def waits(ctx, path, answer=b"done"):
    print("waiting for", os.path.basename(path), flush=True)
    while not os.path.exists(path):
        time.sleep(0.01)
    return answer
"""
CONNECT = (
    """
import os, time
from rain import Client, Input, Output, Program, blob, directory, pickled, remote, tasks
client = Client.local(cpus=2)
session = client.new_session("shown")
session.set_as_default()
"""
    + WAITS
)


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
            const data = saved.find((output) => output.data?.['text/html'])?.data;
            return data && !data['application/vnd.rain.view+json'];
        }""",
        arg=cell,
        polling=LOOK_MS,
    )
    (bundle,) = [output["data"] for output in notebook.outputs(cell) if HTML in output.get("data", {})]
    assert set(bundle) == {HTML, PDF, TEXT}
    found = PICTURE.search("".join(bundle[HTML]))
    assert found is not None
    svg = base64.b64decode(found[1]).decode()
    ElementTree.fromstring(svg)
    assert base64.b64decode("".join(bundle[PDF])).startswith(b"%PDF-")
    return svg


def test_tasks_while_cells_run(lab: Lab, tmp_path: Path) -> None:
    """Colours change, a click is answered, tasks are cancelled and tell how far they are, two views stand in a row."""
    first, second, go, never, fitted = (tmp_path / name for name in ("first", "second", "go", "never", "go on"))
    cells = [
        CONNECT,
        "session",
        f"a = waits({str(first)!r}, name='one')\nb = waits({str(second)!r}, name='two')\nc = tasks.Concat([a, b])\n"
        "c.output.keep()\nsession.submit()\nsession.wait_all()\nprint('over')",
        f"task = waits({str(go)!r}, name='clicked')\nsession.submit()\nsession.wait_all()\nprint('over')",
        f"task = waits({str(never)!r}, name='unwanted')\nsession.submit()\n"
        "print(session.wait_all(raise_on_failure=False))",
        FITS + f"fits({str(fitted)!r}); session.submit()",
        "session.close()",
        "session = client.new_session('shown twice', default=True)\nwaits('/', name='root')\nsession.submit()\n"
        "session.wait_all()",
        ROW,
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
        check_a_click_is_answered(notebook, 3, go)
        check_a_running_task_is_cancelled_from_its_details(notebook, 4)
        check_a_bar_and_a_thumbnail_live(notebook, 5, fitted)
        notebook.run(6)
        svg = frozen(notebook, 1)
        assert "one" in svg
        assert "finished" in svg
        check_a_row_of_widgets_outlives_the_session(notebook, 7, 8, 9)
        assert notebook.problems == []


def check_a_click_is_answered(notebook: Notebook, cell: int, go: Path) -> None:
    notebook.run(cell)
    expect(node(notebook, "clicked")).to_have_attribute("data-s", "running")
    node(notebook, "clicked").click()
    details = notebook.page.locator(f"{VIEW} .rain-details")
    expect(details).to_contain_text("def waits(ctx, path")
    expect(details).to_contain_text("Cell In[")
    expect(details).to_contain_text("waiting for go")  # what it has printed so far
    assert "over" not in str(notebook.outputs(cell))
    go.touch()
    notebook.wait_done(cell)


# About once in twenty times a kernel of ipykernel 7.3 says that it is idle and does not begin the cell that was sent.
# Why is not known; newer ones were never seen to.
@pytest.mark.soak
def test_a_click_is_answered_by_an_older_kernel(lab: Lab, tmp_path: Path) -> None:
    go = tmp_path / "go"
    cells = [
        CONNECT,
        "session",
        "import ipykernel; print('version', ipykernel.__version__)",
        f"task = waits({str(go)!r}, name='clicked')\nsession.submit()\nsession.wait_all()\nprint('over')",
    ]
    lab.need_kernel("ipykernel-7.3")
    with lab.open(cells, kernel="ipykernel-7.3") as notebook:
        show(notebook, 0, 1)
        notebook.run(2)
        notebook.wait_text(2, "version 7.3")
        check_a_click_is_answered(notebook, 3, go)
        assert notebook.problems == []


def check_a_running_task_is_cancelled_from_its_details(notebook: Notebook, cell: int) -> None:
    notebook.run(cell)
    expect(node(notebook, "unwanted")).to_have_attribute("data-s", "running")
    details = notebook.page.locator(f"{VIEW} .rain-details")
    details.get_by_title(re.compile("^close")).click()  # it may lie above the next node
    node(notebook, "unwanted").click()
    details.get_by_role("button", name=re.compile("cancel", re.I)).click()
    expect(node(notebook, "unwanted")).to_have_attribute("data-s", "cancelled")
    notebook.wait_done(cell)


FITS = """
@remote(outputs=0)
def fits(ctx, path):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3, 3))
    figure.subplots().plot([3, 1, 2])
    ctx.progress(300, 1200, "loss <b>0.1</b>")
    ctx.show(figure, "so far")
    while not os.path.exists(path):
        time.sleep(0.01)
    ctx.progress(900, 1200)
    while not os.path.exists(path + "2"):
        time.sleep(0.01)
"""


def check_a_bar_and_a_thumbnail_live(notebook: Notebook, cell: int, path: Path) -> None:
    """What a running task says of itself, in its node and in its details; gone when it ends."""
    details = notebook.page.locator(f"{VIEW} .rain-details")
    details.get_by_title(re.compile("^close")).click()  # it may lie above the next node
    notebook.run(cell)
    notebook.wait_done(cell)
    task = node(notebook, "fits")
    bar, track = task.locator(".rain-done"), task.locator(".rain-track")
    expect(bar).to_be_visible()
    share = "(bar) => bar.width.baseVal.value / bar.previousElementSibling.width.baseVal.value"
    assert round(bar.evaluate(share), 2) == 0.25
    expect(task.locator(".rain-thumb image")).to_be_visible()
    expect(task).to_have_attribute("aria-label", re.compile("300 of 1,200 · loss <b>0.1</b>"))
    task.click()
    expect(details.get_by_role("progressbar", name="progress")).to_have_attribute("value", "0.25")
    expect(details).to_contain_text("300 of 1,200 · loss <b>0.1</b>")
    expect(details).to_contain_text("matplotlib.figure.Figure")
    picture = details.get_by_role("img", name="so far")
    expect(picture).to_be_visible()
    assert picture.evaluate("(image) => image.naturalWidth") == 320
    path.touch()
    expect(details).to_contain_text("900 of 1,200")
    assert round(bar.evaluate(share), 2) == 0.75
    path.with_name(path.name + "2").touch()
    expect(track).to_have_count(0)
    expect(task.locator(".rain-thumb")).to_have_count(0)
    expect(details.get_by_role("progressbar")).to_have_count(0)


ROW = """
import ipywidgets
from rain.notebook import widget_of
ipywidgets.HBox([widget_of(session), ipywidgets.Button(description='x'), widget_of(session)])
"""


def check_a_row_of_widgets_outlives_the_session(notebook: Notebook, start: int, row: int, close: int) -> None:
    notebook.run(start)
    notebook.wait_done(start)
    show(notebook, row)
    expect(notebook.page.locator(f"{VIEW} .rain-node")).to_have_count(2)
    for view in notebook.page.locator(VIEW).all():
        box = view.bounding_box()
        assert box is not None
        assert box["width"] > 300
    notebook.run(close)
    notebook.wait_done(close)
    expect(notebook.page.locator(VIEW, has_text="closed")).to_have_count(2)


FAILS = """
@remote(auto_load=True, auto_encode="json")
def inverse(ctx, x):
    print("inverting", x)
    return 1 / x

bad = inverse(0, name="sums/inverse")
after = inverse(bad, name="sums/after")
good = inverse(4, name="sums/good")
session.keep_all()
session.submit()
session.wait_all(raise_on_failure=False)
"""


CORRECTED = """
@remote(auto_load=True, auto_encode="json")
def inverse(ctx, x):
    return 1 / (x or 1)
"""


def test_a_failure_in_every_tab_by_keys_in_the_dark_and_retried(lab: Lab) -> None:
    with lab.open([CONNECT, "session", FAILS, CORRECTED, "print(session.run(after))"]) as notebook:
        show(notebook, 0, 1)
        notebook.run(2)
        notebook.wait_done(2)
        expect(node(notebook, "inverse")).to_have_attribute("data-s", "failed")
        expect(node(notebook, "after")).to_have_attribute("data-s", "not run")
        expect(notebook.page.locator(f"{VIEW} .rain-chips")).to_contain_text("1 not run")
        expect(node(notebook, "good")).to_have_attribute("data-s", "finished")
        check_keys_move_through_the_graph(notebook)
        check_every_tab_shows_the_same_session(notebook)
        check_a_dark_page(notebook)
        check_a_failed_node_tells_its_reason(notebook)
        notebook.run(3)
        notebook.wait_done(3)
        notebook.page.locator(f"{VIEW} .rain-header").get_by_role("button", name=re.compile("retry", re.I)).click()
        expect(node(notebook, "after")).to_have_attribute("data-s", "finished")
        notebook.run(4)
        notebook.wait_text(4, "1.0")
        assert notebook.problems == []


def check_a_failed_node_tells_its_reason(notebook: Notebook) -> None:
    node(notebook, "inverse").hover()
    expect(notebook.page.locator(".rain-tooltip")).to_contain_text("ZeroDivisionError")
    node(notebook, "after").click()
    cause = notebook.page.locator(f"{VIEW} .rain-cause")
    expect(cause).to_have_text(re.compile("not run because of.*inverse.*which failed"))
    cause.get_by_role("button").click()
    node(notebook, "inverse").click()
    details = notebook.page.locator(f"{VIEW} .rain-details")
    expect(details).to_contain_text("return 1 / x")
    expect(details).to_contain_text("inverting 0")  # its stdout
    expect(details).to_contain_text("session.retry()")
    check_code_is_linked_and_copied(notebook, details)


def check_code_is_linked_and_copied(notebook: Notebook, details: Any) -> None:
    """Lines of a traceback lead to their cells; texts can be copied."""
    page = notebook.page
    error = details.locator(".rain-copied", has_text="ZeroDivisionError")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    error.get_by_role("button", name="Copy").click()
    expect(error.get_by_role("button", name="Copied")).to_be_visible()
    copied = page.evaluate("() => navigator.clipboard.readText()")
    assert "return 1 / x" in copied
    assert "Cell In[3], line" in copied
    error.get_by_role("button", name=re.compile(r"Cell In\[3\], line \d")).first.click()
    page.wait_for_function(  # the line is in sight, and shines for a while
        """() => document.getAnimations().some(({ effect }) => {
            const box = effect?.target?.closest('.cm-line')?.getBoundingClientRect();
            const seen = box && box.top >= 0 && box.bottom <= innerHeight;
            return seen && effect.target.textContent.includes('return 1 / x');
        })""",
        polling=LOOK_MS,
    )


def check_every_tab_shows_the_same_session(notebook: Notebook) -> None:
    page = notebook.page
    page.locator(f"{VIEW} .rain-tab", has_text="table").click()
    expect(page.locator(f"{VIEW} .rain-table")).to_contain_text("sums/good")
    expect(page.locator(f"{VIEW} .rain-table")).to_contain_text("ZeroDivisionError")
    check_columns_are_filtered(page.locator(f"{VIEW} .rain-table"))
    page.locator(f"{VIEW} .rain-table").get_by_text("sums/good").click()
    details = page.locator(f"{VIEW} .rain-details")
    expect(details).to_contain_text("sums/good")
    details.get_by_title(re.compile("^close")).click()
    page.locator(f"{VIEW} .rain-tab", has_text="timeline").click()
    expect(page.locator(f"{VIEW} .rain-timeline canvas").first).to_be_visible()
    expect(page.locator(f"{VIEW} .rain-timeline")).to_contain_text("this host")
    expect(page.locator(f"{VIEW} .rain-functions")).to_contain_text("inverse")
    page.locator(f"{VIEW} .rain-tab", has_text="governors").click()
    expect(page.locator(f"{VIEW} .rain-governors")).to_contain_text("127.0.0.1")
    expect(page.locator(f"{VIEW} .rain-governors")).to_contain_text("cpu")
    page.locator(f"{VIEW} .rain-tab", has_text="graph").click()
    expect(node(notebook, "good")).to_be_visible()
    legend = page.locator(f"{VIEW} .rain-legend")
    for word in ("task", "finished", "failed", "not run"):
        expect(legend).to_contain_text(word)
    assert "running" not in legend.inner_text(), "only what occurs"


def check_columns_are_filtered(table: Any) -> None:
    """Each column has a filter of its own; how long the listed tasks took is drawn."""
    count, rows = table.get_by_role("status"), table.locator(".rain-item:not([hidden])")
    whole, listed = count.inner_text(), rows.count()
    durations = table.get_by_role("img", name=re.compile("^Durations. .* task"))
    expect(durations).to_be_visible()
    table.get_by_role("button", name="Filter columns").click()
    table.get_by_label("Filter error").fill("ZeroDiv")
    expect(rows).to_have_count(1)
    expect(count).to_contain_text("1 of ")
    expect(table.get_by_role("img", name=re.compile("^Durations"))).to_have_count(0)
    table.get_by_label("Filter duration").fill("> 1 h")
    expect(table).to_contain_text("No task matches.")
    table.get_by_label("Filter duration").fill("(")
    expect(table.get_by_role("alert")).to_contain_text("(")
    table.get_by_role("button", name="Filter columns").click()
    expect(count).to_have_text(whole)
    expect(rows).to_have_count(listed)  # rows below these move until then, also under the pointer
    expect(durations).to_be_visible()


REACH = """
import os, time
from rain import Client, blob, remote, tasks
client = Client({address!r}, connection_file={file!r})
"""

OWN = """
session = client.new_session("shown", default=True)
session.echo = True
"""

LONG = """
kept = client.new_session("kept", persistent=True, default=True)
task = waits({path!r}, name="long")
task.keep_outputs()
kept.submit()
"""


def test_a_kernel_until_it_is_restarted_and_what_outlives_it(lab: Lab, tmp_path: Path) -> None:
    from rain.client.local_cluster import LocalCluster

    printed, stopped, long = (tmp_path / name for name in ("printed", "stopped", "long"))
    with LocalCluster(cpus=2) as cluster:
        reach = REACH.format(address=cluster.address, file=cluster.connection_file)
        cells = [
            "%load_ext rain.notebook\n" + reach + WAITS + OWN,
            f"first = waits({str(printed)!r}, name='first')\nsession.submit()",
            f"second = waits({str(printed)!r}, name='second')\nsession.submit()\n"
            f"open({str(printed)!r}, 'w').close()\nsession.wait_all()",
            f"task = waits({str(stopped)!r})\ntask.keep_outputs()\nsession.submit()\nprint('now')\nsession.wait_all()",
            f"open({str(stopped)!r}, 'w').close()\nprint(task.output.fetch().get_bytes())",
            "with client.new_session('brief') as brief:\n    display(brief)\n    brief.run(tasks.Concat([]))",
            "done = tasks.Concat([blob('a')], name='joined')\nsession.submit()\nsession.wait_all()\nsession",
            WAITS + LONG.format(path=str(long)),
            reach,
            "session = client.attach('kept')\nsession",
            "print(session.find('long').output.fetch().get_bytes())",
            "session.close()",
        ]
        with lab.open(cells) as notebook:
            notebook.run(0)
            notebook.wait_done(0)
            check_what_tasks_print_goes_to_the_cell_that_made_them(notebook, 1, 2)
            check_the_stop_button_leaves_the_session_usable(notebook, 3, 4)
            check_a_session_that_is_displayed_and_closed_by_one_cell(notebook, 5)
            show(notebook, 6, 7)
            check_an_orderly_restart_leaves_the_final_picture(notebook, 6)
            show(notebook, 8, 9)
            expect(node(notebook, "long")).to_have_attribute("data-s", "running")  # persistent
            long.touch()
            expect(node(notebook, "long")).to_have_attribute("data-s", "finished")
            notebook.run(10)
            notebook.wait_text(10, "b'done'")
            notebook.run(11)
            assert "long" in frozen(notebook, 9)
            assert notebook.problems == []


def check_what_tasks_print_goes_to_the_cell_that_made_them(notebook: Notebook, first: int, second: int) -> None:
    notebook.run(first)
    notebook.wait_done(first)
    notebook.wait_text(first, "waiting for printed")
    notebook.run(second)
    notebook.wait_done(second)
    notebook.wait_text(second, "waiting for printed")
    assert str(notebook.outputs(first)).count("waiting for") == 1
    assert str(notebook.outputs(second)).count("waiting for") == 1


def check_the_stop_button_leaves_the_session_usable(notebook: Notebook, waiting: int, after: int) -> None:
    notebook.run(waiting)
    notebook.wait_text(waiting, "now")
    notebook.interrupt()
    notebook.wait_text(waiting, "KeyboardInterrupt")
    notebook.wait_done(waiting, failed=True)  # what is sent before is given up with the cell that was interrupted
    notebook.run(after)
    notebook.wait_text(after, "b'done'")


def check_a_session_that_is_displayed_and_closed_by_one_cell(notebook: Notebook, cell: int) -> None:
    notebook.run(cell)
    notebook.wait_done(cell)
    assert "brief" in frozen(notebook, cell)
    expect(picture(notebook, cell)).to_be_visible()


def check_an_orderly_restart_leaves_the_final_picture(notebook: Notebook, cell: int) -> None:
    expect(node(notebook, "joined")).to_have_attribute("data-s", "finished")
    notebook.wait_picture("joined")
    notebook.restart_kernel()
    assert "joined" in frozen(notebook, cell)
    assert OURS not in str(notebook.save().cells)
    expect(picture(notebook, cell)).to_be_visible()


def picture(notebook: Notebook, cell: int) -> Any:
    """The image in a cell's outputs."""
    return notebook.page.locator(".jp-CodeCell").nth(cell).locator(".jp-RenderedHTMLCommon img")


def check_keys_move_through_the_graph(notebook: Notebook) -> None:
    page = notebook.page
    page.locator(f"{VIEW} .rain-search input, {VIEW} input[type=search]").first.fill("good")
    expect(page.locator(f"{VIEW} .rain-node.rain-lit").first).to_be_visible()
    page.locator(f"{VIEW} .rain-search input, {VIEW} input[type=search]").first.fill("(")
    expect(page.locator(VIEW)).to_contain_text("not a regular expression")
    page.locator(f"{VIEW} .rain-search input, {VIEW} input[type=search]").first.fill("")
    node(notebook, "good").focus()
    page.keyboard.press("Enter")
    expect(page.locator(f"{VIEW} .rain-details")).to_contain_text("sums/good")
    page.keyboard.press("Escape")
    expect(page.locator(f"{VIEW} .rain-details")).to_be_hidden()


def check_a_dark_page(notebook: Notebook) -> None:
    light = ground(notebook)
    set_theme(notebook, "Dark", False)
    try:
        assert ground(notebook) != light
    finally:
        set_theme(notebook, "Light", True)


def ground(notebook: Notebook) -> str:
    """The background of the view."""
    colour: str = notebook.page.evaluate(
        "(view) => getComputedStyle(document.querySelector(view)).backgroundColor", VIEW
    )
    return colour
