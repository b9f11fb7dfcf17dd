from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rain.common.ids import ID


@given(st.integers(min_value=0), st.integers(min_value=0))
def test_text_and_back(session: int, number: int) -> None:
    id_ = ID(session, number)
    assert repr(id_) == str(id_) == f"{id_}" == f"{session}/{number}"
    assert ID.parse(repr(id_)) == id_ == (session, number)
    assert pickle.loads(pickle.dumps(id_)) == id_


@pytest.mark.parametrize("text", ["", "7", "7/", "/7", "a/b", "1/2/3"])
def test_what_is_not_an_id(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # int's own words are clear enough
        ID.parse(text)
