"""ruff, mypy and the import rules, as `make lint` runs them."""

from __future__ import annotations

import pytest

from tools import lint


@pytest.mark.parametrize("name", lint.CHECKS)
def test_check(name: str) -> None:
    content, text = lint.run(name)
    assert content, text
