"""The Python blocks of tour.md, in order, in one process, as they stand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests import snippets

TOUR = Path(__file__).with_name("tour.md")
BLOCKS = snippets.blocks(TOUR, "python")


@pytest.fixture(scope="module")
def namespace():
    values: dict[str, Any] = {"__name__": "__main__"}
    yield values
    client = values.get("client")
    if client is not None:
        client.close()


@pytest.mark.parametrize(("line", "source"), BLOCKS, ids=[f"line{line}" for line, _ in BLOCKS])
def test_block(line: int, source: str, namespace: dict[str, Any]) -> None:
    snippets.run(TOUR, line, source, namespace)
