"""Content type arrow: what comes back is what went in, or it does not go in."""

from __future__ import annotations

import datetime
import decimal
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from rain.common.errors import RainException
from rain.objects.content_types import codecs
from rain.objects.content_types.arrow.equality import same


def there_and_back(value: Any, writable: bool = False) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = codecs.encode_value(value, "arrow")
        return codecs.decode_value(bytearray(data) if writable else data, "arrow")


def frame(values: Any, **options: Any) -> pd.DataFrame:
    return pd.DataFrame({"x": pd.Series(values, **options)})


def with_attrs(attrs: Any) -> pd.DataFrame:
    made = pd.DataFrame({"x": [1]})
    made.attrs.update(attrs)
    return made


# -- frames --------------------------------------------------------------------------------------------

DAYS = pd.date_range("2020", periods=2, freq="D")
INTERVALS = pd.interval_range(0, 2)
FRAMES = {
    "no columns": pd.DataFrame(index=range(5)),
    "no columns, named": pd.DataFrame(index=pd.RangeIndex(2, 12, 3, name="n")),
    "no columns, labels": pd.DataFrame(index=["a", "b"]),
    "nothing": pd.DataFrame(),
    "no rows": pd.DataFrame({"a": [1.5], "s": ["x"]})[:0],
    "empty categorical": pd.DataFrame({"c": pd.Categorical([], categories=["a", "b"])}),
    "ordered categorical": pd.DataFrame({"c": pd.Categorical(["b", None], ["b", "a"], ordered=True)}),
    "categories of int": pd.DataFrame({"c": pd.Categorical([7, 5, 7])}),
    "intervals as categories": pd.DataFrame({"c": pd.cut([1, 2, 3, np.nan], 2)}),
    "periods as categories": pd.DataFrame({"c": pd.Categorical(pd.period_range("2020", periods=2))}),
    "intervals": pd.DataFrame({"x": INTERVALS}),
    "periods": pd.DataFrame({"x": pd.period_range("2020", periods=2)}),
    "string[python]": frame(["a", None], dtype="string[python]"),
    "str": frame(["a", None]),
    "string[pyarrow]": frame(["a", None], dtype="string[pyarrow]"),
    "int64[pyarrow]": frame([1, None], dtype="int64[pyarrow]").assign(y=[1, 2]),
    "list[pyarrow]": frame([[1], None], dtype=pd.ArrowDtype(pa.list_(pa.int64()))),
    "struct[pyarrow]": frame([{"a": 1}, None], dtype=pd.ArrowDtype(pa.struct({"a": pa.int64()}))),
    "dictionary[pyarrow]": frame(["a"], dtype=pd.ArrowDtype(pa.dictionary(pa.int8(), pa.string()))),
    "objects with None": frame([1, None], dtype=object),
    "objects with NaN": frame(["a", np.nan], dtype=object),
    "objects with NaN and None": frame([None, float("nan"), 1.5], dtype=object),
    "objects with NA": frame([pd.NA, "a"], dtype=object),
    "objects, all str": frame(["a", "b"], dtype=object),
    "lists": frame([[1], None, []], dtype=object),
    "decimals": frame([decimal.Decimal("1.25"), None], dtype=object),
    "dates": frame([datetime.date(2020, 1, 1), None], dtype=object),
    "NaN": frame([1, np.nan]),
    "Float64": frame([1.0, None], dtype="Float64"),
    "boolean": frame([True, None], dtype="boolean"),
    "float16": frame(np.array([1, 2], "f2")),
    "datetime64[s] and NaT": frame(pd.to_datetime(["2020", None]).astype("datetime64[s]")),
    "times with a zone": frame(pd.date_range("2020", periods=2, tz="Europe/Prague")),
    "timedelta": frame(pd.to_timedelta([1, 2], unit="s")),
    "freq": pd.DataFrame({"a": [1, 2]}, index=DAYS),
    "freq of columns": pd.DataFrame([[1, 2]], columns=DAYS),
    "mixed labels": pd.DataFrame([[1, 2.5]], columns=[1, "a"]),
    "labels alike": pd.DataFrame([[1, 2.5]], columns=[1, "1"]),
    "labels that are numbers": pd.DataFrame([[1, 2]], columns=[1.5, 2]),
    "labels of object": pd.DataFrame([[1]], columns=pd.Index(["a"], dtype=object)),
    "range of labels": pd.DataFrame([[1, 2]]),
    "name of labels": pd.DataFrame([[1, 2]]).rename_axis(columns="c"),
    "levels of labels": pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "1"), ("b", "2")])),
    "levels of index": pd.DataFrame(
        {"a": [1, 2]}, index=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["x", None])
    ),
    "name of index": pd.DataFrame({"a": [1, 2]}, index=pd.Index([3, 4], name=5)),
    "categorical index": pd.DataFrame({"a": [1, 2]}, index=pd.CategoricalIndex(["u", "v"])),
    "interval index": pd.DataFrame({"a": [1, 2]}, index=INTERVALS),
    "attrs": with_attrs({"k": [1, {"a": None}]}),
    "special and plain in turn": pd.DataFrame(
        {"a": [1, 2], "b": pd.Series([1, None], dtype=object), "c": ["x", "y"], "d": pd.Series(["z", 1])[:1]}
    ).drop(columns="d"),
}


