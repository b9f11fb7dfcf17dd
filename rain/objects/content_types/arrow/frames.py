"""Data frames of pandas as Arrow tables that come back as the frames they were.

Most of it is what pyarrow does. What that changes stands beside it, in ``more``::

    {"columns": labels, "index": …, "special": {"3": how}, "attrs": …}

Special columns are those that pyarrow would give back as another type or not at all; they are put into the frame
afterwards. Every frame is made back when it is encoded, and refused if it is not the same.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from rain.common.errors import RainException
from rain.objects.content_types.arrow.equality import refuse, same
from rain.objects.content_types.arrow.noted_tables import Noted, read_noted, write_noted
from rain.objects.content_types.arrow.views import WritableViews

_MISSING = ("none", "nan", "NA", "NaT")
_LABELS = ("object", "int64", "uint64", "float64")
_SAME_KINDS = "biufmM"
"""Kinds of NumPy's dtypes whose values Arrow does not change if it keeps the dtype."""


def to_table(pa: Any, pandas: Any, frame: Any) -> Noted:
    """The table of a frame, with what its reader has to know beside it.

    Raises
    ------
    RainException
        If it would not come back as it is.
    """
    if type(frame) is not pandas.DataFrame:
        refuse(f"a {type(frame).__qualname__} would become a plain DataFrame")
    if not frame.flags.allows_duplicate_labels:
        refuse("its flag allows_duplicate_labels=False would be lost")
    special: dict[str, Any] = {}
    rows = not frame.shape[1] and isinstance(frame.index, pandas.RangeIndex)  # a table without columns forgets them
    columns = _labels(pandas, frame.columns)
    shown = frame.copy(deep=False)
    if columns is not None and "freq" not in columns:
        shown.columns = _names(frame.columns)
    index = _index(frame.index)
    if "names" in index:
        shown.index = shown.index.set_names([None if name is None else str(name) for name in index["names"]])
    for number in range(frame.shape[1]):
        found = _special(pa, pandas, frame.iloc[:, number])
        if found is not None:
            array, special[str(number)] = found
            shown.isetitem(number, pandas.Series(pandas.arrays.ArrowExtensionArray(array), index=shown.index))
    try:
        table = pa.Table.from_pandas(shown, preserve_index=True if rows else None)
    except RainException:
        raise
    except Exception as error:
        refuse(f"{type(error).__name__}: {error}")
    if rows:
        index["range"] = [frame.index.start, frame.index.stop, frame.index.step]
    attrs = frame.attrs if same(_json(frame.attrs), frame.attrs) else None
    more = {"columns": columns, "index": index, "special": special, "attrs": attrs}
    more = {name: value for name, value in more.items() if value}
    table = _as_objects(table, [table.schema.names[int(number)] for number in special])
    _check(pandas, frame, table, more)
    return Noted(table, b"frame", more or None)


def from_table(table: Any, more: Any, views: WritableViews | None = None) -> Any:
    """The frame that `to_table` was given; what `views` can make writable is."""
    import pandas

    more = more or {}
    special = more.get("special", {})
    left = [number for number in range(table.num_columns) if str(number) not in special]
    plain = table.select(left) if special else table
    # Blocks that are split stay views of the data.
    frame = plain.to_pandas(split_blocks=True)
    if views is not None:
        frame = views.frame(frame)
    if special:
        frame = _with_special(pandas, frame, table, special)
    if "columns" in more:
        frame.columns = _made_labels(pandas, frame.columns, more["columns"])
    if "attrs" in more:
        frame.attrs = more["attrs"]
    index = more.get("index", {})
    if "range" in index:
        frame.index = pandas.RangeIndex(*index["range"], name=frame.index.name)
    if "names" in index:
        frame.index.names = index["names"]
    if "freq" in index:
        frame.index.freq = index["freq"]
    return frame


# -- labels ------------------------------------------------------------------------------------------------


def _labels(pandas: Any, columns: Any) -> Any:
    """The labels of a frame's columns where pyarrow's own note of them does not do."""
    if isinstance(columns, pandas.RangeIndex):
        found = {"range": [columns.start, columns.stop, columns.step], "name": columns.name}
    elif isinstance(columns, pandas.MultiIndex) or str(columns.dtype) not in _LABELS:
        freq = _freq(columns)
        return {"freq": freq} if freq else None
    else:
        found = {"labels": columns.tolist(), "dtype": str(columns.dtype), "name": columns.name}
        if all(type(label) is str for label in columns) and columns.dtype == pandas.Index(["a"]).dtype:
            return None  # pyarrow writes that down itself
    return found if same(_json(found), found) else None


