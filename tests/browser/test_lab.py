"""What the browser tests themselves rest on."""

from __future__ import annotations

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
    with pytest.raises(AssertionError, match="it did not start"):
        Lab(tmp_path)