@pytest.mark.parametrize("name", FRAMES)
def test_frames_come_back(name: str) -> None:
    given = FRAMES[name]
    for writable in (False, True):
        back = there_and_back(given, writable)
        pd.testing.assert_frame_equal(
            back, given, check_freq=True, check_exact=True, check_column_type="exact", check_index_type="exact"
        )
        assert same(back.attrs, given.attrs)
        for column in range(given.shape[1]):
            assert back.dtypes.iloc[column] == given.dtypes.iloc[column]
            if str(given.dtypes.iloc[column]) == "object":
                assert same(back.iloc[:, column].tolist(), given.iloc[:, column].tolist())


class Special(pd.DataFrame):
    pass


@pytest.mark.parametrize(("value", "says"), [
    (frame([1, 2.5], dtype=object), r"column 'x' .*item 0, 1 \(int\), would become 1.0"),
    (frame([{"a": 1}, {"b": 2}]), r"item 0, {'a': 1} \(dict\)"),
    (frame([(1,)]), "tuple"),
    (frame([1, "a"], dtype=object), '"pickle"'),
    (frame([np.int64(1)], dtype=object), "int64"),
    (frame([decimal.Decimal("1.0"), decimal.Decimal("1.00")]), "Decimal"),
    (frame([1j]), "complex"),
    (pd.DataFrame([[1, 2]], columns=["a", "a"]), "Duplicate"),
    (with_attrs({"k": (1,)}), "attrs"),
    (Special({"a": [1]}), "Special would become a plain DataFrame"),
    (pd.DataFrame({"a": [1]}).set_flags(allows_duplicate_labels=False), "allows_duplicate_labels"),
    (pd.DataFrame({"a": [1]}, index=pd.Index(["a"], dtype="string[python]")), "index would change"),
    (pd.Series([1]), "to_frame"),
])  # fmt: skip
def test_frames_that_would_change_are_refused(value: Any, says: str) -> None:
    with pytest.raises(RainException, match=says) as caught:
        there_and_back(value)
    assert '"pickle"' in str(caught.value)


