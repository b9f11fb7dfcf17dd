"""Whatever is given to content type arrow comes back equal, types included, or is refused when it is encoded."""

from __future__ import annotations

import datetime
import decimal
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rain.common.errors import RainException
from rain.objects.content_types import codecs
from rain.objects.content_types.arrow.equality import same

FEW = {"max_examples": 40, "deadline": None, "suppress_health_check": list(HealthCheck)}
MANY = {**FEW, "max_examples": 4000}

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=3),
    st.binary(max_size=3),
    st.dates(),
    st.datetimes(),
    st.timedeltas(),
    st.decimals(allow_nan=False, places=2, min_value=-5, max_value=5),
    st.sampled_from([np.int64(1), np.float32(1), decimal.Decimal(1), datetime.time(1), datetime.UTC, pd.NA, pd.NaT]),
    st.sampled_from([datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC), datetime.datetime(2020, 1, 1, fold=1)]),
)
kinds = (st.integers(-3, 3), st.floats(), st.text(max_size=3), st.none(), st.dates(), st.binary(max_size=2))
items = st.one_of(*(st.lists(kind | st.none(), max_size=4) for kind in kinds), st.lists(scalars, max_size=4))
nested = (
    items.map(list)
    | st.lists(items, max_size=3)
    | st.lists(st.dictionaries(st.sampled_from("ab"), scalars, max_size=2), max_size=3)
)
DTYPES = (
    *("i1", "u8", "f2", "f8", "?", "M8[s]", "M8[ns]", "m8[us]", "U3", "S2", "O", ">i4", "c16", "M8[D]", "M8[h]"),
    np.dtypes.StringDType(),
)
PANDAS = (
    *("int8", "uint64", "float32", "float64", "bool", "Int16", "Float64", "boolean", "str", "string[python]", "object"),
    *("string[pyarrow]", "category", "int32[pyarrow]", "double[pyarrow]", "datetime64[s]", "datetime64[ns, UTC]"),
    *("timedelta64[ms]", "period[D]", "interval[int64]", "Sparse[int]", "complex128"),
)
ARROW = (
    *(pa.int8(), pa.uint64(), pa.float16(), pa.float64(), pa.bool_(), pa.string(), pa.large_binary(), pa.string_view()),
    *(pa.dictionary(pa.int8(), pa.string()), pa.list_(pa.dictionary(pa.int32(), pa.string())), pa.list_(pa.int8(), 2)),
    *(pa.struct({"a": pa.int8(), "b": pa.list_(pa.string())}), pa.map_(pa.string(), pa.int8()), pa.null()),
    *(pa.timestamp("ms", "Europe/Prague"), pa.date32(), pa.decimal128(5, 2), pa.duration("ns"), pa.time64("us")),
)
FITTING = {
    "i": st.integers(-3, 3), "u": st.integers(0, 3), "f": st.floats(width=16), "b": st.booleans(), "c": st.floats(),
    "U": st.text(max_size=3), "S": st.binary(max_size=2), "O": scalars, "M": st.integers(0, 99),
    "T": st.text(max_size=3), "m": st.integers(0, 99),
}  # fmt: skip


@st.composite
def numpy_arrays(draw: Any) -> Any:
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    values = draw(st.lists(FITTING[dtype.kind], max_size=4))
    array = np.empty(len(values), dtype)
    array[:] = values
    return array[:: draw(st.sampled_from([1, 2, -1]))]


@st.composite
def columns(draw: Any, rows: int) -> Any:
    dtype = draw(st.sampled_from(PANDAS))
    fitting = st.integers(0, 3)
    if dtype in ("object", "category"):
        fitting = draw(st.sampled_from([*kinds, scalars]))
    elif dtype.startswith("str"):
        fitting = st.text(max_size=3)
    if (dtype[0] in "IFsdio" and "64[" not in dtype) or dtype in ("boolean", "category"):
        fitting |= st.none()
    values = draw(st.lists(fitting, min_size=rows, max_size=rows))
    if dtype == "interval[int64]":
        return pd.Series(pd.IntervalIndex.from_breaks(range(rows + 1)))
    if dtype == "category" and draw(st.booleans()):
        return pd.cut(pd.Series(range(rows), dtype="float64"), 2) if rows else pd.Series(dtype="category")
    if dtype == "period[D]":
        return pd.Series(pd.period_range("2020", periods=rows))
    return pd.Series(values, dtype=dtype)


