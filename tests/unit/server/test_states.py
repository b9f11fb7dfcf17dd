"""``docs/states.md`` is drawn from the table that the core obeys."""

from __future__ import annotations

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[3]


def test_the_diagram_is_that_of_the_table() -> None:
    drawn = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "draw_states.py")], capture_output=True, text=True, check=True
    ).stdout
    assert (ROOT / "docs" / "states.md").read_text() == drawn, "run: python tools/draw_states.py > docs/states.md"