def test_frames_are_read_where_pandas_was_not_imported(tmp_path: Any) -> None:
    """Its types are registered when it is imported, which is too late for a schema that was read before."""
    path = tmp_path / "frame"
    path.write_bytes(codecs.encode_value(FRAMES["periods"], "arrow"))
    code = (
        "import sys; from rain.objects.content_types import codecs; assert 'pandas' not in sys.modules; "
        f"print(codecs.decode_value(open({str(path)!r}, 'rb').read(), 'arrow').dtypes.iloc[0])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "period[D]\n"


def test_frames_can_be_read_without_rain(tmp_path: Any) -> None:
    import pyarrow.feather as feather

    path = tmp_path / "frame"
    for name in ("str", "freq", "objects with None", "list[pyarrow]", "intervals as categories", "mixed labels"):
        path.write_bytes(codecs.encode_value(FRAMES[name], "arrow"))
        assert len(feather.read_feather(path)) == len(FRAMES[name])


# -- arrays and lists ------------------------------------------------------------------------------------

StringDType = np.dtypes.StringDType


@pytest.mark.parametrize("array", [
    np.array(["a", "bc"]), np.array([b"a", b""]), np.array([], "U3"), np.array(["a"], StringDType()),
    np.array(["a", None], StringDType(na_object=None)), np.array(["a", np.nan], StringDType(na_object=np.nan)),
    np.array(["2020", "NaT"], "M8[D]"), np.array([1, 2], "m8[us]"), np.array([1, 2], "f2"), np.array([True, False]),
    np.array([1, None], object), np.array([np.nan, None, 1.0], object), np.array([], object),
    np.array([[1], [2, 3]], object), np.arange(10)[::2], np.array([1.5, np.nan]),
], ids=lambda array: str(array.dtype))  # fmt: skip
def test_arrays_come_back(array: Any) -> None:
    for writable in (False, True):
        back = there_and_back(array, writable)
        assert (type(back), back.dtype) == (np.ndarray, array.dtype)
        assert same(back.tolist(), array.tolist())


@pytest.mark.parametrize("value", [
    np.array([1, 2.5], object), np.ma.array([1, 2], mask=[0, 1]), np.zeros(2, "i4,f4"), np.array([1], ">i4"),
    np.array([1], "M8[h]"), np.array([1j]), np.rec.array([(1, 2)]), np.zeros((2, 2)), np.array(5),
    np.array(["a", "x"], StringDType(na_object="x")),
    [1, 2.5], [True, 1], [1, True], [{"a": 1}, {"b": 2}], [{"b": 1, "a": 2}, {"a": 1, "b": 2}], [(1,)], [np.int64(1)],
    [bytearray(b"x")], ["\udcff"], [decimal.Decimal("1.0"), decimal.Decimal("1.00")], [[1], [2.5]], [2**70],
    {"a": [1, 2.5]}, {"a": [1], "b": []}, {"a": [None, {"x": 1}, {}]},
], ids=repr)  # fmt: skip
def test_values_that_would_change_are_refused(value: Any) -> None:
    with pytest.raises(RainException, match=r'arrow.*"pickle"'):
        codecs.encode_value(value, "arrow")


@pytest.mark.parametrize("value", [
    [1, None], [1.0, float("nan"), None], [], [None], ["a", None], [2**63], [-(2**63)], [b"x"], [{}], [[1], []],
    [datetime.datetime(2020, 1, 1)], [datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)], [datetime.time(1)],
    [datetime.timedelta(1)], [{"a": 1, "b": None}], {"a": []}, {}, {"b": [1], "a": [None]}, [-0.0],
], ids=repr)  # fmt: skip
def test_lists_come_back(value: Any) -> None:
    back = there_and_back(value)
    assert type(back) is type(value)
    assert same(back, value) or back[0].tzinfo is not None
    assert back == value or value[0] != 0


# -- Arrow's own -------------------------------------------------------------------------------------------


def chunks(*pieces: Any, nested: bool = False) -> Any:
    kind = pa.dictionary(pa.int8(), pa.string())
    if nested:
        return pa.chunked_array([pa.array([piece], pa.list_(kind)) for piece in pieces])
    return pa.chunked_array([pa.array(piece, kind) for piece in pieces])


