"""Digests of values by their content."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rain.client.reuse.values import Digester, Unclear


def digest(value: Any) -> str:
    return Digester(lambda code: code.__qualname__).digest(value)


@dataclasses.dataclass
class Point:
    x: Any
    y: Any = 0


def values() -> list[Any]:
    """Values that are all different."""
    return [
        None, True, 1, 1.0, 1j, "1", b"1", bytearray(b"1"), 0, False, -1, 2**100, float("nan"), "", (), [], {}, set(),
        frozenset(), (1,), [1], {1: 1}, {1}, [[1], 2], [1, [2]], {"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a", "b", "c"},
        Point(1), Point(1.0), Point({"a", "b", "c"}), range(3), np.arange(3), np.arange(3.0),
        np.arange(6).reshape(2, 3),
        np.arange(6), np.array(1), np.array([]), np.array(["a", None], dtype=object),
        np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]), np.array(["2026-01-01"], dtype="M8[D]"),
        pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"a": [1, 3]}),
    ]  # fmt: skip


def test_different_values_have_different_digests() -> None:
    digests = [digest(value) for value in values()]
    assert len(set(digests)) == len(digests)


def test_equal_values_have_the_same_in_another_process() -> None:
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from importlib.util import spec_from_file_location, module_from_spec\n"
        "spec = spec_from_file_location('tests_of_values', sys.argv[2]); module = module_from_spec(spec)\n"
        "sys.modules['tests_of_values'] = module; spec.loader.exec_module(module)\n"
        "print(*[module.digest(value) for value in module.values() if 'Point' not in repr(value)])\n"
    )
    found = subprocess.run([sys.executable, "-c", program, ".", __file__], capture_output=True, text=True, check=True)
    assert found.stdout.split() == [digest(value) for value in values() if "Point" not in repr(value)]


def test_it_does_not_matter_which_texts_are_one_object() -> None:
    word = "".join(["wo", "rd"])
    assert digest([word, word]) == digest(["".join(["wo", "rd"]), "".join(["w", "ord"])])


def test_arrays_count_by_content_however_they_lie_in_memory() -> None:
    array = np.arange(12).reshape(3, 4)
    assert digest(array) == digest(np.asfortranarray(array)) == digest(np.arange(24).reshape(3, 8)[:, ::2] // 2)


def test_generators_cannot_be_told() -> None:
    with pytest.raises(Unclear, match="used up"):
        digest([1, (x for x in range(3))])
    with pytest.raises(Unclear, match="cannot be pickled"):
        digest([sys._getframe()])
