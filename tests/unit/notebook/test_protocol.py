"""One schema for kernel and browser: what is committed is what it says, and what comes is checked by it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rain
from rain.common.errors import RainException
from rain.common.formatting import duration_text
from rain.notebook.protocol.requests import ANSWERS, Inspect, OpenGroup, Request, request_of
from tools.protocol_ts import OUT, typescript

FRONTEND = Path(rain.__file__).parent.parent / "frontend"


def test_the_types_of_the_front_end_are_generated_from_the_schema() -> None:
    assert OUT.read_text(encoding="utf-8") == typescript(), "run `make frontend`"


def test_each_request_has_a_name_and_an_answer_of_its_own() -> None:
    assert set(ANSWERS) == set(Request.__subclasses__())
    names = [kind.__struct_config__.tag for kind in ANSWERS]
    assert len(names) == len(set(names))


def test_a_request_is_decoded() -> None:
    assert request_of({"type": "open", "request": 7, "key": "g1"}) == OpenGroup(request=7, key="g1")
    assert request_of({"type": "inspect", "view": None, "at": [0, "a"]}) == Inspect(at=[0, "a"])


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, "there is no request None"),
        ({}, "there is no request None"),
        ({"type": "x" * 1000}, "there is no request"),
        ({"type": ["open"]}, "there is no request"),
        ({"type": "open"}, "the request 'open' is not understood: Object missing required field `key`"),
        ({"type": "open", "key": "g 1"}, "matching regex"),
        ({"type": "inspect", "path": ["a/b"]}, r"at `\$.path\[0\]`"),
        ({"type": "inspect", "at": [-1]}, r"at `\$.at\[0\]`"),
        ({"type": "geometry", "number": 1, "layout": {"bb": 3}}, r"`\$.layout.bb`"),
    ],
)
def test_what_is_no_request_is_refused(content: Any, text: str) -> None:
    with pytest.raises(RainException, match=text) as caught:
        request_of(content)
    assert len(str(caught.value)) < 400


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
NAMES = sorted({field for kind in ANSWERS for field in kind.__struct_fields__})
TAGS = st.sampled_from([str(kind.__struct_config__.tag) for kind in ANSWERS])


@given(TAGS, st.dictionaries(st.sampled_from(NAMES), JSON, max_size=5))
def test_whatever_comes_is_a_request_or_an_error(tag: str, parameters: dict[str, Any]) -> None:
    try:
        found = request_of({**parameters, "type": tag})
    except RainException:
        return
    assert msgspec.to_builtins(found)["type"] == tag


def test_durations_are_written_as_the_browser_writes_them() -> None:
    table = (FRONTEND / "src" / "format.test.ts").read_text(encoding="utf-8")
    written = re.findall(r'\[([\d.]+), "([^"]+)"\]', table)
    assert len(written) > 10
    assert [(value, duration_text(float(value))) for value, _ in written] == written
