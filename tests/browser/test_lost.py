"""Messages that Jupyter drops: what a page asks, and what it is told."""

from __future__ import annotations

from tests.browser.expecting import expect
from tests.browser.lab import Lab

START = """
import time
from rain import Session, tasks
import rain.notebook
session = Session(None, 99, "flooded")
with session.bind_only():
    tasks.Concat([], name="first")
"""

# While a cell writes more than a MB a second, Jupyter's server drops all that its kernel says, answers included.
FLOOD = """
def flood(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        print("x" * 500_000)
        time.sleep(0.02)

flood(1)
display(session)
flood(3)
"""

GROWN = """
flood(1)
with session.bind_only():
    tasks.Concat([], name="second")
flood(1)
"""


def test_what_jupyter_drops_is_asked_for_again(lab: Lab) -> None:
    with lab.open([START, FLOOD, GROWN]) as notebook:
        notebook.run(0)
        notebook.wait_done(0)
        notebook.run(1)
        notebook.wait_done(1)
        assert "data rate exceeded" in str(notebook.outputs(1))
        view = notebook.page.locator("[data-ready=true] .rain-session")
        expect(view.locator(".rain-node", has_text="first")).to_be_visible()
        notebook.run(2)
        notebook.wait_done(2)
        assert "data rate exceeded" in str(notebook.outputs(2))
        expect(view.locator(".rain-node", has_text="second")).to_be_visible()