def test_chunks_with_dictionaries_of_their_own() -> None:
    for nested in (False, True):
        column = chunks(["a", "b"], ["b", None, "c"], [], nested=nested)
        for value in (pa.table({"x": column, "y": column}), column):
            back = there_and_back(value)
            assert (type(back), back.to_pylist()) == (type(value), value.to_pylist())
            assert getattr(back, "type", None) == getattr(value, "type", None)
    many = chunks([str(number) for number in range(100)], [str(number) for number in range(100, 200)])
    with pytest.raises(RainException, match=r'"pickle"'):  # an int8 cannot count so many
        there_and_back(many)


def test_dictionaries_of_what_is_empty() -> None:
    empty = pa.DictionaryArray.from_arrays(pa.array([], pa.int8()), ["a", "b"])
    for value in (empty, pa.table({"x": empty}), pa.record_batch({"x": empty}), pa.chunked_array([empty])):
        back = there_and_back(value)
        assert type(back) is type(value)
        column = back if back is not None and hasattr(back, "type") else back.column(0)
        array = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
        assert array.dictionary.to_pylist() == ["a", "b"]


def test_metadata_like_ours_stay_the_users() -> None:
    inner = pa.ipc.open_file(codecs.encode_value([1, 2], "arrow")).read_all()
    assert inner.schema.metadata[b"rain:kind"] == b"list"
    for value in (inner, inner.replace_schema_metadata({b"rain:given:x": b"1", b"k": b"v"})):
        back = there_and_back(value)
        assert isinstance(back, pa.Table)
        assert back.schema.equals(value.schema, check_metadata=True)
        assert there_and_back(back.to_batches()[0]).schema.metadata == value.schema.metadata


def test_rows_without_columns() -> None:
    table = pa.table({"a": [1, 2]}).select([])
    assert there_and_back(table).num_rows == 2
    with pytest.raises(RainException, match="2 rows and no column"):
        there_and_back(pa.RecordBatch.from_struct_array(pa.array([{}, {}])))


# -- polars --------------------------------------------------------------------------------------------------


def test_polars() -> None:
    pl = pytest.importorskip("polars", reason="polars is not installed")
    value = pl.DataFrame({
        "a": [1, None], "s": ["x", None], "f": [float("nan"), 0.5], "n": [None, None], "b": [b"x", b"y"],
        "c": pl.Series(["u", "v"], dtype=pl.Categorical), "e": pl.Series(["u", "v"], dtype=pl.Enum(["v", "u"])),
        "d": [datetime.date(2020, 1, 1)] * 2, "l": [[1], [2]], "st": [{"a": 1}, {"a": 2}],
        "fixed": pl.Series([[1, 2], [3, 4]], dtype=pl.Array(pl.Int64, 2)),
        "t": pl.Series([datetime.datetime(2020, 1, 1)] * 2, dtype=pl.Datetime("ms", "UTC")),
    })  # fmt: skip
    for given in (value, value[:0], pl.concat([value, value], rechunk=False), pl.DataFrame()):
        back = there_and_back(given)
        assert type(back) is pl.DataFrame
        assert back.schema == given.schema
        assert back.equals(given)
    for name in value.columns:
        back = there_and_back(value[name])
        assert (type(back), back.name, back.dtype) == (pl.Series, name, value[name].dtype)
        assert back.equals(value[name])
    for other, says in ((value.lazy(), "LazyFrame"), (pl.DataFrame({"o": pl.Series([object()])}), r"columns \['o'\]")):
        with pytest.raises(RainException, match=says):
            there_and_back(other)


def test_polars_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    pl = pytest.importorskip("polars", reason="polars is not installed")
    data = codecs.encode_value(pl.Series("s", [1]), "arrow")
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(RainException, match=r"polars.Series, and polars is not installed .*pip install polars"):
        codecs.decode_value(data, "arrow")


def test_other_libraries_with_arrow_data_are_told_what_to_do() -> None:
    class Relation:
        def __arrow_c_stream__(self, requested: Any = None) -> Any:
            return pa.table({"a": [1]}).__arrow_c_stream__()

    with pytest.raises(RainException, match=r"pyarrow.table\(value\)"):
        codecs.encode_value(Relation(), "arrow")