def _made_labels(pandas: Any, columns: Any, found: Any) -> Any:
    if "freq" in found:
        columns.freq = found["freq"]
        return columns
    if "range" in found:
        return pandas.RangeIndex(*found["range"], name=found["name"])
    return pandas.Index(found["labels"], dtype=found["dtype"], name=found["name"])


def _names(columns: Any) -> list[str]:
    """What columns whose labels are not all str are called in the table: unique names."""
    names: dict[str, None] = {}
    for number, label in enumerate(columns):
        name = str(label)
        while name in names:
            name = f"{name} ({number})"
        names[name] = None
    return list(names)


def _index(index: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    freq = _freq(index)
    if freq:
        found["freq"] = freq
    names = list(index.names)
    if not all(name is None or type(name) is str for name in names) and same(_json(names), names):
        found["names"] = names
    return found


def _freq(index: Any) -> str | None:
    """The frequency of an index of times, where it has one. (Of periods it is a part of the dtype.)"""
    return index.freqstr if index.dtype.kind in "mM" and getattr(index, "freq", None) is not None else None


def _json(value: Any) -> Any:
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError):
        return None


# -- columns -------------------------------------------------------------------------------------------------


def _special(pa: Any, pandas: Any, column: Any) -> tuple[Any, Any] | None:
    """A column as an Arrow array with how it is made back, if pyarrow would not do it."""
    dtype = column.dtype
    if isinstance(dtype, pandas.ArrowDtype):
        return pa.chunked_array(column.array.__arrow_array__()), "arrow"
    if isinstance(dtype, pandas.StringDtype):
        missing = "nan" if dtype.na_value is not pandas.NA else "NA"
        if dtype.storage == "python":
            return pa.array(column.array, type=pa.large_string()), ["string", missing]
        if missing == "NA":
            return pa.chunked_array(column.array.__arrow_array__()), ["string[pyarrow]", missing]
    if isinstance(dtype, pandas.CategoricalDtype) and _unknown_there(pandas, dtype.categories):
        # Their own frame carries the categories; readers that do not know of it see their names.
        names = pa.array(map(str, dtype.categories), type=pa.string())
        codes = pa.array(column.array.codes, mask=column.array.codes < 0)
        pieces: list[bytes] = []
        noted = to_table(pa, pandas, pandas.DataFrame({"categories": dtype.categories}))
        write_noted(pa, noted, lambda piece: pieces.append(bytes(piece)))
        coded = base64.b64encode(b"".join(pieces)).decode()
        return pa.DictionaryArray.from_arrays(codes, names, ordered=dtype.ordered), ["category", coded]
    if str(dtype) != "object":
        return None
    items = column.tolist()
    kinds = list({_missing(pandas, item) for item in items} - {None})
    if len(kinds) > 1:
        return pa.array(items, from_pandas=False), ["object", "none"]
    array = pa.array([None if _missing(pandas, item) else item for item in items], from_pandas=False)
    return array, ["object", kinds[0] if kinds else "none"]


def _unknown_there(pandas: Any, categories: Any) -> bool:
    """Whether pyarrow would not give these categories back."""
    dtype = categories.dtype
    return isinstance(dtype, pandas.IntervalDtype | pandas.PeriodDtype | pandas.DatetimeTZDtype)


def _missing(pandas: Any, item: Any) -> str | None:
    """Which missing value this is, if it is one."""
    if item is None:
        return "none"
    if type(item) is float and item != item:
        return "nan"
    return "NA" if item is pandas.NA else "NaT" if item is pandas.NaT else None


def _made(pandas: Any, column: Any, how: Any) -> Any:
    """An array of pandas from a special column."""
    import numpy
    import pyarrow

    if how == "arrow":
        return pandas.arrays.ArrowExtensionArray(column)
    kind, missing = how
    if kind == "category":
        table, _, more = read_noted(pyarrow, base64.b64decode(missing))
        categories = pandas.Index(from_table(table, more).iloc[:, 0].array)
        dictionary = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
        codes = dictionary.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        return pandas.Categorical.from_codes(codes, categories=categories, ordered=dictionary.type.ordered)
    if kind == "string[pyarrow]":
        return pandas.arrays.ArrowStringArray(column)
    value = dict(zip(_MISSING, (None, float("nan"), pandas.NA, pandas.NaT), strict=True))[missing]
    items = column.to_pylist()
    if kind == "string":
        dtype = pandas.StringDtype("python") if missing == "NA" else pandas.StringDtype("python", na_value=value)
        return pandas.array([value if item is None else item for item in items], dtype=dtype)
    objects = numpy.empty(len(items), dtype=object)
    objects[:] = items if value is None else [value if item is None else item for item in items]
    return objects


