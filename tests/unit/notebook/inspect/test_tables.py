import csv
import io
import random
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from rain.common.errors import RainException
from rain.notebook.inspectors.limits import OPEN_READ_BYTES_MAX, ROW_BYTES_MAX, TABLE_PAGE_ROWS
from rain.objects.content_types import codecs
from tests.unit.notebook.inspect.rig import Look, elsewhere

CSV = "mime/text/csv"


def written(rows, **how):
    text = io.StringIO()
    csv.writer(text, **how).writerows(rows)
    return text.getvalue().encode()


def all_rows(look, **parameters):
    rows, page = [], look.page(**parameters)
    while True:
        rows += page["rows"]
        if page["total"] is not None and len(rows) >= page["total"]:
            return rows
        page = look.page(offset=len(rows), **parameters)
        assert page["offset"] == len(rows)


# -- CSV -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_all_rows_of_a_csv_come_in_pages(delimiter, end):
    chance = random.Random(4)
    cells = ["", "plain", f"with{delimiter}in", 'quo"ted', "two\nlines", "ß\u202e", "x" * 150]
    rows = [[str(number), chance.choice(cells), chance.choice(cells)] for number in range(1234)]
    look = Look(written([["no", "left", "right"], *rows], delimiter=delimiter, lineterminator=end), CSV)
    assert [[c.replace("\r\n", "\n") for c in row] for row in all_rows(look)] == rows
    assert [column["name"] for column in look.page()["columns"]] == ["no", "left", "right"]
    assert look.page()["columns"][0]["dtype"] == "integer"


def test_a_csv_without_names_of_columns():
    page = Look(b"1,2.5\n3,x\n", CSV).page()
    assert page["rows"] == [["1", "2.5"], ["3", "x"]]
    assert page["columns"] == [{"name": "column 1", "dtype": "integer"}, {"name": "column 2", "dtype": "text"}]


@pytest.mark.parametrize(
    ("data", "names"),
    [
        ("country,2000,2001\nFrance,1.5,2\nSpain,,3\n", ["country", "2000", "2001"]),
        ("country,2000,2001\nFrance,1999,2000\n", None),
        (",0,1,2\n0,5,6,9\n", ["column 1", "0", "1", "2"]),
        (",0,1\na,5,0\nb,3,0\n", ["column 1", "0", "1"]),
        ("week,1,2,3\nx,9,5,6\n", ["week", "1", "2", "3"]),
        ("name,2000,change\nx,5,3\ny,6,-1\n", ["name", "2000", "change"]),
        ("Ann,1,2\nBob,3,4\n", None),
        ("Ann,NA,2\nBob,3,4\n", None),
        ("x,1,2,3\ny,4,5,6\n", None),
        ("1,2,3\n4,5,6\n", None),
        ("a,b\nc,d\n", ["a", "b"]),
    ],
)
def test_which_first_rows_are_names(data, names):
    page = Look(data.encode(), CSV).page()
    rows = data.splitlines()
    expected = names or [f"column {number + 1}" for number in range(len(rows[0].split(",")))]
    assert [column["name"] for column in page["columns"]] == expected
    assert page["total"] == len(rows) - (names is not None)


def test_the_line_that_tells_excel_the_delimiter():
    for start in (b"sep=;\r\n", b'"SEP=;"\n', b"\xef\xbb\xbfsep=;\n"):
        page = Look(start + b"a,1;b\n1,5;2\n", CSV).page()
        assert [column["name"] for column in page["columns"]] == ["a,1", "b"]
        assert page["rows"] == [["1,5", "2"]]
        assert page["total"] == 1


def test_lines_that_end_with_a_carriage_return():
    rows = [[str(number), f"text {number}", 'two\nlines and "quotes"'] for number in range(150)]
    data = written([["no", "text", "more"], *rows], lineterminator="\r")
    assert all_rows(Look(data, CSV)) == rows
    answer = Look(data).answer()
    assert "table" in answer["views"]


