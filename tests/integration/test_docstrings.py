"""The examples in docstrings of the public API run as they stand, against one cluster."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from typing import Any

import pytest

import rain
import rain.client
from rain import Client, remote
from rain.common.spec import ObjectInfo
from rain.objects.data_instance import DataInstance
from rain.objects.readers import BytesReader

MODULES = [
    *(module.name for module in pkgutil.iter_modules(rain.client.__path__, "rain.client.")),
    "rain.objects.content_types.cbor_values",
    "rain.objects.data_instance",
    "rain.objects.content_types.arrow.equality",
    "rain.common.content_type",
    "rain.common.labeled_list",
    "rain.common.formatting",
    "rain.notebook.magics.api",
    "rain.notebook.magics.cell",
    "rain.notebook.magics.cell_source",
    "rain.notebook.magics.table",
]


def examples() -> list[Any]:
    """All docstrings with examples, one test each."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = [test for name in MODULES for test in finder.find(importlib.import_module(name)) if test.examples]
    return [pytest.param(test, id=test.name) for test in found]


@pytest.mark.parametrize("test", examples())
def test_example(client: Client, test: doctest.DocTest) -> None:
    @remote(auto_encode="json")
    def square(ctx, n: int) -> int:
        return n * n

    known = {"client": client, "square": square, "ObjectInfo": ObjectInfo, "BytesReader": BytesReader}
    public = {name: getattr(rain, name) for name in rain.__all__}
    test.globs = {**test.globs, **public, "DataInstance": DataInstance, **known}
    problems: list[str] = []
    results = doctest.DocTestRunner().run(test, out=problems.append)
    assert not results.failed, "".join(problems)
    assert results.attempted
