"""The examples in all docstrings run as they stand, against one cluster."""

from __future__ import annotations

import doctest
import importlib
import inspect
from pathlib import Path
from typing import Any

import pytest

import rain
from rain import Client, remote
from rain.common.spec import ObjectInfo
from rain.notebook import magics
from rain.objects.data_instance import DataInstance
from rain.objects.readers import BytesReader

PACKAGE = Path(rain.__file__).resolve().parent


def modules_with_examples() -> list[str]:
    files = [path for path in sorted(PACKAGE.rglob("*.py")) if ">>> " in path.read_text()]
    return [
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__") for path in files
    ]


class Finder(doctest.DocTestFinder):
    """Finds the docstrings of methods that were made of others (awaitable twins have those of the ones that block)."""

    def _from_module(self, module: Any, object: Any) -> bool:
        found: bool = super()._from_module(module, inspect.unwrap(object) if inspect.isfunction(object) else object)  # type: ignore[misc]
        return found and not getattr(object, "__name__", "").endswith("_async")


def examples() -> list[Any]:
    """All docstrings with examples, one test each."""
    finder = Finder(exclude_empty=True)
    found = [test for name in modules_with_examples() for test in finder.find(importlib.import_module(name))]
    return [pytest.param(test, id=test.name) for test in found if not all(map(is_skipped, test.examples))]


def is_skipped(example: doctest.Example) -> bool:
    return example.options.get(doctest.SKIP, False)


@pytest.mark.parametrize("test", examples())
def test_example(client: Client, test: doctest.DocTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # what it writes does not stay

    @remote(auto_encode="json")
    def square(ctx, n: int) -> int:
        return n * n

    known = {"client": client, "square": square, "magics": magics, "ObjectInfo": ObjectInfo, "BytesReader": BytesReader}
    public = {name: getattr(rain, name) for name in rain.__all__}
    test.globs = {**test.globs, **public, "DataInstance": DataInstance, **known}
    problems: list[str] = []
    results = doctest.DocTestRunner().run(test, out=problems.append)
    assert not results.failed, "".join(problems)
    assert results.attempted
