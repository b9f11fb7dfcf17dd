"""The notebook blocks of README.md and docs/ run as they stand."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

pytest.importorskip("ipykernel")

from tests import snippets
from tests.integration.kernels import kernel

ROOT = Path(__file__).parents[2]
PAGES = [
    page for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))) if "```ipython" in page.read_text()
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page(page: Path) -> None:
    with kernel() as started:
        for _, source in snippets.blocks(page, "ipython"):
            shown = started.good(source)
            for said in re.findall(r"#  ?(\{.*\})$", source, re.MULTILINE):
                assert ast.literal_eval(shown.result) == ast.literal_eval(said)


def test_the_list_of_notebooks_is_complete() -> None:
    listed = re.findall(r"\(notebooks/(\S+\.ipynb)\)", (ROOT / "README.md").read_text())
    there = [path.name for path in (ROOT / "notebooks").glob("*.ipynb")]
    assert listed == sorted(there, key=lambda name: int(name.partition("_")[0]))
