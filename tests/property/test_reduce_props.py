"""Arrays of any type and layout come back from their pickles to every reader."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rain.objects.pickling import buffers

TYPES = ("f8", "i2", ">f4", "M8[s]", "m8[ns]", "?", "c16", "S3", "U2", "f8,i2", "f8,M8[D]", "V7", "O")


class Sub(np.ndarray):
    pass


@st.composite
def arrays(draw: Any) -> Any:
    shape = tuple(draw(st.lists(st.sampled_from([1, 2, 3, 50, 300]), min_size=1, max_size=3)))
    count = int(np.prod(shape))
    if count > 50_000:
        shape, count = (300, 40), 12_000
    try:
        array = np.arange(count).astype(draw(st.sampled_from(TYPES))).reshape(shape)
    except (TypeError, ValueError):
        array = np.arange(count).astype("f8").reshape(shape)
    for _ in range(draw(st.integers(0, 3))):
        change = draw(st.sampled_from(["slice", "back", "turn", "broadcast", "frozen", "sub", "window", "fortran"]))
        if change == "slice":
            array = array[(slice(None),) * (array.ndim - 1) + (slice(draw(st.integers(0, 1)), None, 2),)]
        elif change == "back":
            array = array[::-1]
        elif change == "turn":
            array = array.T
        elif change == "broadcast" and array.ndim < 4 and array.nbytes < 1 << 20:
            array = np.broadcast_to(array, (draw(st.integers(1, 4)), *array.shape), subok=True)
        elif change == "frozen":
            array = array.view()
            array.flags.writeable = False
        elif change == "sub":
            array = array.view(Sub)
        elif change == "window" and array.shape[-1] > 3 and array.ndim < 4:
            array = np.lib.stride_tricks.sliding_window_view(array, 2, axis=-1, subok=True)
        elif change == "fortran":
            array = np.asfortranarray(array)
    return array


@given(arrays())
@settings(deadline=None, max_examples=60)
def test_arrays_of_any_layout_come_back(array: Any) -> None:
    for cloud in (False, True):
        data = buffers.dumps([array, 5], cloud=cloud)
        for back in (pickle.loads(data), buffers.load(data), buffers.load(bytearray(data))):
            assert type(back[0]) is type(array)
            assert back[0].shape == array.shape
            # NumPy's own pickles of small arrays come back in this machine's byte order.
            assert back[0].dtype.newbyteorder("=") == array.dtype.newbyteorder("=")
            assert back[0].tolist() == array.tolist()
        if array.nbytes < buffers.LARGE_BYTES:
            assert cloud or data == pickle.dumps([array, 5])