@st.composite
def frames(draw: Any) -> Any:
    rows, width = draw(st.integers(0, 3)), draw(st.integers(0, 3))
    try:
        frame = pd.DataFrame({number: draw(columns(rows)) for number in range(width)}, index=range(rows))
    except (TypeError, ValueError, OverflowError, pa.ArrowException):  # no such column
        frame = pd.DataFrame(index=range(rows))
    labels = draw(st.sampled_from(["range", "text", "mixed", "dates", "levels"]))
    if labels == "text":
        frame.columns = [f"c{number}" for number in range(frame.shape[1])]
    elif labels == "mixed":
        frame.columns = draw(st.permutations([1, "1", None, 1.5]))[: frame.shape[1]]
    elif labels == "dates":
        frame.columns = pd.date_range("2020", periods=frame.shape[1])
    elif labels == "levels":
        frame.columns = pd.MultiIndex.from_product([range(frame.shape[1]), ["a"]])
    frame.index = draw(
        st.sampled_from([
            *(frame.index, pd.RangeIndex(5, 5 + 2 * rows, 2, name="i"), pd.date_range("2020", periods=rows, freq="2h")),
            *(pd.Index(list("abc")[:rows], name="x"), pd.Index([1, "a", None][:rows], dtype=object, name=3)),
            *(pd.MultiIndex.from_product([range(rows), ["u"]], names=["p", None]), pd.CategoricalIndex(["a"] * rows)),
            *(pd.interval_range(0, rows), pd.period_range("2020", periods=rows, freq="M"), pd.Index([0.5] * rows)),
        ])
    )  # fmt: skip
    frame.attrs = draw(st.sampled_from([{}, {}, {"k": [1, None]}, {"k": (1,)}, {1: 2}]))
    return frame


@st.composite
def arrow_arrays(draw: Any, kind: Any = None) -> Any:
    kind = kind or draw(st.sampled_from(ARROW))
    values = [None] * draw(st.integers(0, 2))
    if pa.types.is_dictionary(kind) or pa.types.is_string(kind):
        values += draw(st.lists(st.sampled_from("abc"), max_size=3))
    elif pa.types.is_list(kind):
        values += draw(st.lists(st.lists(st.sampled_from("abc"), max_size=2), max_size=3))
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
        values += draw(st.lists(st.integers(0, 9), max_size=3))
    array = pa.array(values, kind)
    return array[draw(st.integers(0, 1)) :]


@st.composite
def arrow_values(draw: Any) -> Any:
    array = draw(arrow_arrays())
    pieces = [array, draw(arrow_arrays(array.type)), array[:1]]
    form = draw(st.sampled_from(["array", "chunked", "table", "batch"]))
    if form == "array":
        return array
    if form == "chunked":
        return pa.chunked_array(pieces, array.type)
    metadata = draw(st.sampled_from([None, {"k": "v"}, {"rain:kind": "list"}]))
    if form == "batch":
        return pa.record_batch({"x": array, "y": array}).replace_schema_metadata(metadata)
    return pa.table({"x": pa.chunked_array(pieces, array.type)}).replace_schema_metadata(metadata)


values = st.one_of(
    nested, st.dictionaries(st.sampled_from("abc"), items, max_size=2), numpy_arrays(), frames(), arrow_values()
)


def check(value: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            data = codecs.encode_value(value, "arrow")
        except RainException as error:
            if isinstance(value, pa.Table | pa.RecordBatch | pa.Array | pa.ChunkedArray) or '"pickle"' not in str(
                error
            ):
                raise
            return
        back = codecs.decode_value(data, "arrow")
    assert type(back) is type(value)
    if isinstance(value, pd.DataFrame):
        pd.testing.assert_frame_equal(
            back, value, check_freq=True, check_exact=True, check_column_type="exact", check_index_type="exact"
        )
        assert same(back.attrs, value.attrs)
        for number, dtype in enumerate(value.dtypes):
            assert back.dtypes.iloc[number] == dtype
            if str(dtype) == "object":
                assert same(back.iloc[:, number].tolist(), value.iloc[:, number].tolist())
    elif isinstance(value, np.ndarray):
        assert back.dtype == value.dtype
        assert same(back.tolist(), value.tolist())
    elif isinstance(value, pa.Table | pa.RecordBatch):
        assert back.schema.equals(value.schema, check_metadata=True)
        assert same(back.to_pylist(), value.to_pylist())
    elif isinstance(value, pa.Array | pa.ChunkedArray):
        assert back.type == value.type
        assert same(back.to_pylist(), value.to_pylist())
    else:
        assert same(back, value)


@given(values)
@settings(**FEW)
def test_it_comes_back_or_is_refused(value: Any) -> None:
    check(value)


@pytest.mark.soak
@given(values)
@settings(**MANY)
def test_much_more_of_it_comes_back_or_is_refused(value: Any) -> None:
    check(value)
