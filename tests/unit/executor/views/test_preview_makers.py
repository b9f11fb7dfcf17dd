"""Previews of values of all kinds: what they tell, and that they stay small whatever the value is."""

from __future__ import annotations

import collections
import dataclasses
import io
import struct
import time

import numpy
import pandas
import polars
import pyarrow
import pytest
import scipy.sparse
from PIL import Image

from rain.common.limits import PREVIEW_BYTES_MAX
from rain.common.protocol.previews import Field, Histogram, decode_preview
from rain.executor.views.preview import fitted, preview_of


def shown(value):
    """The preview as it arrives."""
    data = fitted(preview_of(value))
    assert len(data) <= PREVIEW_BYTES_MAX
    return decode_preview(data)


def facts(value):
    return dict(shown(value).summary)


def test_arrays_tell_shape_type_first_values_and_distribution():
    found = shown(numpy.arange(24.0).reshape(4, 6))
    assert found.type == "numpy.ndarray"
    assert found.summary == [
        ("shape", "4 x 6"),
        ("dtype", "float64"),
        ("memory", "192 bytes"),
        ("min, mean, max", "0, 11.5, 23"),
    ]
    assert found.head.rows[1] == ["6", "7", "8", "9", "10", "11"]
    assert found.histogram == Histogram([1] * 24, "0", "23", "all values")
    line = shown(numpy.arange(100, dtype="int8"))
    assert line.text.startswith("0, 1, 2, ")
    assert line.text.endswith("39, …")
    assert shown(numpy.float32(2.5)).text.startswith("np.float32(2.5")
    assert shown(numpy.array(7)).text == "7"
    assert shown(numpy.zeros((0, 3))).summary[0] == ("shape", "0 x 3")


def test_arrays_with_odd_numbers():
    odd = numpy.array([1.0, numpy.nan, numpy.inf, 3.0])
    assert facts(odd)["not finite"] == "2 of 4"
    assert facts(odd)["min, mean, max"] == "1, 2, 3"
    assert facts(numpy.array([True, False, True]))["true"] == "2 of 3"
    assert shown(numpy.array([numpy.nan] * 3)).histogram is None
    assert shown(numpy.array([-1.7e308, 1.7e308])).histogram is None  # their difference is no number
    assert "masked" in facts(numpy.ma.masked_less(numpy.arange(5), 2))
    assert shown(numpy.array(["<b>", "ü"])).text == "<b>, ü"
    assert shown(numpy.array([object(), 3])).text.startswith("<object object")
    record = shown(numpy.array([(1, 2.5)], dtype=[("n", "i4"), ("x", "f8")]))
    assert record.head.columns == [("n", "int32"), ("x", "float64")]
    assert record.head.rows == [["1", "2.5"]]
    assert shown(numpy.array(["2026-01-01"], "M8[D]")).text == "2026-01-01"


def test_of_large_arrays_a_part_is_counted():
    large = numpy.arange(10_000_000)
    begin = time.process_time()
    found = shown(large)
    assert time.process_time() - begin < 0.1
    assert found.histogram.of == "65,536 of 10,000,000 values"
    assert sum(found.histogram.counts) == 65_536
    assert shown(large[::2]).histogram.of == "the first values of each axis"


def test_tables_show_their_heads():
    frame = pandas.DataFrame({"n": range(50), "text": ["a\u202eb"] * 50}, index=[f"r{n}" for n in range(50)])
    found = shown(frame)
    assert found.summary[0] == ("shape", "50 rows x 2 columns")
    assert found.head.columns[0] == ("n", "int64")
    assert (found.head.index[1], found.head.rows[1]) == ("r1", ["1", "a\u202eb"])
    assert len(found.head.rows) == 10
    column = shown(frame["n"])
    assert column.head.rows[2] == ["2"]
    assert sum(column.histogram.counts) == 50
    assert shown(polars.DataFrame({"x": [1.5, None]})).head.rows == [["1.5"], ["None"]]
    assert shown(polars.Series("x", [1, 2])).head.columns == [("x", "Int64")]
    table = pyarrow.table({"x": [1, 2], "y": ["a", "b"]})
    assert shown(table).head.rows == [["1", "a"], ["2", "b"]]
    assert shown(table.column("x")).head.rows == [["1"], ["2"]]
    times = pandas.DataFrame(
        {"at": pandas.to_datetime(["2026-01-02 03:04", None]), "took": pandas.to_timedelta([90, 5], "s")}
    )
    assert shown(times).head.rows == [["2026-01-02 03:04:00", "0 days 00:01:30"], ["NaT", "0 days 00:00:05"]]
    wide = shown(pandas.DataFrame(numpy.zeros((3, 5000))))
    assert wide.summary[0] == ("shape", "3 rows x 5,000 columns")
    assert shown(pandas.DataFrame()).head.rows == []


