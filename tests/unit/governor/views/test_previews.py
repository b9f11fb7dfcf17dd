"""What a governor keeps of previews: bounded, the longest unused let go first."""

from __future__ import annotations

import pytest

from rain.common.errors import RainException
from rain.common.ids import ID
from rain.common.limits import PREVIEW_BYTES_MAX, PREVIEWS_BYTES_MAX
from rain.governor.views.previews import Previews


@pytest.mark.parametrize("size", [1, PREVIEW_BYTES_MAX])
def test_memory_is_bounded_and_what_is_looked_at_stays(size: int) -> None:
    previews = Previews()
    count = PREVIEWS_BYTES_MAX // size if size > 1 else 90_000  # of tiny ones their records count
    for number in range(count):
        previews.keep(ID(1, number), bytes(size))
        assert previews.get(ID(1, 0)) is not None
    assert previews.get(ID(1, 1)) is None
    assert previews.get(ID(1, count - 1)) is not None
    kept = sum(previews.get(ID(1, number)) is not None for number in range(count))
    assert kept * (size + 200) <= PREVIEWS_BYTES_MAX < (kept + 1) * (size + 200)


def test_each_goes_with_its_object_or_its_session() -> None:
    previews = Previews()
    for session in (1, 2):
        for number in (1, 2):
            previews.keep(ID(session, number), b"seen")
    previews.keep(ID(1, 1), b"of a new value")
    assert previews.get(ID(1, 1)) == b"of a new value"
    previews.drop([ID(1, 1), ID(1, 1), ID(1, 7)])
    previews.drop_session(2)
    assert [previews.get(ID(s, n)) for s in (1, 2) for n in (1, 2)] == [None, b"seen", None, None]


def test_why_there_is_none_is_kept_too() -> None:
    previews = Previews()
    previews.keep(ID(1, 1), "it took too long")
    with pytest.raises(RainException, match="took too long"):
        previews.get(ID(1, 1))