def test_a_csv_in_another_encoding():
    rows = [["1", "10 € „gut“"], ["2", "Zoë"]]
    text = "no;what\n" + "".join(";".join(row) + "\n" for row in rows)
    page = Look(text.encode("cp1252"), CSV).page()
    assert page["rows"] == rows
    assert dict(page["summary"])["encoding"] == "cp1252"
    late = "no;what\n" + "1;plain\n" * 20_000 + "2;Zoë\n"
    look = Look(late.encode("latin-1"), CSV)
    page = look.page(offset=19_950)
    assert page["rows"][-1] == ["2", "Zoë"]
    assert dict(page["summary"])["encoding"] == "utf-8 or iso8859-1"


def test_names_show_what_is_in_them():
    name = "two\nlines \u202egnp.exe\u2066"
    shown = "two\\nlines \\u202egnp.exe\\u2066"
    frame = pd.DataFrame({name: [1]}, index=pd.Index([name]))
    for look in (
        Look(written([[name, "b"], ["x", "y"]]), CSV),
        Look(codecs.encode_value(frame, "arrow"), "arrow"),
        Look(codecs.encode_value(frame, "pickle"), "pickle"),
        Look(npy(np.array([(1,)], [(name, "i4")]))),
    ):
        view = "value" if "value" in look.answer()["views"] else "table"
        page = look.page(view=view)
        assert page["columns"][0]["name"] == shown
        assert page["index"][0] in ("0", shown)


def wide_tables():
    frame = pd.DataFrame({f"c{number}": [number, -number] for number in range(400)})
    yield Look(frame.to_csv(index=False).encode(), CSV), "table"
    yield Look(codecs.encode_value(frame, "arrow"), "arrow"), "table"
    yield Look(codecs.encode_value(frame, "pickle"), "pickle"), "value"
    yield Look(codecs.encode_value(frame.to_records(index=False), "pickle"), "pickle"), "value"
    yield Look(codecs.encode_value(pa.Table.from_pandas(frame), "pickle"), "pickle"), "value"
    yield Look(npy(frame.to_records(index=False))), "table"


def test_all_columns_of_wide_tables_can_be_shown():
    for look, view in wide_tables():
        names, column = [], 0
        while column < 400:
            page = look.page(view=view, column=column)
            assert (page["column"], page["width"], page["total"]) == (column, 400, 2)
            names += [item["name"] for item in page["columns"]]
            assert page["rows"] == [[str(sign * number) for number in range(column, len(names))] for sign in (1, -1)]
            column = len(names)
        assert names == [f"c{number}" for number in range(400)]
        assert look.page(view=view, column=10**6)["columns"] == []


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"a", b"a,b", b"\xef\xbb\xbfa,b\n1,2", b'"', b'a\n"', b"\0,\0\n\0,\0", b"a\rb\rc"]
)
def test_odd_small_csv(data):
    page = Look(data, CSV).page(view="table")
    assert page["total"] == len(page["rows"])


def test_a_byte_order_mark_is_not_part_of_the_first_name():
    assert Look(b"\xef\xbb\xbfname,b\n1,2", CSV).page()["columns"][0]["name"] == "name"


def test_a_quote_that_never_ends_takes_only_its_line():
    lines = [f"{number},x" for number in range(50_000)]
    lines[10] = '10,"never'
    page = Look(("a,b\n" + "\n".join(lines)).encode(), CSV).page()
    assert page["rows"][9:12] == [["9", "x"], ['10,"never'], ["11", "x"]]


def test_rows_without_end_are_cut():
    long = b"y" * (3 * ROW_BYTES_MAX)
    page = Look(b"a,b\n1,2\n" + long + b"\n3,4\n", CSV).page()
    assert [row[0][:3] for row in page["rows"]] == ["1", "yyy", "3"]
    assert page["total"] == 3


