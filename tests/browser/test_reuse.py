"""Results of earlier runs, as a notebook shows them: which they are, what has changed, and how they look."""

from __future__ import annotations

import re
from pathlib import Path

from tests.browser.expecting import expect
from tests.browser.lab import Lab
from tests.browser.test_control import shot
from tests.browser.test_graph import CONNECT, show

TASKS = """
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


def test_what_was_reused_and_what_has_changed(lab: Lab, tmp_path: Path) -> None:
    folder = str(tmp_path / "results")
    cells = [
        CONNECT,
        TASKS.format(close="", folder=folder, factor="2"),
        TASKS.format(close="again.close() or ", folder=folder, factor="'<script>' and 3"),
    ]
    with lab.open(cells) as notebook:
        page = notebook.page
        show(notebook, 0, 1, 2)
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
