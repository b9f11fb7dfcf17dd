"""Whatever bytes there are and whatever is asked for: an inspection answers with what can be sent, or says why not."""

import io
import json
import pickle

import cbor2
import msgspec
import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from rain.common import DataInstance
from rain.common.errors import RainException
from rain.common.spec import ObjectInfo
from rain.notebook.inspectors import Inspection, sanitize, static_text
from rain.notebook.inspectors.limits import BLOCK_BYTES
from rain.notebook.inspectors.ranges import Ranges
from rain.notebook.inspectors.tree import TreeViewer
from rain.notebook.inspectors.viewers.json_tree import JsonDocument
from rain.notebook.protocol.requests import Inspect, request_of
from rain.objects.readers import BytesReader

PAGE_BYTES_MAX = 2 << 20
# `value` is left out: it runs what the pickle says, and these say anything.
VIEWS = ["text", "hex", "tree", "table", "image", "pickle", "directory", None]
CONTENT_TYPES = [
    *(None, "json", "cbor", "arrow", "pickle", "cloudpickle", "protobuf", "user/x"),
    *("text", "text-utf-16", "text-utf-7", "text-shift_jis"),
    *("mime/text/csv", "mime/image/png", "mime/application/x-ndjson", "mime/text/html"),
]


def npy(array):
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def ipc(make):
    out = io.BytesIO()
    table = pa.table({"a": [1, None], "s": ["x", "ß"], "l": [[1], []], "d": pa.array(["u", "u"]).dictionary_encode()})
    with make(out, table.schema) as writer:
        writer.write_table(table)
    return out.getvalue()


SEEDS = [
    b'{"a": [1, {"b": "\\ud800\\n"}], "c": null}',
    cbor2.dumps({"a": [1, {"b": b"x"}], 1.5: cbor2.CBORTag(1, 2)}),
    b'a,b\n1,"x\ny"\n',
    pickle.dumps({"a": np.zeros(3), "b": [1, {2}]}),
    pickle.dumps([1, "x"], 0),
    npy(np.zeros((3, 2))),
    ipc(pa.ipc.new_file),
    ipc(pa.ipc.new_stream),
    b"\x89PNG\r\n\x1a\n" + bytes(30),
    b"\xff\xd8\xff\xe0\x00\x10" + bytes(30),
    b"RIFF\0\0\0\0WEBPVP8 " + bytes(20),
    "\ufeff\u202e\x00ß".encode("utf-16"),
]


@st.composite
def damaged(draw):
    """Something that is almost right."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(0, 4))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    cut = draw(st.integers(0, len(data)) | st.none())
    return bytes(data[:cut]) + draw(st.binary(max_size=8))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
sensible = st.fixed_dictionaries(
    {},
    optional={
        "view": st.sampled_from(VIEWS),
        "offset": st.integers(0, 300) | st.sampled_from([1 << 20, 1 << 53, (1 << 62) - 1]),
        "encoding": st.sampled_from(
            [None, "latin-1", "utf-16", "utf-32", "utf-7", "gb18030", "iso2022_jp", "hz", "cp037"]
        ),
        "at": st.lists(st.integers(0, 3) | st.sampled_from(["a", "b"]), max_size=3),
        "path": st.just([]),
    },
)
wild = st.dictionaries(st.sampled_from(["view", "offset", "encoding", "at", "path", "key", "column"]), anything)


def inspection_of(data, content_type):
    source = BytesReader(data)
    instance = DataInstance(source, None, ObjectInfo(size=source.size, content_type=content_type))
    return Inspection(lambda: instance), instance


@given(
    st.binary(max_size=300) | damaged() | st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.sampled_from(CONTENT_TYPES),
    st.lists(sensible | wild, min_size=1, max_size=6),
)
@settings(deadline=None, max_examples=200)
def test_anything_is_answered_or_refused(data, content_type, requests):
    inspection, instance = inspection_of(data, content_type)
    for parameters in requests:
        if parameters.get("view") == "value":
            continue
        for ask, type in ((inspection.page, "inspect"), (inspection.piece, "download")):
            try:
                found, buffers = ask(request_of({**parameters, "type": type}))
            except RainException as caught:
                error: str | None = str(caught)
            else:
                error = None
            if error is not None:
                assert len(error) < 2000
                continue
            answer = msgspec.to_builtins(found)
            assert len(json.dumps(answer, ensure_ascii=False, allow_nan=False).encode()) < PAGE_BYTES_MAX
            assert all(isinstance(buffer, bytes) for buffer in buffers)
            assert answer.get("page", {}).get("view") != "value"
    text = static_text(instance)
    assert all(line.isprintable() for line in text.split("\n"))


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 60), 1 << 60) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=30,
)
_KINDS = {
    dict: "object",
    list: "array",
    str: "string",
    bool: "bool",
    type(None): "null",
    int: "number",
    float: "number",
}


@given(values, st.sampled_from([None, 1]), st.integers(0, 3))
@settings(deadline=None, max_examples=150)
def test_a_tree_is_what_the_parser_says_even_across_blocks(value, indent, shift):
    # White space moves the document over the border of two blocks.
    data = b"[" + b" " * (BLOCK_BYTES - 20 - shift) + b"0," + json.dumps(value, indent=indent).encode() + b"]"
    viewer = TreeViewer(JsonDocument(Ranges.of(data)))

    def check(value, at):
        node = viewer.page(Inspect(at=list(at)))[0].node
        assert node.kind == _KINDS[type(value)]
        if isinstance(value, dict):
            assert node.count == len(value)
            assert [child.label for child in node.children] == [sanitize.visible(sanitize.cut(key)) for key in value]
            for number, inner in enumerate(value.values()):
                check(inner, (*at, number))
        elif isinstance(value, list):
            assert node.count == len(value)
            for number, inner in enumerate(value):
                check(inner, (*at, number))
        elif isinstance(value, str):
            assert node.text == value
        else:
            assert json.loads(node.text) == value

    check(value, (1,))


@given(st.binary(max_size=3000), st.lists(st.tuples(st.integers(0, 3100), st.integers(0, 3100)), max_size=20))
@settings(deadline=None)
def test_ranges_are_those_of_the_data(data, wanted):
    ranges = Ranges.of(data)
    for offset, length in wanted:
        assert ranges.read(offset, length) == data[offset : offset + length]
        assert ranges.exactly(offset, length) == data[offset : offset + length]
    assert ranges.bytes_read <= max(len(data) * (len(wanted) + 1), 0)


@given(st.text(st.characters(), max_size=20), st.binary(max_size=20))
def test_names_come_back(text, raw):
    for name in (text.encode("utf-8", "ignore").decode(), raw.decode("utf-8", "surrogateescape")):
        written = sanitize.escape_name(name)
        written.encode()
        assert sanitize.unescape_name(written) == name
