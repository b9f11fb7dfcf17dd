"""Arrow data as other writers make them, and data of which a part is odd or damaged."""

import io
import struct

import pyarrow as pa
import pytest

from rain.notebook.inspectors.limits import ARROW_COLUMN_BYTES_MAX, TABLE_PAGE_ROWS
from rain.notebook.inspectors.viewers.arrow_messages import _Table
from tests.unit.notebook.inspect.rig import Look, elsewhere


def ipc(table, make=pa.ipc.new_file, **options):
    out = io.BytesIO()
    with make(out, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return out.getvalue()


def shown(data, rows):
    """All cells, by columns."""
    look = Look(data, "arrow")
    columns = [[] for _ in look.page()["columns"]]
    for offset in range(0, rows, TABLE_PAGE_ROWS):
        page = look.page(offset=offset)
        assert page["offset"] == offset
        for row in page["rows"]:
            for column, value in zip(columns, row, strict=True):
                column.append(value)
    return columns


ROWS = 3 * TABLE_PAGE_ROWS + 7
NESTED = {
    "strings": pa.array([["a"], ["b", None, "ß" * 20], [], None]),
    "views": pa.array([["short", "v" * 40], [None], [], None], pa.list_(pa.string_view())),
    "large": pa.array([["a"], ["b", "c"], [], None], pa.large_list(pa.large_string())),
    "lists": pa.array([[[1], []], [[2, 3]], [None], None]),
    "structs": pa.array([[{"x": "u", "y": [1]}], [], [{"x": None, "y": None}], None]),
    "struct": pa.array([{"x": ["a"], "y": {"z": "q"}}, None, {"x": [], "y": None}, {"x": None, "y": {"z": None}}]),
    "map": pa.array([[("k", ["v"])], [], [("l", []), ("m", None)], None], pa.map_(pa.string(), pa.list_(pa.string()))),
    "fixed": pa.array([["a", "b"], None, ["c", None], ["", "d"]], pa.list_(pa.string(), 2)),
    "codes": pa.array(
        [["u", "v"], None, [], ["w", None]], pa.list_(pa.dictionary(pa.int8(), pa.string()))
    ),
    "bools": pa.array([[True, False], [], None, [None]]),
    "list views": pa.array([["a"], ["b", "c"], [], None], pa.list_view(pa.string())),
    "string views": pa.array(["short", "v" * 40, None, ""], pa.string_view()),
    "binary views": pa.array([b"short", b"v" * 40, None, b""], pa.binary_view()),
}  # fmt: skip


@pytest.mark.parametrize("name", NESTED)
@pytest.mark.parametrize("compression", [None, "lz4"])
def test_nested_columns_of_a_batch_longer_than_a_page(name, compression):
    four = NESTED[name]
    column = pa.concat_arrays([four] * (ROWS // 4 + 1)).slice(0, ROWS)
    (cells,) = shown(ipc(pa.table({"c": column}), compression=compression), ROWS)
    values = ["" if value is None else value for value in column.to_pylist()]
    if name == "binary views":
        values = [value.hex(" ") if value else "" for value in values]
    assert cells == [value if isinstance(value, str) else str(value) for value in values]


def test_of_long_views_only_what_is_shown_is_read():
    column = pa.array([str(number).ljust(100, ".") for number in range(100_000)], pa.string_view())
    source, _ = elsewhere(ipc(pa.table({"c": column})))
    look = Look(source, "arrow")
    assert look.page(offset=70_000)["rows"][0][0].startswith("70000..")
    assert look.bytes_read() < ARROW_COLUMN_BYTES_MAX / 4


# -- other writers ---------------------------------------------------------------------------------


def without_length(data):
    """A file whose first schema has no length before it, as polars writes it."""
    assert data[8:12] == b"\xff\xff\xff\xff"
    length = int.from_bytes(data[12:16], "little")
    return data[:8] + data[16 : 16 + length] + bytes(8) + data[16 + length :]


def test_a_file_whose_first_schema_lacks_its_length():
    table = pa.table({"a": [1, 2], "s": ["x", None], "c": pa.array(["u", "v"]).dictionary_encode()})
    data = without_length(ipc(table))
    look = Look(data, "arrow")
    page = look.page()
    assert page["rows"] == [["1", "x", "u"], ["2", "", "v"]]
    assert "damaged" not in dict(page["summary"])
    answer = Look(data[:-20], "arrow").answer()
    assert answer["view"] == "hex"
    assert "cut off" in answer["note"]


@pytest.mark.parametrize("compression", ["uncompressed", "lz4", "zstd"])
def test_what_polars_writes(compression):
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(
        {"a": range(250), "s": ["x" * (number % 30) for number in range(250)], "l": [[str(n)] for n in range(250)]}
    ).with_columns(c=polars.Series(["u", "v"] * 125, dtype=polars.Categorical))
    for write in (frame.write_ipc, frame.write_ipc_stream):
        out = io.BytesIO()
        write(out, compression=compression)
        columns = shown(out.getvalue(), 250)
        assert columns[0] == [str(number) for number in range(250)]
        assert columns[1:] == [
            ["x" * (number % 30) for number in range(250)],
            [f"['{number}']" for number in range(250)],
            ["u", "v"] * 125,
        ]


def big_endian(data, swapped=True):
    """A stream of one batch, as a computer that puts the highest byte first would have written it."""
    length = int.from_bytes(data[4:8], "little")
    schema, rest = data[8 : 8 + length], data[8 + length :]
    old = _Table.root(schema).table(2)
    at = old._field(1)
    fields = at + int.from_bytes(schema[at : at + 4], "little")
    # A message (at 16) with a schema (at 40) of its own, which has the old one's fields.
    head = struct.pack("<I5H2xiHBxI", 16, 10, 12, 4, 6, 8, 12, 4, 1, 40 - 24)
    head += struct.pack("<4H4xihxxI4x", 8, 12, 4, 8, 12, 1, 56 + fields - 48)
    assert len(head) == 56
    head += schema
    body_at = 8 + int.from_bytes(rest[4:8], "little")
    batch = _Table.root(rest[8:body_at]).table(2)
    body = bytearray(rest[body_at:])
    widths = iter([1, 4, 1, 8, 1, 4, 1])
    for start, size in batch.structs(2, struct.Struct("<qq")) if swapped else ():
        width = next(widths)
        for place in range(start, start + size - width + 1, width):
            body[place : place + width] = body[place : place + width][::-1]
    return b"\xff\xff\xff\xff" + len(head).to_bytes(4, "little") + head + rest[:body_at] + bytes(body)


def test_data_with_the_highest_byte_first():
    table = pa.table({"i": pa.array(range(250), pa.int32()), "f": [n / 2 for n in range(250)], "s": ["ß"] * 250})
    data = big_endian(ipc(table, pa.ipc.new_stream))
    assert shown(data, 250) == [
        [str(number) for number in range(250)],
        [str(number / 2) for number in range(250)],
        ["ß"] * 250,
    ]
    large = pa.table(
        {"i": pa.nulls(3, pa.int32()), "f": pa.nulls(3, pa.float64()), "s": ["x" * ARROW_COLUMN_BYTES_MAX] * 3}
    )
    data = ipc(large, pa.ipc.new_stream)
    answer = Look(big_endian(data, swapped=False), "arrow").answer()
    assert "a big-endian batch of 12.0 MiB can only be read as a whole" in answer["note"]


# -- values that are odd ---------------------------------------------------------------------------


def test_an_odd_value_hides_no_other():
    day = 86_400_000
    long = b"".join(number.to_bytes(16, "little", signed=True) for number in (12345, 10**30, -1))
    dates = pa.array([day, day + 3_600_000, None], pa.int64()).view(pa.date64())
    decimals = pa.Array.from_buffers(pa.decimal128(5, 2), 3, [None, pa.py_buffer(long)])
    times = pa.array([1, 10**8, None], pa.int32()).view(pa.time32("ms"))
    table = pa.table({"date": dates, "decimal": decimals, "time": times})
    date, decimal, time = shown(ipc(table), 3)
    assert date == ["1970-01-02", "1970-01-02 01:00:00", ""]
    assert decimal == ["123.45", str(10**28) + ".00", "-0.01"]
    assert (time[0], time[2]) == ("00:00:00.001000", "")
    assert time[1].startswith("(")


def test_a_damaged_value_hides_no_other():
    codes = pa.array([number % 3 for number in range(150)], pa.int32())
    table = pa.table(
        {
            "s": [f"row {number} here" for number in range(150)],
            "l": [[f"one {number}", "two"] for number in range(150)],
            "c": pa.DictionaryArray.from_arrays(codes, ["u", "v", "w"]),
        }
    )
    data = bytearray(ipc(table))
    for text in (b"row 7 here", b"one 9two"):
        data[data.index(text) + 4] = 0xFF
    start = data.index(struct.pack("<6i", 0, 1, 2, 0, 1, 2))
    data[start + 4 * 5 : start + 4 * 5 + 4] = struct.pack("<i", 77)
    strings, lists, words = shown(bytes(data), 150)
    assert [number for number, text in enumerate(strings) if text != f"row {number} here"] == [7]
    assert [number for number, text in enumerate(lists) if text != str([f"one {number}", "two"])] == [9]
    assert [number for number, text in enumerate(words) if text != "uvw"[number % 3]] == [5]
    assert strings[7].startswith("(")
    assert "dictionary" in words[5]


def test_arrays_of_impossible_lengths():
    data = ipc(pa.table({"s": [{"x": ["a"]}, {"x": []}, {"x": ["b"]}]}))
    for before, after in (((3, 0), (-1, 0)), ((2, 0), (-(1 << 63) + 5, 0)), ((3, 0), (3, 4)), ((3, 0), (1 << 62, 0))):
        changed = data.replace(struct.pack("<qq", *before), struct.pack("<qq", *after))
        assert changed != data
        answer = Look(changed, "arrow").answer()
        assert answer["view"] == "hex" or answer["page"]["total"] == 0 or "(" in str(answer["page"]["rows"])
