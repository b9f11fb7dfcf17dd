"""What a pickle names, told without loading it."""

from __future__ import annotations

import pickle
from decimal import Decimal
from pathlib import Path

import pytest

from rain.client.preflight.pickles import Named


class Trap:
    def __reduce__(self) -> object:
        return exec, ("raise SystemExit('it was loaded')",)


@pytest.mark.parametrize("protocol", range(1, 6))
def test_texts_paths_and_modules(protocol: int) -> None:
    value = (["/a/b", Path("/x/y/z"), "/a/b", Decimal(1)], {"key": Path("rel/q"), "other": "/x"})
    named = Named(pickle.dumps(value, protocol))
    assert {"/a/b", "/x/y/z", "rel/q", "/x", "key"} <= set(named.texts)
    assert {"pathlib", "decimal"} <= {module.partition(".")[0] for module in named.modules}


def test_nothing_is_loaded_and_nothing_is_too_broken() -> None:
    data = pickle.dumps([Trap(), "behind"])
    assert "behind" in Named(data).texts
    for end in range(len(data)):
        Named(data[:end])
    Named(b"\xff" * 100)
