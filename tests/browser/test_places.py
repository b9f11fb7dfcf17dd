"""Places on an engine in JupyterLab: boxes that change by themselves, and can be given up; a thousand are few lines."""

from __future__ import annotations

import re

from playwright.sync_api import Locator

from tests.browser.expecting import expect
from tests.browser.lab import ROOT, Lab, Notebook
from tests.browser.test_legible import CONTRAST, set_theme

START = f"""
import os, sys, tempfile
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp()  # pools of the same name count what earlier ones have used
sys.path.append({str(ROOT)!r})
from rain import Client
from rain.deploy.pools.choice import SUPPLIES
from tests.support.supplier import StandIn

engine = StandIn("slurm")
engine.resources = {{"cpus": 4.0, "gpus": 1.0}}
SUPPLIES["slurm"] = lambda: lambda server, token: engine
client = Client.local(cpus=4, governors=2)
one, other = [governor["governor_id"] for governor in client.get_server_info()["governors"]]
pool = client.pool("slurm", 4)
engine.waits(3, "Priority", "2027-11-27T20:05:00")
client
"""

GO_ON = """
engine.runs(1, one, left_s=7260)
engine.runs(2, other, left_s=95)
engine.ends(4, "FAILED", "<b>loading</b>\\nModuleNotFoundError: No module named 'rain'")
"""

WAITS = """
from rain import remote

@remote(resources={"gpus": 1})
def train(ctx):
    return b""

session = client.new_session("waits")
with session.bind_only():
    train(name="train")
session.submit()
session
"""


def place(card: Locator, number: int) -> Locator:
    return card.locator(f".rain-site[data-place='{number}']")


def test_places_live(lab: Lab) -> None:
    leaves = "engine.patient = True; pool.give_up([1]); engine.patient = False"
    with lab.open([START, GO_ON, leaves, "pool", "pool.scale(1000)", WAITS]) as notebook:
        notebook.run(0)
        notebook.wait_done(0)
        card = notebook.page.locator(".rain-card").first
        expect(place(card, 3)).to_contain_text("pending")
        expect(place(card, 3)).to_contain_text("Priority · expected on 27 Nov at 20:05")
        expect(card.locator(".rain-site")).to_have_count(4)
        notebook.run(1)
        check_boxes_follow(card)
        notebook.run(2)
        notebook.wait_done(1, 2)
        expect(place(card, 1)).to_contain_text("draining")
        check_colours(notebook, card)
        check_one_is_given_up_by_keyboard(notebook, card)
        check_scaling_asks_before_it_gives_up(card)
        notebook.run(3)
        notebook.wait_done(3)
        check_a_thousand(notebook)
        notebook.run(5)
        notebook.wait_done(5)
        check_a_task_says_for_which_place_it_waits(notebook)
        assert notebook.problems == []


def check_boxes_follow(card: Locator) -> None:
    expect(place(card, 1)).to_contain_text("up")
    expect(place(card, 1)).to_contain_text(re.compile(r"2 h 0 min left"))
    expect(place(card, 1)).to_contain_text("this host")
    expect(place(card, 1)).to_contain_text("of 4 cpus")
    expect(place(card, 2)).to_contain_text(re.compile(r"\d+ s left"))
    expect(place(card, 4)).to_contain_text("never came up")
    expect(place(card, 4)).to_contain_text("Rain is not installed in the Python that runs there")
    expect(place(card, 4).locator("pre")).to_have_text("<b>loading</b>\nModuleNotFoundError: No module named 'rain'")


def check_colours(notebook: Notebook, card: Locator) -> None:
    faint = {}
    try:
        for name, light in (("Light", True), ("Dark", False)):
            set_theme(notebook, name, light)
            found = card.evaluate(CONTRAST)
            assert found["seen"] > 25
            faint |= {name: found["faint"]} if found["faint"] else {}
    finally:
        set_theme(notebook, "Light", True)
    assert faint == {}, faint


def check_one_is_given_up_by_keyboard(notebook: Notebook, card: Locator) -> None:
    place(card, 3).get_by_role("button", name="Give up").focus()
    notebook.page.keyboard.press("Enter")
    expect(place(card, 3)).to_contain_text("It is not waited for any more.")
    expect(place(card, 3).get_by_role("button", name="Give up place 3")).to_be_focused()
    notebook.page.keyboard.press("Enter")
    expect(place(card, 3)).to_contain_text("given up")
    expect(place(card, 3).get_by_role("button")).to_have_count(0)


def check_scaling_asks_before_it_gives_up(card: Locator) -> None:
    field = card.get_by_role("spinbutton", name="how many places on slurm")
    expect(field).to_have_value("1")
    field.fill("0")
    field.press("Enter")
    expect(card).to_contain_text("1 place will be given up")
    expect(card.get_by_role("button", name="Give up 1", exact=True)).to_be_focused()
    card.get_by_role("button", name="Keep 1").click()
    field.fill("-3")
    expect(card.get_by_role("button", name="Scale to …")).to_be_disabled()
    field.fill("2")
    card.get_by_role("button", name="Scale to 2").click()
    expect(card).to_contain_text("2 places asked for")
    expect(place(card, 5)).to_contain_text("pending")


def check_a_thousand(notebook: Notebook) -> None:
    shown = notebook.page.locator(".rain-card").nth(1)
    shown.scroll_into_view_if_needed()  # it asks while it is seen
    expect(shown.locator(".rain-site")).to_have_count(5)
    notebook.run(4)
    notebook.wait_done(4)
    fold = shown.locator(".rain-fold")
    expect(fold).to_have_count(1)
    expect(fold).to_contain_text("999 ×pendingResources")
    expect(shown.locator(".rain-site")).to_have_count(4)
    fold.get_by_role("button").click()
    expect(fold.locator(".rain-site")).to_have_count(100)
    fold.get_by_role("button", name="899 more").click()
    expect(fold.locator(".rain-site")).to_have_count(200)
    html = notebook.save().cells[3].outputs[0].data["text/html"]
    assert "999 more" in html
    assert len(html) < 20_000


def check_a_task_says_for_which_place_it_waits(notebook: Notebook) -> None:
    view = notebook.page.locator("[data-ready=true] .rain-session")
    view.wait_for()
    view.scroll_into_view_if_needed()
    view.locator(".rain-node.rain-task", has_text="train").click()
    expect(view.locator(".rain-details")).to_contain_text(
        "no governor here has, and waits for a place of slurm with 4 cpus, 1 gpus: 999 asked for, pending (Resources)"
    )
    view.locator(".rain-tab", has_text="governors").click()
    pane = view.locator(".rain-governors")
    expect(pane.locator(".rain-fold")).to_contain_text("999 ×pendingResources")
    expect(pane.locator(".rain-tile")).to_have_count(1)
