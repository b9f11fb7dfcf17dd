"""What the browser tests themselves rest on."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.browser.lab import CHROMIUM, Lab
from tests.support.processes import Marked


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium (Debian: apt-get install chromium)")
def test_a_lab_that_does_not_start_leaves_nothing_running(
    marked: Marked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(lab: Lab) -> str:
        assert marked.processes()
        raise AssertionError("it did not start")

    monkeypatch.setattr(Lab, "_address", fail)
    # In a thread of its own: Playwright runs an event loop in a thread, and this one may have that of other tests.
    with ThreadPoolExecutor(1) as pool, pytest.raises(AssertionError, match="it did not start"):
        pool.submit(Lab, tmp_path).result()
