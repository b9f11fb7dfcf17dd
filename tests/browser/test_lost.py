"""Answers that get lost between kernel and page: Jupyter's server drops them while a cell writes very much."""

from __future__ import annotations

from tests.browser.expecting import expect
from tests.browser.lab import Lab

START = """
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


def test_what_has_no_answer_is_asked_again(lab: Lab) -> None:
    with lab.open([START, "len(lost)"]) as notebook:
        notebook.run(0)
        notebook.wait_done(0)
        view = notebook.page.locator("[data-ready=true] .rain-session")
        expect(view.locator(".rain-node", has_text="first")).to_be_visible()
        notebook.run(1)
        notebook.wait_done(1)
        assert notebook.outputs(1)[0]["data"]["text/plain"] == "2"
