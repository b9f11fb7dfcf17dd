"""Packages whose names are loaded at their first use."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

from rain.lazy_names import offered


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A package that offers one of its modules, a name of it, and one that is not there."""
    folder = tmp_path / "lazy_example"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from typing import TYPE_CHECKING\n"
        "from rain.lazy_names import offered\n"
        "if TYPE_CHECKING:\n"
        "    from lazy_example import shapes as shapes\n"
        "    from lazy_example.shapes import SIDES as SIDES\n"
        "    from lazy_example.shapes import missing as missing\n"
        "else:\n"
        "    __getattr__, __dir__, __all__ = offered(__name__)\n"
    )
    (folder / "shapes.py").write_text("SIDES = 4\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("lazy_example")
    for name in ("lazy_example", "lazy_example.shapes"):
        sys.modules.pop(name, None)


def test_names_are_loaded_at_their_first_use(package: Any) -> None:
    assert "lazy_example.shapes" not in sys.modules
    assert package.__all__ == ["shapes", "SIDES", "missing"]
    assert {"shapes", "SIDES", "__all__"} <= set(dir(package))
    assert package.SIDES == 4
    assert "SIDES" in vars(package)
    assert package.shapes is sys.modules["lazy_example.shapes"]


def test_what_is_not_offered_is_no_attribute(package: Any) -> None:
    with pytest.raises(AttributeError, match="module 'lazy_example' has no attribute 'circle'"):
        _ = package.circle
    with pytest.raises(AttributeError, match="'missing'"):
        _ = package.missing


def test_a_package_without_source_says_so(package: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package, "__file__", "lazy_example/__init__.pyc")
    with pytest.raises(ImportError, match=r"source of lazy_example is not there"):
        offered("lazy_example")
