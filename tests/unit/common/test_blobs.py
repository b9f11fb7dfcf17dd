"""Many small byte strings in the memory of one are what the list of them is."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rain.common.protocol.blobs import COUNT_MIN, ITEM_BYTES_MAX, Blobs, joined
from rain.common.protocol.encoding import encode

items = st.lists(st.binary(max_size=20), min_size=COUNT_MIN, max_size=60)


@given(items, st.data())
def test_they_are_what_the_list_is(values: list[bytes], data: st.DataObject) -> None:
    blobs = joined(iter(values))
    assert isinstance(blobs, Blobs)
    assert list(blobs) == values
    assert (len(blobs), blobs.size, blobs.longest) == (len(values), len(b"".join(values)), max(map(len, values)))
    start = data.draw(st.integers(0, len(values)))
    stop = data.draw(st.integers(start, len(values)))
    part = blobs.part(start, stop)
    assert list(part) == values[start:stop] == blobs[start:stop]
    assert blobs[stop:start:-2] == values[stop:start:-2]
    assert part[1:-1] == values[start:stop][1:-1]
    assert (len(part), part.size) == (stop - start, len(b"".join(values[start:stop])))
    assert part.longest == max(map(len, values[start:stop]), default=0)
    assert [blobs[-1 - place] for place in range(len(values))] == values[::-1]
    assert msgspec.msgpack.decode(encode([part, 1])) == [values[start:stop], 1]


@given(items, st.integers(1, 200), st.integers(0, 5), st.data())
def test_as_many_fit_as_there_is_room_for(values: list[bytes], room: int, more: int, data: st.DataObject) -> None:
    blobs = joined(values)
    start = data.draw(st.integers(0, len(values) - 1))
    stop, size = start, 0
    while stop < len(values):
        size += len(values[stop]) + more
        if stop > start and size > room:
            break
        stop += 1
    assert blobs.fit(start, len(values), room, more) == stop


@pytest.mark.parametrize("values", [[], [b"a"] * (COUNT_MIN - 1), [bytes(ITEM_BYTES_MAX + 1)] * COUNT_MIN])
def test_few_or_large_ones_stay_alone(values: list[bytes]) -> None:
    assert joined(values) == values
    assert type(joined(values)) is list


def test_a_place_that_is_not_there() -> None:
    with pytest.raises(IndexError):
        joined([b"x"] * COUNT_MIN)[COUNT_MIN]


def test_what_has_no_form_in_a_message_is_refused() -> None:
    with pytest.raises(TypeError, match="object"):
        encode([object()])
