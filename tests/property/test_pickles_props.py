import pickle

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rain.objects.pickling import buffers

LARGE = buffers.LARGE_BYTES


def same(a, b):
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    if type(a) is list and any(isinstance(item, np.ndarray) for item in a):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


small = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.tuples(st.integers()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=20,
)
sizes = st.integers(LARGE - 2, LARGE + 70)
large = st.one_of(
    sizes.map(lambda n: np.arange(n, dtype="uint8")),
    sizes.map(lambda n: np.arange(n // 8 + 1, dtype="float64")),
    sizes.map(lambda n: b"b" * n),
    sizes.map(lambda n: bytearray(b"a" * n)),
    sizes.map(lambda n: "s" * n),
    sizes.map(lambda n: int.from_bytes(b"\x7f" * n, "little")),
    st.integers(20_000, 70_000).map(lambda n: list(range(n))),
)


@given(small)
@settings(deadline=None)
def test_small_values_are_plain_pickles(value):
    data = buffers.dumps(value)
    assert data == pickle.dumps(value)
    assert same(buffers.load(data), value)


@given(st.lists(small | large, max_size=6))
@settings(deadline=None, max_examples=60)
def test_any_mixture_comes_back_to_every_reader(value):
    for cloud in (False, True):
        data = buffers.dumps(value, cloud=cloud)
        for back in (pickle.loads(data), buffers.load(data), buffers.load(bytearray(data))):
            assert [type(item) for item in back] == [type(item) for item in value]
            assert same(back, value)
        assert all(payload % buffers.ALIGNMENT == 0 for _, payload, *_ in buffers._read_index(memoryview(data)))
        if not any(isinstance(item, np.ndarray | bytes | bytearray | str) and len(item) > 1000 for item in value):
            assert cloud or data == pickle.dumps(value)
