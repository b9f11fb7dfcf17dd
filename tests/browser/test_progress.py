"""What a running task says of itself, in its node and in its details; gone when it ends."""

from __future__ import annotations

import re
from pathlib import Path

from tests.browser.expecting import expect
from tests.browser.lab import Lab
from tests.browser.test_graph import CONNECT, VIEW, node, show

TASK = """
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


def test_a_bar_and_a_thumbnail_live(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "go on"
    with lab.open([CONNECT + TASK, f"fits({str(path)!r}); session.submit(); session"]) as notebook:
        show(notebook, 0, 1)
        task = node(notebook, "fits")
        bar, track = task.locator(".rain-done"), task.locator(".rain-track")
        expect(bar).to_be_visible()
        share = "(bar) => bar.width.baseVal.value / bar.previousElementSibling.width.baseVal.value"
        assert round(bar.evaluate(share), 2) == 0.25
        expect(task.locator(".rain-thumb image")).to_be_visible()
        expect(task).to_have_attribute("aria-label", re.compile("300 of 1,200 · loss <b>0.1</b>"))
        task.click()
        details = notebook.page.locator(f"{VIEW} .rain-details")
        expect(details.get_by_role("progressbar", name="progress")).to_have_attribute("value", "0.25")
        expect(details).to_contain_text("300 of 1,200 · loss <b>0.1</b>")
        expect(details).to_contain_text("matplotlib.figure.Figure")
        picture = details.get_by_role("img", name="so far")
        expect(picture).to_be_visible()
        assert picture.evaluate("(image) => image.naturalWidth") == 320
        path.touch()
        expect(details).to_contain_text("900 of 1,200")
        assert round(bar.evaluate(share), 2) == 0.75
        (tmp_path / "go on2").touch()
        expect(track).to_have_count(0)
        expect(task.locator(".rain-thumb")).to_have_count(0)
        expect(details.get_by_role("progressbar")).to_have_count(0)
        assert notebook.problems == []