def test_going_far_into_a_csv_indexes_it_on_the_way():
    data = b"number,text\n" + b"".join(b"%d,%s\n" % (number, b"t" * 40) for number in range(300_000))
    source, reads = elsewhere(data)
    look = Look(source, CSV)
    page = look.page()
    assert page["total"] is None
    assert page["rows"][99][0] == "99"
    assert look.bytes_read() <= OPEN_READ_BYTES_MAX + 2 * ROW_BYTES_MAX
    wanted = 299_950
    for _ in range(9):
        page = look.page(offset=wanted)
        assert page["rows"][0][0] == str(page["offset"])
        if page["offset"] == wanted:
            break
    assert page["offset"] == wanted
    assert len(page["rows"]) == 50
    assert page["total"] == 300_000
    assert len(reads) < 200
    assert look.page(offset=123_456)["rows"][0][0] == "123456"


def test_utf16_is_left_to_the_text():
    answer = Look("a,b\n1,2\n".encode("utf-16"), CSV).answer()
    assert answer["view"] == "text"
    assert "in parts" in answer["note"]


# -- Arrow -----------------------------------------------------------------------------------------


def ipc(table, make=pa.ipc.new_file, batches=1, options=None):
    out = io.BytesIO()
    with make(out, table.schema, options=options) as writer:
        for _ in range(batches):
            writer.write_table(table)
    return out.getvalue()


KINDS = {
    "i": pa.array([1, None, 3], pa.int8()),
    "b": pa.array([True, None, False]),
    "s": pa.array(["a", "", None]),
    "ls": pa.array(["a", "ß", None], pa.large_string()),
    "bin": pa.array([b"a", b"", None]),
    "fsb": pa.array([b"ab", None, b"cd"], pa.binary(2)),
    "dec": pa.array([1, 2, None]).cast(pa.decimal128(30, 2)),
    "l": pa.array([[1], [], None]),
    "lls": pa.array([["x"], ["y", None], None], pa.large_list(pa.string())),
    "fsl": pa.array([[1, 2], None, [5, 6]], pa.list_(pa.int16(), 2)),
    "st": pa.array([{"x": 1, "y": ["u"]}, None, {"x": 2, "y": []}]),
    "m": pa.array([[("k", 1)], [], None], pa.map_(pa.string(), pa.int64())),
    "n": pa.nulls(3),
    "d": pa.array(["u", "v", "u"]).dictionary_encode(),
    "sv": pa.array(["v" * 30, "w", None], pa.string_view()),
    "ts": pa.array([1, 2**62, None], pa.timestamp("us")),
    "time": pa.array([1, 2, 3], pa.time32("s")),
    "f16": pa.array(np.array([1, 2, 3], "f2")),
    "ree": pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array(["r", "q"])),
    "un": pa.UnionArray.from_sparse(pa.array([0, 1, 0], pa.int8()), [pa.array([1, 2, 3]), pa.array(["a", "b", "c"])]),
}


@pytest.mark.parametrize("make", [pa.ipc.new_file, pa.ipc.new_stream])
@pytest.mark.parametrize("compression", [None, "zstd", "lz4"])
def test_every_kind_of_column(make, compression):
    table = pa.table(KINDS)
    look = Look(ipc(table, make, 3, pa.ipc.IpcWriteOptions(compression=compression)), "arrow")
    page = look.page()
    assert page["total"] == 9
    for at, (name, column) in enumerate(KINDS.items()):
        found = [row[at] for row in page["rows"]][3:6]
        if name == "ts":
            assert found[1].startswith("(OverflowError")
            continue
        values = column.to_pylist()
        if name in ("bin", "fsb"):
            values = [None if value is None else value.hex(" ") for value in values]
        assert found == ["" if value is None else str(value) for value in values]


