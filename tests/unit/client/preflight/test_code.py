"""What code uses: names that nothing defines, and modules."""

# ruff: noqa: F821

from __future__ import annotations

import contextlib
import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rain import task
from rain.client.preflight.code import Uses


def uses_much(x: Any) -> Any:
    class Inner:
        one = 1
        two = one + only_in_a_class

    return [helper(item) for item in nowhere(x)], Inner, np.zeros(1), later


def helper(x: Any) -> Any:
    return x + of_the_helper


def sets_its_own() -> Any:
    global set_here
    set_here = 1
    return set_here, len, __name__


def guards() -> Any:
    try:
        import not_to_be_had
        from also_not import something

        unknown_there()
    except ImportError:
        not_to_be_had = something = None
    try:
        with open("x"):
            import not_there_either
    except:  # noqa: E722
        not_there_either = None
    with contextlib.suppress(ImportError):
        import nor_this
    return not_to_be_had, something, not_there_either, nor_this


def imports() -> Any:
    import json.decoder

    import first_one.inside

    with open("x"):
        import second_one
    try:
        import third_one
    finally:
        print("over")
    return json, first_one, second_one, third_one


OF_THIS_FILE = dict.fromkeys(("numpy", "pytest"), f"the module {__name__}")
later = task(lambda: within_a_task)


def test_names_that_nothing_defines() -> None:
    found = Uses.of(uses_much)
    assert found.undefined == {
        "nowhere": "uses_much",
        "only_in_a_class": "uses_much",
        "of_the_helper": "helper",
        "within_a_task": "<lambda>",
    }
    assert Uses.of(sets_its_own).undefined == {}
    assert Uses.of(later).undefined == {"within_a_task": "<lambda>"}


def test_what_is_caught_is_left_out() -> None:
    found = Uses.of(guards)
    assert (found.undefined, found.modules) == ({}, OF_THIS_FILE)


def test_modules() -> None:
    assert Uses.of(imports).modules == {
        **dict.fromkeys(("first_one", "second_one", "third_one"), "imports"),
        **OF_THIS_FILE,
    }
    assert Uses.of(lambda: np.zeros(1)).modules == {"numpy": "<lambda>"}
    assert Uses.of(np.linalg.norm).modules.keys() >= {"numpy"}
    assert Uses.of(len).modules == {}


def test_what_the_users_modules_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their sources travel; what they import must be there."""
    (tmp_path / "own_part.py").write_text(
        "import of_the_part\ntry:\n    import optional\nexcept ImportError:\n    optional = None\n"
        "import typing\nif typing.TYPE_CHECKING:\n    import for_types\ndef lazily():\n    import in_a_function\n"
    )
    package = tmp_path / "own_package"
    package.mkdir()
    (package / "__init__.py").write_text("from . import inner\n")
    (package / "inner.py").write_text("import of_the_package.deep\nfrom .inner import nothing\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()

    def function() -> Any:
        import own_package.inner
        import own_part

        return own_part, own_package

    try:
        assert Uses.of(function).modules == {
            "of_the_part": "the module own_part",
            "of_the_package": "the module own_package.inner",
        }
    finally:
        for name in [name for name in sys.modules if name.startswith("own_")]:
            del sys.modules[name]


def test_texts_of_the_code() -> None:
    assert "/some/where" in Uses.of(lambda: Path("/some/where")).texts
