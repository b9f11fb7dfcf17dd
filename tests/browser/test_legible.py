"""What can be read of graphs in JupyterLab: sizes of letters, texts over each other, room that is used."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import Locator, expect

from tests.browser.lab import Lab, Notebook

VIEW = "[data-ready=true] .rain-session"
LETTERS_PX_MIN = 9

START = """
from rain import Client, pickled, remote
client = Client.local(cpus=2)

@remote(auto_load=True, auto_encode="json")
def load(ctx, x):
    return 1

@remote(auto_load=True, outputs=["train", "test"], auto_encode="json")
def split(ctx, x):
    return {"train": 1, "test": 2}

@remote(auto_load=True, auto_encode="json")
def fit(ctx, *x):
    return 1

@remote(auto_load=True, auto_encode="json")
def score(ctx, model, rows):
    return 1

def chain(length):
    last = load(0, name="begin")
    for step in range(1, length):
        last = fit(last, name=f"step {step}")
    last.keep_outputs()

def validation(folds, fits):
    table = pickled([1, 2], label="table")
    for number in range(folds):
        parts = split(table, name=f"fold{number}/split")
        for _ in range(fits):
            model = fit(parts.outputs["train"], name=f"fold{number}/fit")
            score(model, parts.outputs["test"], name=f"fold{number}/score")

def shown(name, declare, *arguments):
    session = client.new_session(name)
    with session.bind_only():
        declare(*arguments)
    session.submit()
    session.wait_all()
    return session
"""

# Letters that are drawn smaller than they may be; texts over each other; the part of the canvas that is used.
MEASURE = """(view) => {
    const svg = view.querySelector('.rain-svg');
    const scale = svg.querySelector('.rain-world').getCTM().a;
    const drawn = (text) => text.getClientRects().length && text.textContent.trim();
    const texts = [...svg.querySelectorAll('text')].filter(drawn);
    const sizes = texts.map((text) => parseFloat(getComputedStyle(text).fontSize) * scale);
    const boxes = texts.map((text) => text.getBoundingClientRect());
    const over = [];
    boxes.forEach((a, i) => boxes.slice(0, i).forEach((b, j) => {
        const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
        const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
        if (wide > 2 && high > 4) over.push([texts[i].textContent, texts[j].textContent]);
    }));
    const canvas = view.querySelector('.rain-canvas').getBoundingClientRect();
    const world = svg.querySelector('.rain-world').getBoundingClientRect();
    const nodes = [...svg.querySelectorAll('.rain-node')].map((node) => node.getBoundingClientRect());
    return {
        smallest: Math.min(...sizes), over, texts: texts.length,
        used: world.width * world.height / (canvas.width * canvas.height),
        beyond: nodes.filter((node) => node.left < canvas.left || node.right > canvas.right + 1).length,
    };
}"""


def show(notebook: Notebook, cell: int) -> Locator:
    notebook.run(cell)
    notebook.wait_done(cell)
    view = notebook.page.locator(".jp-CodeCell").nth(cell).locator(VIEW)
    view.wait_for()
    return view


def settled(notebook: Notebook, view: Locator) -> dict[str, Any]:
    """What is measured once nothing moves any more."""
    world = view.locator(".rain-world").element_handle()
    assert world is not None
    notebook.page.evaluate(
        """async (world) => {
            const frame = () => new Promise(requestAnimationFrame);
            for (let before = '', same = 0; same < 5; ) {
                await frame();
                const now = world.getAttribute('transform') + world.querySelectorAll('.rain-node').length;
                same = now === before ? same + 1 : 0;
                before = now;
            }
        }""",
        world,
    )
    found: dict[str, Any] = view.evaluate(MEASURE)
    return found


def test_graphs_can_be_read_at_first_sight(lab: Lab) -> None:
    shown = ["chain, 5", "chain, 12", "validation, 3, 1", "validation, 12, 3"]
    cells = [START, *[f"shown({name.partition(',')[0]!r}, {name})" for name in shown]]
    with lab.open(cells) as notebook:
        notebook.run(0)
        notebook.wait_done(0)
        for cell, name in enumerate(shown, 1):
            view = show(notebook, cell)
            found = settled(notebook, view)
            assert found["smallest"] >= LETTERS_PX_MIN, (name, found)
            assert found["over"] == [], (name, found)
            assert found["used"] > 0.1, (name, found)
            assert found["beyond"] == 0, (name, found)
        check_a_series_opens_one_group_at_a_time(notebook, view)
        check_letters_hide_when_they_are_too_small(notebook, view)
        assert notebook.problems == []


def check_a_series_opens_one_group_at_a_time(notebook: Notebook, view: Locator) -> None:
    group = view.locator(".rain-group")
    expect(group).to_have_count(1)
    expect(group).to_contain_text("fold \u00d7 12")
    group.locator(".rain-toggle").click()
    expect(group).to_have_count(12)
    group.filter(has_text=re.compile("fold7")).locator(".rain-toggle").click()
    expect(view.locator(".rain-frame", has_text="fold7")).to_be_visible()
    expect(group).to_have_count(11)
    found = settled(notebook, view)
    assert found["smallest"] >= LETTERS_PX_MIN, found
    assert found["over"] == [], found
    # The frame that was opened is in sight, and closing it shows all again.
    canvas, frame = view.locator(".rain-canvas").bounding_box(), view.locator(".rain-frame rect").last.bounding_box()
    assert canvas is not None
    assert frame is not None
    assert canvas["y"] - 1 <= frame["y"]
    assert frame["y"] + min(frame["height"], canvas["height"]) <= canvas["y"] + canvas["height"] + 1
    view.get_by_title("zoom in (+)", exact=True).click()
    view.get_by_role("button", name="close group fold", exact=False).first.dispatch_event("click")
    expect(group).to_have_count(1)
    assert settled(notebook, view)["beyond"] == 0, "it was zoomed, and is fitted anew"


def check_letters_hide_when_they_are_too_small(notebook: Notebook, view: Locator) -> None:
    for _ in range(6):
        view.get_by_title("zoom out (-)", exact=True).click()
    found = settled(notebook, view)
    assert found["texts"] == 0 or found["smallest"] >= LETTERS_PX_MIN, found