def test_any_rows_of_one_large_batch_cost_what_they_are():
    count = 300_000
    frame = pd.DataFrame(
        {
            "a": np.arange(count),
            "s": [f"row {number}" for number in range(count)],
            "c": pd.Categorical(["x", "y"] * (count // 2)),
            "l": [[number] for number in range(count)],
        }
    )
    source, reads = elsewhere(codecs.encode_value(frame, "arrow"))
    look = Look(source, "arrow")
    for offset in (0, 123_456, count - 7):
        page = look.page(offset=offset)
        assert page["total"] == count
        assert page["rows"][0] == [str(offset), f"row {offset}", "xy"[offset % 2], f"[{offset}]"]
        assert len(page["rows"]) == min(TABLE_PAGE_ROWS, count - offset)
    assert look.bytes_read() < 100_000
    assert len(reads) < 60


def test_rows_of_many_batches():
    table = pa.table({"a": range(30)})
    for make in (pa.ipc.new_file, pa.ipc.new_stream):
        look = Look(ipc(table, make, 200), "arrow")
        page = look.page(offset=3333)
        assert [row[0] for row in page["rows"]] == [str(number % 30) for number in range(3333, 3433)]
        assert look.page(offset=10**9)["offset"] == look.page(offset=10**9)["total"] == 6000


def test_the_labels_of_a_frame():
    frame = pd.DataFrame({"v": [1, 2]}, index=pd.Index(["x", "y"], name="key"))
    page = Look(codecs.encode_value(frame, "arrow"), "arrow").page()
    assert page["index"] == ["x", "y"]
    assert [column["name"] for column in page["columns"]] == ["v"]
    assert ["made from", "a data frame"] in page["summary"]


def test_an_arrow_file_that_is_cut_off_shows_what_is_there():
    data = ipc(pa.table({"a": range(1000)}), batches=5)
    page = Look(data[: len(data) // 2], "arrow").page()
    assert page["total"] == 2000
    assert "cut off" in dict(page["summary"])["damaged"]


@pytest.mark.parametrize("seed", range(60))
def test_a_damaged_arrow_file_does_no_harm(seed):
    chance = random.Random(seed)
    make = chance.choice([pa.ipc.new_file, pa.ipc.new_stream])
    option = pa.ipc.IpcWriteOptions(compression=chance.choice([None, "zstd"]))
    data = bytearray(ipc(pa.table(KINDS), make, 2, option))
    for _ in range(chance.choice([1, 4, 30])):
        data[chance.randrange(len(data))] = chance.randrange(256)
    Look(bytes(data), "arrow").page()


def test_a_compressed_batch_that_is_too_large_is_not_read():
    table = pa.table({"a": np.random.default_rng(1).integers(0, 1 << 62, 1_000_000)})
    source, _ = elsewhere(ipc(table, options=pa.ipc.IpcWriteOptions(compression="zstd")))
    look = Look(source, "arrow")
    answer = look.answer()
    assert answer["view"] == "hex"
    assert "ARROW_COLUMN_BYTES_MAX" in answer["note"]
    assert look.bytes_read() < 200_000
    bomb = ipc(pa.table({"a": np.zeros(20_000_000)}), options=pa.ipc.IpcWriteOptions(compression="zstd"))
    assert "ARROW_INFLATED_BYTES_MAX" in Look(bomb, "arrow").answer()["note"]


def test_tables_with_nothing_in_them():
    assert Look(ipc(pa.table({"a": pa.array([], pa.int64())}), batches=0), "arrow").page()["total"] == 0
    assert Look(ipc(pa.table({})), "arrow").page()["columns"] == []
    page = Look(ipc(pa.table({f"c{number}": [number] for number in range(500)})), "arrow").page()
    assert len(page["columns"]) == len(page["rows"][0]) == 64
    assert ["columns", "500"] in page["summary"]


# -- .npy ------------------------------------------------------------------------------------------


def npy(array):
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


@pytest.mark.parametrize(
    "array",
    [
        np.arange(250),
        np.arange(24.0).reshape(4, 6),
        np.asfortranarray(np.arange(24).reshape(4, 6)),
        np.array(["ab", "ß"]),
        np.array([1 + 2j, 3]),
        np.array([True, False]),
        np.array(["2020-01-02"], "M8[D]"),
        np.arange(6, dtype=">i2"),
    ],
)
def test_arrays_show_their_values(array):
    look = Look(npy(array))
    assert look.answer()["view"] == "table"
    expected = (
        [[str(v) for v in np.atleast_1d(row).tolist()] for row in array]
        if array.dtype.kind != "M"
        else [["2020-01-02"]]
    )
    assert all_rows(look) == expected
    assert dict(look.page()["summary"])["dtype"] == str(array.dtype)


def test_arrays_with_fields_several_axes_or_none():
    page = Look(npy(np.array([(1, 2.5)], [("n", "i4"), ("x", "f8")]))).page()
    assert page["columns"] == [{"name": "n", "dtype": "int32"}, {"name": "x", "dtype": "float64"}]
    assert page["rows"] == [["1", "2.5"]]
    cube = np.arange(24).reshape(2, 3, 4)
    for array in (cube, np.asfortranarray(cube)):
        page = Look(npy(array)).page()
        for row, values in zip(page["rows"], cube, strict=True):
            for column, value in zip(page["columns"], row, strict=True):
                place = tuple(map(int, column["name"].split(", ")))
                assert value == str(values[place])
    assert Look(npy(np.array(7))).page()["rows"] == [["7"]]
    assert Look(npy(np.zeros((0, 3)))).page()["total"] == 0
    assert Look(npy(np.zeros((3, 0)))).page()["rows"] == [[], [], []]


@pytest.mark.parametrize("order", ["C", "F"])
def test_wide_arrays_are_read_in_part(order):
    array = np.zeros((1000, 3000), order=order)
    array[500, 3] = 5
    source, _ = elsewhere(npy(array))
    look = Look(source)
    page = look.page(offset=500)
    assert page["rows"][0][3] == "5.0"
    assert look.bytes_read() <= OPEN_READ_BYTES_MAX + 3 * 65536
    assert (page["column"], page["width"]) == (0, 3000)
    array[500, 2999] = 7
    source, _ = elsewhere(npy(array))
    look = Look(source)
    page = look.page(offset=500, column=2998)
    assert page["rows"][0] == ["0.0", "7.0"]
    assert [column["name"] for column in page["columns"]] == ["2998", "2999"]
    assert look.bytes_read() <= OPEN_READ_BYTES_MAX + 3 * 65536


def test_arrays_of_objects_are_not_loaded():
    answer = Look(npy(np.array([{}, []], dtype=object))).answer()
    assert answer["view"] == "hex"
    assert "pickled" in answer["note"]


@pytest.mark.parametrize("cut", [5, 9, 12, 60, 127, 200])
def test_arrays_that_are_cut_off(cut):
    answer = Look(npy(np.arange(100))[:cut]).answer()
    assert answer["view"] in ("hex", "text")


@pytest.mark.parametrize(
    "header",
    [
        b"()" * 20,
        b"[" * 100,
        b"{'descr': '<i8', 'fortran_order': 0, 'shape': (3,)}",
        b"{'descr': 'O', 'fortran_order': False, 'shape': (1,)}",
        b"{'descr': '<i8', 'fortran_order': False, 'shape': (4611686018427387903, 9)}",
    ],
)
def test_headers_of_arrays_are_not_trusted(header):
    good = npy(np.arange(3))
    start = good.index(b"{")
    data = good[:start] + header.ljust(len(good) - 24 - start - 1) + b"\n" + good[-24:]
    with pytest.raises(RainException):
        Look(data).page(view="table")


# -- without the extra -------------------------------------------------------------------------------


@pytest.mark.parametrize(("data", "package"), [(ipc(pa.table({"a": [1]})), "pyarrow"), (npy(np.arange(3)), "numpy")])
def test_without_a_package_it_is_said_what_to_install(monkeypatch, data, package):
    monkeypatch.setitem(sys.modules, package, None)
    answer = Look(data).answer()
    assert answer["view"] == "hex"
    assert package in answer["note"]
    assert "pip install 'rain[arrow]'" in answer["note"]


def test_all_else_works_without_any_of_them():
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('numpy', 'pandas', 'pyarrow'))); "
        "from rain.common import DataInstance; from rain.common.spec import ObjectInfo; "
        "from rain.objects.readers import BytesReader; from rain.notebook.inspectors import static_text; "
        "[print(static_text(DataInstance(BytesReader(data), None, ObjectInfo(content_type=kind)))) for data, kind in "
        "((b'a,b\\n1,2\\n', 'mime/text/csv'), (b'[1]', 'json'), (b'\\x81\\x01', 'cbor'), (b'\\x80\\x04N.', 'pickle'))]"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "0: 1" in done.stdout
    assert "NoneType" in done.stdout
