"""What can be read of graphs in JupyterLab: sizes of letters, texts over each other, room that is used."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import Locator

from tests.browser.expecting import expect
from tests.browser.lab import LOOK_MS, Lab, Notebook

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


def test_graphs_can_be_read_at_first_sight_in_both_themes(lab: Lab) -> None:
    shown = ["chain, 5", "chain, 12", "validation, 3, 1", "validation, 12, 3"]
    cells = [START, MIXED, *[f"shown({name.partition(',')[0]!r}, {name})" for name in shown]]
    with lab.open(cells) as notebook:
        notebook.run(0)
        notebook.wait_done(0)
        view = show(notebook, 1)
        settled(notebook, view)
        check_details_do_not_move_the_graph(notebook, view)
        check_another_tab_leaves_it_too(notebook, view)
        check_buttons_have_one_case(view)
        check_contrast_in_both_themes(notebook, view)
        check_forced_colours(notebook, view)
        for cell, name in enumerate(shown, 2):
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


# Texts whose contrast with what is behind them is too small, as the Web Content Accessibility Guidelines compute it;
# controls that cannot be used are not counted there either. A <canvas> is not looked into.
CONTRAST = """(view) => {
    const parse = (text) => {
        const numbers = (text.match(/-?[\\d.]+(e-?\\d+)?/g) ?? []).map(Number);
        const scale = text.startsWith('color(') ? 255 : 1;
        const [r, g, b, a = 1] = numbers;
        return [r * scale, g * scale, b * scale, a];
    };
    const over = ([r, g, b, a], [x, y, z]) => [r * a + x * (1 - a), g * a + y * (1 - a), b * a + z * (1 - a), 1];
    const luminance = (colour) => {
        const linear = (c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        const [r, g, b] = colour.slice(0, 3).map((c) => linear(c / 255));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = (element) => {
        const layers = [];
        for (let at = element; at; at = at.parentElement) {
            const colour = parse(getComputedStyle(at).backgroundColor);
            if (colour[3] > 0) layers.push(colour);
            if (colour[3] === 1) break;
        }
        return layers.reduceRight((below, colour) => over(colour, below), [255, 255, 255, 1]);
    };
    const shape = (element) => {
        const svg = ground(element.closest('svg').parentElement);
        const node = element.closest('.rain-node');
        return node ? over(parse(getComputedStyle([...node.querySelectorAll('.rain-shape')].at(-1)).fill), svg) : svg;
    };
    const faint = [];
    let seen = 0;
    const walker = document.createTreeWalker(view, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const text = walker.currentNode.data.trim();
        const element = walker.currentNode.parentElement;
        const unseen = element.closest(':disabled, .rain-hidden, .rain-live-region, title');
        if (!text || unseen || !element.getClientRects().length) continue;
        const style = getComputedStyle(element);
        if (style.visibility === 'hidden') continue;
        const svg = element.closest('svg');
        const behind = svg ? shape(element) : ground(element);
        const [one, other] = [luminance(over(parse(svg ? style.fill : style.color), behind)), luminance(behind)];
        const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
        seen += 1;
        const kind = element.className.baseVal ?? element.className;
        if (ratio < 4.5) faint.push(`${text.slice(0, 30)} ${ratio.toFixed(2)} .${kind}`);
    }
    return { seen, faint };
}"""

MIXED = """
@remote(auto_load=True, auto_encode="json")
def fails(ctx, x):
    raise ValueError("no good")

def mixed():
    bad = fails(1, name="bad")
    fit(bad, name="after").keep_outputs()
    fit(load(pickled([1], label="rows")), name="fine").keep_outputs()
    for number in range(30):
        load(number)

session = client.new_session("mixed")
with session.bind_only():
    mixed()
session.submit()
session.wait_all(raise_on_failure=False)
with session.bind_only():
    load(0, name="not submitted")
session
"""


def set_theme(notebook: Notebook, name: str, light: bool) -> None:
    notebook.page.evaluate(
        "(name) => window.jupyterapp.commands.execute('apputils:change-theme', { theme: name })", f"JupyterLab {name}"
    )
    notebook.page.wait_for_function(
        """(light) => {
            const views = [...document.querySelectorAll('.rain')];
            // JupyterLab 4.6 takes its splash away for each change of the theme, and fails if two come within 200 ms.
            return document.body.dataset.jpThemeLight === String(light)
                && !document.getElementById('jupyterlab-splash')
                && views.every((view) => view.classList.contains('rain-dark') !== light);
        }""",
        arg=light,
        polling=LOOK_MS,
    )


def check_contrast_in_both_themes(notebook: Notebook, view: Locator) -> None:
    faint = {}
    try:
        for name, light in (("Light", True), ("Dark", False)):
            set_theme(notebook, name, light)
            for tab in ("graph", "timeline", "table", "governors"):
                view.locator(".rain-tab", has_text=tab).click()
                found = view.evaluate(CONTRAST)
                assert found["seen"] > 25
                faint |= {(name, tab): found["faint"]} if found["faint"] else {}
    finally:
        set_theme(notebook, "Light", True)
    assert faint == {}, faint


def check_details_do_not_move_the_graph(notebook: Notebook, view: Locator) -> None:
    node = view.locator(".rain-task", has_text="bad")
    node.hover()
    expect(view.locator(".rain-tooltip")).to_be_visible()
    world = view.locator(".rain-world")
    before = world.get_attribute("transform")
    node.click()
    expect(view.locator(".rain-details")).to_contain_text("no good")
    expect(view.locator(".rain-tooltip")).to_be_hidden()
    settled(notebook, view)
    assert world.get_attribute("transform") == before


def check_another_tab_leaves_it_too(notebook: Notebook, view: Locator) -> None:
    before = view.locator(".rain-world").get_attribute("transform")
    for tab in ("table", "graph"):
        view.locator(".rain-tab", has_text=tab).click()
        settled(notebook, view)
    assert view.locator(".rain-world").get_attribute("transform") == before


def check_buttons_have_one_case(view: Locator) -> None:
    texts = view.evaluate("(view) => [...view.querySelectorAll('.rain-button')].map((one) => one.textContent.trim())")
    assert len(texts) > 8
    small = [text for text in texts if re.search("[a-z]", text) and not re.match("[^A-Za-z]*[A-Z]", text)]
    assert small == [], small


def check_forced_colours(notebook: Notebook, view: Locator) -> None:
    notebook.page.emulate_media(forced_colors="active")
    try:
        view.locator(".rain-tab", has_text="graph").click()
        looks = """(view) => [...view.querySelectorAll('.rain-shape')].map((one) => {
            const { fill, stroke } = getComputedStyle(one);
            return fill === stroke;
        })"""
        found = view.evaluate(looks)
        assert found
        assert not any(found), "lines are seen on what they are drawn on"
        line = "(tab) => getComputedStyle(tab).borderBottomColor"
        lines = [tab.evaluate(line) for tab in view.locator(".rain-tab").all()]
        assert lines.count(lines[0]) == 1, "the tab in front differs from the others"
    finally:
        notebook.page.emulate_media(forced_colors="none")
