"""Objects of 10 GB, of which next to nothing may be read, in whatever view."""

import struct
import time

import cbor2
import numpy as np
import pyarrow as pa
import pytest

from rain.common.errors import RainException
from rain.notebook.inspectors import static_text
from rain.notebook.inspectors.limits import MORE_READ_BYTES_MAX
from tests.unit.notebook.inspect.rig import GIB, Look, elsewhere, sparse

READ_MAX = 1_000_000
TIME_MAX_S = 0.9


def npy_head(shape):
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}}}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()


def arrow_stream_of(rows):
    """The head of a stream with one batch of `rows` rows, whose body is announced and all zeros."""
    small = pa.BufferOutputStream()
    table = pa.table({"a": pa.array(np.zeros(1000, "i8")), "b": pa.array(np.zeros(1000, "f8"))})
    with pa.ipc.new_stream(small, table.schema) as writer:
        writer.write_table(table)
    data = small.getvalue().to_pybytes()
    start = int.from_bytes(data[4:8], "little") + 8
    end = start + 8 + int.from_bytes(data[start + 4 : start + 8], "little")
    head = data[:end]
    for old, new in ((1000, rows), (8000, 8 * rows), (16000, 16 * rows)):
        head = head[:start] + head[start:].replace(struct.pack("<q", old), struct.pack("<q", new))
    return head, 16 * rows


HEADS = {
    "nothing": (b"", None),
    "text": (b"", "text"),
    "latin": (b"", "text-latin-1"),
    "utf-16": (b"\xff\xfe", "text-utf-16"),
    "json zeros": (b"", "json"),
    "json open": (b'{"a": [1, 2, {"b": "', "json"),
    "json many": (b"[" + b"1," * 500_000, "json"),
    "json space": (b"[" + b" " * 3_000_000, "json"),
    "json lines": (b'{"a": 1}\n' * 1000, "mime/application/x-ndjson"),
    "cbor string": (b"\x82" + b"\x5b" + (9 * GIB).to_bytes(8, "big"), "cbor"),
    "cbor array": (b"\x9b" + (9 * GIB).to_bytes(8, "big"), "cbor"),
    "cbor deep": (b"\x81" * 1_000_000, "cbor"),
    "csv zeros": (b"", "mime/text/csv"),
    "csv": (b"a,b\n" + b"1,2\n" * 200, "mime/text/csv"),
    "csv quote": (b'a,b\n1,"', "mime/text/csv"),
    "arrow zeros": (b"", "arrow"),
    "arrow file": (b"ARROW1\0\0", "arrow"),
    "npy": (npy_head((10**9,)), None),
    "npy wide": (npy_head((10, 10**8)), None),
    "npy high": (npy_head((10**8, 10)), None),
    "image": (b"\x89PNG\r\n\x1a\n", "mime/image/png"),
    "pickle": (b"\x80\x05\x8e" + (9 * GIB).to_bytes(8, "little"), "pickle"),
    "pickle zeros": (b"", "pickle"),
    "pickle long": (b"\x80\x04" + b"N0" * 1_000_000, "pickle"),
    "gzip": (b"\x1f\x8b\x08", "mime/application/gzip"),
    "protobuf": (b"\x08\x96\x01", "protobuf/Thing"),
}


@pytest.mark.parametrize("name", HEADS)
def test_it_opens_at_once(tmp_path, name):
    head, content_type = HEADS[name]
    look = Look(sparse(tmp_path, head), content_type)
    started = time.thread_time()
    answer = look.answer()
    assert time.thread_time() - started < TIME_MAX_S
    assert look.bytes_read() < READ_MAX
    assert answer["overview"]["size"] == "10.0 GiB (10,737,418,240 bytes)"


@pytest.mark.parametrize("name", HEADS)
def test_each_view_reads_a_bounded_piece(tmp_path, name):
    head, content_type = HEADS[name]
    look = Look(sparse(tmp_path, head), content_type)
    for view in look.answer()["views"]:
        for offset in (0, 5, 10 * GIB - 100, 10 * GIB + 5):
            before = look.bytes_read()
            try:
                look.page(view=view, offset=offset)
            except RainException:
                if view == "hex":
                    raise
            assert look.bytes_read() - before <= 2 * MORE_READ_BYTES_MAX
    assert look.piece(offset=9 * GIB)[0].end == 9 * GIB + (1 << 20)
    static_text(look.instance)


def test_the_middle_of_large_tables(tmp_path):
    look = Look(sparse(tmp_path, npy_head((10**9,))))
    page = look.page(offset=900_000_000)
    assert (page["rows"][0], page["index"][0], page["total"]) == (["0.0"], "900000000", 10**9)
    rows = 600_000_000
    head, body = arrow_stream_of(rows)
    look = Look(sparse(tmp_path, head, len(head) + body, name="arrow"), "arrow")
    started = time.thread_time()
    page = look.page()
    assert (page["total"], page["rows"][99]) == (rows, ["0", "0.0"])
    assert look.page(offset=rows - 3)["rows"] == [["0", "0.0"]] * 3
    assert look.bytes_read() < 200_000
    assert time.thread_time() - started < TIME_MAX_S


def test_the_end_of_a_large_json_can_be_reached_in_pieces(tmp_path):
    size = 40 << 20
    head, tail = b'{"a": "', b'", "b": [7]}'
    data = head + b" " * (size - len(head) - len(tail)) + tail
    source, reads = elsewhere(data)
    look = Look(source, "json")
    node = look.node()
    assert [child["label"] for child in node["children"]] == ["a"]
    assert node["count"] is None
    for _ in range(8):
        node = look.node(offset=1)
        if node["children"]:
            break
    assert [child["label"] for child in node["children"]] == ["b"]
    assert node["count"] == 2
    assert max(length for _, length in reads) <= 1 << 20


def test_a_large_cbor_string_is_passed_without_being_read(tmp_path):
    size = 9 * GIB
    tail = cbor2.dumps([1, 2])
    head = b"\x82\x5b" + size.to_bytes(8, "big")
    look = Look(sparse(tmp_path, head, len(head) + size + len(tail), tail), "cbor")
    node = look.node()
    assert [child["kind"] for child in node["children"]] == ["bytes", "array"]
    assert look.bytes_read() < READ_MAX
