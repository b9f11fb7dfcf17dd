"""Pictures of each view of the notebook part, taken in a real JupyterLab: ``docs/images/``.

Needs Chromium and what `make test` installs. Usage: ``python tools/screenshots.py [folder]``.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from playwright.sync_api import Locator, Page, expect  # noqa: E402

from tests.browser import test_places  # noqa: E402
from tests.browser.lab import Lab, Notebook  # noqa: E402

VIEW = "[data-ready=true] .rain-session"

CONNECT = "%load_ext rain.notebook\n%rain_connect --local 2 --session iris"

WORK = """
import time
from pathlib import Path
from rain import Input, Program, get_active_session, pickled, remote
from sklearn.datasets import load_iris

@remote(auto_load=True, outputs=["train", "test"], auto_encode="pickle")
def split(ctx, table, fold):
    ctx.debug("fold {} of 3", fold)
    return {"train": table[table.index % 3 != fold], "test": table[table.index % 3 == fold]}

@remote(auto_load=True, auto_encode="pickle")
def fit(ctx, table):
    print(len(table), "flowers")
    time.sleep(0.4)
    means = table.groupby("target").mean()
    return means

@remote(auto_load=True, auto_encode="json")
def score(ctx, means, table):
    nearest = ((table[means.columns].values[:, None] - means.values) ** 2).sum(2).argmin(1)
    accuracy = float((nearest == table["target"]).mean())
    assert accuracy > 0.9, f"only {accuracy:.1%} are right"
    return accuracy
session = get_active_session()
table = pickled(load_iris(as_frame=True).frame, label="iris")
parts = [split(table, fold, name=f"fold{fold}/split") for fold in range(3)]
means = [fit(part.outputs["train"], name=f"fold{fold}/fit") for fold, part in enumerate(parts)]
scores = [score(means[fold], parts[fold].outputs["test"], name=f"fold{fold}/score") for fold in range(3)]
best = Program(["sort", "-rn", Input("a"), Input("b"), Input("c")], stdout="scores")
ranking = best(a=scores[0], b=scores[1], c=scores[2], name="ranking")
ranking.keep_outputs()
for part in parts:
    part.outputs["train"].keep()
"""


MANY = """
from rain import get_active_session, remote

@remote(auto_encode="json", auto_load=True)
def draw(ctx, seed):
    return seed % 7

@remote(auto_encode="json", auto_load=True)
def add(ctx, *numbers):
    return sum(numbers)