def _with_special(pandas: Any, frame: Any, table: Any, special: dict[str, Any]) -> Any:
    """`frame`, which has the plain columns, with the special ones in their places."""
    plain = iter([frame.iloc[:, number] for number in range(frame.shape[1])])
    names, columns = [], []
    width = frame.shape[1] + len(special)
    for number in range(width):
        how = special.get(str(number))
        if how is None:
            column = next(plain)
            names.append(column.name)
        else:
            array = _made(pandas, table.column(number), how)
            column = pandas.Series(array, index=frame.index, dtype=array.dtype, copy=False)
            names.append(table.schema.names[number])
        columns.append(column)
    made = pandas.DataFrame(dict(enumerate(columns)), index=frame.index, copy=False)
    made.columns = pandas.Index(names, dtype=frame.columns.dtype, name=frame.columns.name)
    made.attrs = frame.attrs
    return made


def _as_objects(table: Any, names: list[str]) -> Any:
    """`table` with a note for pandas elsewhere that these columns are objects, which it can read."""
    if not names:
        return table
    metadata = dict(table.schema.metadata)
    noted = json.loads(metadata[b"pandas"])
    for column in noted["columns"]:
        if column["field_name"] in names:
            column["numpy_type"] = "object"
    metadata[b"pandas"] = json.dumps(noted).encode()
    return table.replace_schema_metadata(metadata)


# -- is it the same? -----------------------------------------------------------------------------------------


def _check(pandas: Any, frame: Any, table: Any, more: Any) -> None:
    try:
        back = from_table(table, more)
    except Exception as error:
        refuse(f"it could not be loaded again ({type(error).__name__}: {error})")
    if not same(frame.attrs, back.attrs):
        refuse(f"its attrs {frame.attrs!r} would become {back.attrs!r}")
    for name, given, found in (("index", frame.index, back.index), ("column labels", frame.columns, back.columns)):
        problem = _index_differs(pandas, given, found)
        if problem:
            refuse(f"its {name} would change: {problem}")
    for number in range(frame.shape[1]):
        given, found = frame.iloc[:, number], back.iloc[:, number]
        problem = _values_differ(pandas, given, found)
        if problem:
            refuse(f"column {frame.columns[number]!r} would change: {problem}")


def _index_differs(pandas: Any, a: Any, b: Any) -> str | None:
    if type(a) is not type(b):
        return f"{type(a).__name__} would become {type(b).__name__}"
    if not same(list(a.names), list(b.names)):
        return f"its names {list(a.names)!r} would become {list(b.names)!r}"
    if getattr(a, "freq", None) != getattr(b, "freq", None):
        return f"its freq {a.freq} would be lost"
    if isinstance(a, pandas.RangeIndex):
        return None if (a.start, a.stop, a.step) == (b.start, b.stop, b.step) else f"{a!r} would become {b!r}"
    if isinstance(a, pandas.MultiIndex):
        if len(a) != len(b):
            return f"{len(a)} entries would become {len(b)}"
        for level in range(a.nlevels):
            problem = _index_differs(pandas, a.get_level_values(level), b.get_level_values(level))
            if problem:
                return f"level {level}: {problem}"
        return None
    return _values_differ(pandas, a, b)


def _values_differ(pandas: Any, a: Any, b: Any) -> str | None:
    """What would change in a column, or an index of one level."""
    if len(a) != len(b):
        return f"{len(a)} items would become {len(b)}"
    if type(a.dtype) is not type(b.dtype) or a.dtype != b.dtype:
        return f"dtype {a.dtype!r} would become {b.dtype!r}"
    if isinstance(a.dtype, pandas.CategoricalDtype):
        problem = _index_differs(pandas, a.dtype.categories, b.dtype.categories)
        if problem:
            return f"categories: {problem}"
        return None if (a.array.codes == b.array.codes).all() else "its values"
    if a.dtype == object:
        for number, (item, back) in enumerate(zip(a.tolist(), b.tolist(), strict=True)):
            if not same(item, back):
                return f"item {number}, {item!r:.80} ({type(item).__name__}), would become {back!r:.80}"
        return None
    if isinstance(a.dtype, pandas.ArrowDtype) or getattr(a.dtype, "kind", "") in _SAME_KINDS:
        return None  # the type being the same, so are the values
    return None if a.array.equals(b.array) else "some of its values would become others"