def png_size(data):
    assert data.startswith(b"\x89PNG")
    return struct.unpack(">II", data[16:24])


def test_figures_and_images_are_pictures():
    from matplotlib.figure import Figure  # slow to import

    figure = Figure(figsize=(4, 2))
    axes = figure.subplots()
    axes.plot([1, 3, 2])
    axes.set_title("<script>")
    found = shown(figure)
    assert found.summary == [("size", "4 x 2 inches"), ("axes", "1"), ("title", "<script>")]
    assert png_size(found.picture.data) == (found.picture.width, found.picture.height) == (320, 160)
    noise = numpy.random.default_rng(1).integers(0, 255, (400, 300, 3), dtype="uint8")
    image = shown(Image.fromarray(noise))
    assert dict(image.summary)["size"] == "300 x 400 pixels"
    assert image.picture is not None
    pixels = shown(noise)
    assert Image.open(io.BytesIO(pixels.picture.data)).size == (pixels.picture.width, pixels.picture.height)
    assert shown(noise[:, :, 0]).picture is not None
    assert shown(numpy.zeros((3, 3), "uint8")).picture is None


@dataclasses.dataclass
class Point:
    x: int
    secret: str


class Slotted:
    __slots__ = ("a", "b")

    def __init__(self):
        self.a = 1


class Told:
    def __init__(self):
        self.x = 1

    def __repr__(self):
        return "told"


def test_values_with_parts_show_them():
    assert shown(Point(1, "<b>")).fields == [Field("x", "int", "1"), Field("secret", "str", "<b>")]
    assert shown(Slotted()).fields == [Field("a", "int", "1")]
    told = shown(Told())
    assert (told.text, told.fields) == ("told", [Field("x", "int", "1")])
    pair = collections.namedtuple("Pair", "left right")(1, numpy.zeros((2, 3)))
    assert shown(pair).fields[1] == Field("right", "numpy.ndarray", "<ndarray 2 x 3 float64>")
    assert shown({"a": [1], 2: "b"}).fields == [Field("a", "list", "[1]"), Field("2", "str", "b")]
    assert shown(dict.fromkeys(range(1000))).fields[-1] == Field("…", "", "")
    from sklearn.linear_model import LinearRegression  # slow to import

    model = LinearRegression(fit_intercept=False).fit([[0], [1]], [0, 1])
    found = shown(model)
    assert ("fitted", "yes") in found.summary
    assert Field("fit_intercept", "bool", "False") in found.fields
    assert any(field.name == "coef_" for field in found.fields)
    assert facts(scipy.sparse.eye(4).tocsr())["stored values"] == "4"


def test_other_values_are_texts():
    assert shown([1, 2]).text == "[1, 2]"
    assert facts("x" * 10)["length"] == "10"
    assert shown("line\nline").text == "line\nline"
    assert shown(None).text == "None"
    assert shown(1 << 100_000).text == "<an integer of 100001 bits>"
    assert shown({1, 2}).text == "{1, 2}"
    assert shown(frozenset()).text == "frozenset()"
    assert shown("\ud800").text == "\\ud800"


class Raises:
    def __repr__(self):
        raise SystemExit("no")


class WithoutText:
    def __repr__(self):
        raise WithoutTextError


class WithoutTextError(Exception):
    def __str__(self):
        raise ValueError


class Broken(collections.UserDict):
    def __len__(self):
        raise ValueError("no length")


def test_what_a_value_raises_is_said():
    assert shown(Raises()).text == "<its repr raises SystemExit: no>"
    assert shown([Raises(), 1]).text == "[<its repr raises SystemExit: no>, 1]"
    assert shown(WithoutText()).text == "<its repr raises WithoutTextError>"
    assert shown(Broken()).note == "It is not shown as it could be: ValueError: no length"


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("ü" * 1_000_000, id="text"),
        pytest.param({f"key {n}" * 50: "x" * 10_000 for n in range(1000)}, id="dict"),
        pytest.param(pandas.DataFrame({f"column {n}" * 40: ["x" * 1000] * 20 for n in range(30)}), id="frame"),
        pytest.param([[["x" * 1000] * 100] * 100] * 100, id="nested"),
        pytest.param(type("N" * 10_000, (), {})(), id="name"),
    ],
)
def test_a_preview_is_small_whatever_the_value_is(value):
    assert shown(value).type


def test_large_containers_are_not_sorted():
    large = dict.fromkeys(range(1_000_000))
    begin = time.process_time()
    shown(large)
    shown([large])
    shown(set(large))
    assert time.process_time() - begin < 0.1