session = get_active_session()
drawn = draw.map(range(3000))
sums = [add(*drawn[i : i + 30], name=f"sums/{i // 30}") for i in range(0, 3000, 30)]
add(*sums, name="total").keep_outputs()
"""


def main() -> int:
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images"
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="rain-pictures-") as folder:
        lab = Lab(Path(folder))
        try:
            graph(lab, target)
            report(lab, target)
            groups(lab, target)
            inspectors(lab, target)
            previews(lab, target)
            saved(lab, target)
            places(lab, target)
        finally:
            lab.close()
    return 0


def picture(page: Page, what: Locator, path: Path) -> None:
    """Save a picture of one element, with nothing hovered."""
    page.mouse.move(2, 2)
    what.scroll_into_view_if_needed()
    what.screenshot(path=path, animations="disabled")
    print(path)


@contextmanager
def dark(page: Page) -> Iterator[None]:
    """JupyterLab in its dark theme."""
    for name, light in (("Dark", "false"), ("Light", "true")):
        page.evaluate(
            "(theme) => window.jupyterapp.commands.execute('apputils:change-theme', {theme})", f"JupyterLab {name}"
        )
        page.wait_for_function("(light) => document.body.dataset.jpThemeLight === light", arg=light)
        if name == "Dark":
            yield


def run(notebook: Notebook, *cells: int) -> None:
    for cell in cells:
        notebook.run(cell)
        notebook.wait_done(cell)


def graph(lab: Lab, target: Path) -> None:
    """The graph while it runs, a failure's details, all tabs, dark, the client's card."""
    finish = "session.submit()\nsession.wait_all(raise_on_failure=False)"
    cells = [CONNECT, WORK, "session", finish, "session.client", "%rain_status"]
    with lab.open(cells) as notebook:
        page = notebook.page
        run(notebook, 0, 1, 2)
        page.wait_for_selector(VIEW)
        view = page.locator(VIEW)
        notebook.run(3)
        expect(view.locator(".rain-node.rain-task[data-s=running]").first).to_be_visible()
        picture(page, view, target / "running.png")
        notebook.wait_done(3)
        expect(view.locator(".rain-chip[data-s=running]")).to_have_count(0)
        picture(page, view, target / "graph.png")
        failed = view.locator(".rain-node.rain-task[data-s=failed]").first
        if failed.count():
            failed.click()
        else:
            view.locator(".rain-node.rain-task", has_text="score").first.click()
        expect(view.locator(".rain-details")).to_contain_text("Cell In[")
        picture(page, view, target / "details.png")
        view.locator(".rain-node.rain-object", has_text="train").first.click()
        expect(view.locator(".rain-details")).to_contain_text("sepal")
        picture(page, view, target / "object.png")
        for tab in ("timeline", "table", "governors"):
            view.locator(".rain-tab", has_text=tab).click()
            expect(view.locator(".rain-pane:not(.rain-hidden)")).to_contain_text(
                {"timeline": "this host", "table": "fold2/score", "governors": "127.0.0.1"}[tab]
            )
            page.wait_for_function(
                "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
            )
            picture(page, view, target / f"{tab}.png")
        view.locator(".rain-tab", has_text="graph").click()
        run(notebook, 4)
        card = page.locator(".rain-card").first
        card.scroll_into_view_if_needed()
        expect(card).to_contain_text("iris")
        picture(page, card, target / "card.png")
        with dark(page):
            picture(page, view, target / "dark.png")


def report(lab: Lab, target: Path) -> None:
    """The file of a report, in the middle of the session."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.html"
        finish = f"session.submit()\nsession.wait_all(raise_on_failure=False)\nsession.report({str(path)!r})"
        with lab.open([CONNECT, WORK, finish]) as notebook:
            run(notebook, 0, 1, 2)
        page = lab.browser.new_page(viewport={"width": 1200, "height": 800})
        page.goto(path.as_uri())
        page.wait_for_selector("[data-ready=true]")
        running = page.locator(".rain-chip[data-s=running]")
        for at in range(500, 1000, 10):  # a moment at which something runs
            page.get_by_role("slider").fill(str(at))
            if running.count():
                break
        expect(running).to_be_visible()
        picture(page, page.locator("body"), target / "report.png")
        page.emulate_media(color_scheme="dark")
        picture(page, page.locator("body"), target / "report-dark.png")
        page.close()


def groups(lab: Lab, target: Path) -> None:
    """Thousands of tasks, a group opened in place."""
    cells = [CONNECT, MANY, "session", "session.submit()\nsession.wait_all()"]
    with lab.open(cells) as notebook:
        page = notebook.page
        run(notebook, 0, 1, 2, 3)
        page.wait_for_selector(VIEW)
        view = page.locator(VIEW)
        expect(view.locator(".rain-chip[data-s=running]")).to_have_count(0)
        picture(page, view, target / "groups.png")
        view.locator(".rain-node.rain-group", has_text="draw").locator(".rain-toggle").click()
        expect(view.locator(".rain-node", has_text="draw 0-99").first).to_be_visible()
        picture(page, view, target / "opened.png")


def inspectors(lab: Lab, target: Path) -> None:
    """A table, a tree and a folder."""
    make = """
import pyarrow, tempfile
from pathlib import Path
from sklearn.datasets import load_iris
from rain import blob, directory, get_active_session
session = get_active_session()
frame = load_iris(as_frame=True).frame
table = blob(pyarrow.Table.from_pandas(frame), label="iris", encode="arrow")
tree = blob({"flowers": 150, "species": ["setosa", "versicolor", "virginica"], "measured": {"unit": "cm"}},
            label="about", encode="json")
folder = Path(tempfile.mkdtemp())
(folder / "notes").mkdir()
(folder / "notes" / "monday.txt").write_text("rain, then sun")
(folder / "iris.csv").write_text(frame.to_csv(index=False))
files = directory(folder, label="files")
session.submit()
"""
    cells = [CONNECT, make, "%rain_inspect table", "%rain_inspect tree", "%rain_inspect files"]
    with lab.open(cells) as notebook:
        page = notebook.page
        run(notebook, 0, 1, 2, 3, 4)
        found = page.locator(".rain-inspector")
        for index, (name, text) in enumerate((("table", "sepal length"), ("tree", "species"), ("folder", "iris.csv"))):
            expect(found.nth(index)).to_contain_text(text)
            picture(page, found.nth(index), target / f"inspect-{name}.png")


def previews(lab: Lab, target: Path) -> None:
    """What is shown of pickled values: an array and a figure."""
    make = """
from rain import get_active_session, remote

@remote(auto_encode="pickle")
def draws(ctx):
    import numpy
    return numpy.random.default_rng(1).normal(size=(400, 25))

@remote(auto_load=True, auto_encode="pickle")
def figure(ctx, values):
    from matplotlib.figure import Figure
    drawn = Figure(figsize=(5, 3), layout="constrained")
    drawn.subplots().hist(values.sum(axis=1), bins=30)
    return drawn

session = get_active_session()
array = draws()
drawn = figure(array)
array.output.keep()
drawn.output.keep()
session.submit()
session.wait_all()
"""
    with lab.open([CONNECT, make, "array.output", "drawn.output"]) as notebook:
        page = notebook.page
        run(notebook, 0, 1, 2, 3)
        found = page.locator(".rain-inspector")
        expect(found.nth(0)).to_contain_text("400")
        expect(found.nth(1).locator("img")).to_be_visible()
        for index, name in enumerate(("array", "figure")):
            picture(page, found.nth(index), target / f"preview-{name}.png")
        with dark(page):
            picture(page, found.nth(0), target / "preview-dark.png")


def saved(lab: Lab, target: Path) -> None:
    """What a notebook shows when its kernel has gone."""
    finish = "session.submit()\nsession.wait_all(raise_on_failure=False)"
    with lab.open([CONNECT, WORK, "session", finish]) as notebook:
        run(notebook, 0, 1, 2)
        notebook.page.wait_for_selector(VIEW)
        run(notebook, 3)
        notebook.wait_picture("failed")
        notebook.restart_kernel()
        figure = notebook.page.locator("figure", has_text="then the kernel was restarted")
        picture(notebook.page, figure, target / "saved.png")
        with dark(notebook.page):
            picture(notebook.page, figure, target / "saved-dark.png")


def places(lab: Lab, target: Path) -> None:
    """Places on an engine, one of which never came up."""
    go_on = "engine.runs(1, one, left_s=7260); engine.runs(2, other, left_s=4000)\n"
    go_on += "engine.ends(4, 'FAILED', '/usr/bin/python3: No module named rain')"
    leaves = "engine.patient = True; pool.give_up([1])"
    with lab.open([test_places.START, go_on, leaves]) as notebook:
        page = notebook.page
        run(notebook, 0, 1, 2)
        card = page.locator(".rain-card").first
        expect(test_places.place(card, 1)).to_contain_text("draining")
        expect(test_places.place(card, 4)).to_contain_text("never came up")
        picture(page, card, target / "places.png")


if __name__ == "__main__":
    sys.exit(main())
