import json

import cbor2
import pytest

from rain.common.errors import RainException
from rain.notebook.inspectors.limits import MORE_READ_BYTES_MAX, OPEN_READ_BYTES_MAX
from tests.unit.notebook.inspect.rig import Look, elsewhere

MIB = 1 << 20


def rebuilt(look, at=()):
    """The value that the tree says, by opening all of it."""
    node = look.node(at=list(at))
    children, shown = [], []
    if node["children"] is None:
        text = node["text"]
        return json.loads(text) if node["kind"] in ("number", "bool", "null") else text
    while True:
        shown += node["children"]
        if node["count"] is not None and len(shown) >= node["count"]:
            break
        node = look.node(at=list(at), offset=len(shown))
    children = [rebuilt(look, (*at, number)) for number in range(len(shown))]
    if node["kind"] == "object":
        return dict(zip([child["label"] for child in shown], children, strict=True))
    return children


VALUE = {
    "a": [1, -2.5, {"b": None, "": True}],
    "sß": 'quote " and \\ and \n',
    "e": [],
    "o": {},
    "many": list(range(250)),
}


@pytest.mark.parametrize("encode", [json.dumps, lambda value: json.dumps(value, indent=3), cbor2.dumps])
def test_opening_all_of_it_gives_the_value(encode):
    data = encode(VALUE)
    kind = "json" if isinstance(data, str) else "cbor"
    assert rebuilt(Look(data.encode() if kind == "json" else data, kind)) == VALUE


def test_children_have_counts_and_previews():
    first, second = Look(b'{"a": [1, [2]], "b": "x"}', "json").node()["children"]
    assert first == {"label": "a", "kind": "array", "text": "[1, [2]]", "count": 2, "offset": 0, "children": None}
    assert second["text"] == "x"


@pytest.mark.parametrize(
    ("data", "kinds"),
    [
        (b"[1, 2", ["number", "number", "error"]),
        (b"[1, 2,]", ["number", "number", "error"]),
        (b"[1 2]", ["number", "error"]),
        (b"[1, nope]", ["number", "error"]),
        (b'["abc', ["string", "error"]),
        (b'{"a" 1}', ["error"]),
        (b'{"a": 1, b: 2}', ["number", "error"]),
        (b"[[1, [2, ", ["array", "error"]),
        (b"[NaN, -Infinity]", ["number", "number"]),
        (b"[}", ["error"]),
    ],
)
def test_where_it_is_not_json_is_said_there(data, kinds):
    node = Look(data, "json").node()
    assert [child["kind"] for child in node["children"]] == kinds
    assert node["count"] == len(kinds)


def test_what_is_no_json_at_all_is_shown_as_text():
    answer = Look(b"hello there", "json").answer()
    assert answer["view"] == "text"
    assert "not JSON" in answer["note"]
    with pytest.raises(RainException, match="not JSON"):
        Look(b"hello there", "json").page(view="tree")


def test_lines_of_json_are_one_node():
    look = Look(b'{"a": 1}\n\n[2]\n"x"\n', label="log.jsonl")
    assert [child["kind"] for child in look.node()["children"]] == ["object", "array", "string"]
    assert look.node()["kind"] == "lines"
    assert look.node(at=[0])["children"][0]["label"] == "a"
    assert Look(b"\n", label="log.jsonl").node()["count"] == 0


LINES = b'{"a": 1}\n{"a": [2]}\n3\n'


def test_what_follows_the_first_value_is_told_and_shown():
    answer = Look(LINES, "json").answer()
    node = answer["page"]["node"]
    assert (node["kind"], node["count"]) == ("lines", 3)
    assert "From byte 9 on there is more than one JSON value" in answer["note"]
    assert Look(LINES, "json").node(at=[1, "a", 0])["text"] == "2"
    node = Look(b'{"a": 1} rest', "json").node()
    assert [child["kind"] for child in node["children"]] == ["object", "error"]
    assert Look(b' {"a": 1} \n', "json").node()["kind"] == "object"
    items = b"".join(map(cbor2.dumps, [{"a": 1}, [2], "x"]))
    answer = Look(items, "cbor").answer()
    node = answer["page"]["node"]
    assert (node["kind"], node["count"]) == ("sequence", 3)
    assert "more than one CBOR item" in answer["note"]
    assert Look(items, "cbor").node(at=[1, 0])["text"] == "2"
    assert [child["kind"] for child in Look(b"\x01\xff", "cbor").node()["children"]] == ["number", "error"]
    assert Look(b"\x9f\x01\xff\x02", "cbor").node()["count"] == 2
    assert Look(b"\x9f\x01\xff", "cbor").node()["kind"] == "array"


@pytest.mark.parametrize("kind", ["json", "cbor"])
def test_what_follows_a_long_first_value_is_told_at_its_end(kind):
    value = ["x" * 1000] * 150
    data = json.dumps(value).encode() + b" {}" if kind == "json" else cbor2.dumps(value) + cbor2.dumps({})
    look = Look(data, kind)
    node = look.node()
    assert node["kind"] == "array"
    while node["count"] is None or node["offset"] + len(node["children"]) < node["count"]:
        node = look.node(offset=node["offset"] + len(node["children"]))
    assert node["children"][-1]["kind"] == "error"
    assert "there is more" in node["children"][-1]["text"]
    assert node["count"] == 151


def test_lines_of_json_are_known_by_their_beginning():
    for count in (3, 20_000):
        answer = Look(b'{"a": 1}\n' * count).answer()
        assert answer["page"]["node"]["kind"] == "lines"
        assert len(answer["page"]["node"]["children"]) == min(count, 100)


def test_deep_nesting_is_opened_step_by_step():
    deep = 200_000
    for data, kind in ((b"[" * deep + b"]" * deep, "json"), (b"\x81" * 9000 + b"\x80", "cbor")):
        look = Look(data, kind)
        assert look.node(at=[0] * 900)["children"][0]["kind"] == "array"
        with pytest.raises(RainException, match="length <= 1000"):
            look.node(at=[0] * 2000)
    assert "deeper" in str(Look(b"\x81" * 200_000, "cbor").node())


def test_a_step_may_be_a_key():
    look = Look(json.dumps(VALUE).encode(), "json")
    assert look.node(at=["a", 2, "b"])["kind"] == "null"
    with pytest.raises(RainException, match="no child called"):
        look.node(at=["nope"])
    with pytest.raises(RainException, match="child 9"):
        look.node(at=["a", 9])
    with pytest.raises(RainException, match="nothing below"):
        look.node(at=["sß", 0])


@pytest.mark.parametrize("kind", ["json", "cbor"])
def test_only_what_is_shown_is_read(kind):
    value = {"first": list(range(1000)), "big": ["x" * 1000] * 30_000, "last": 1}
    data = json.dumps(value).encode() if kind == "json" else cbor2.dumps(value)
    source, _ = elsewhere(data)
    look = Look(source, kind)
    node = look.node()
    assert [child["label"] for child in node["children"]] == ["first", "big"]
    assert node["count"] is None or kind == "cbor"
    assert look.bytes_read() <= OPEN_READ_BYTES_MAX + MIB
    assert len(look.node(at=[1])["children"]) == 100
    requests = 0
    while len((node := look.node(offset=2))["children"]) == 0:
        requests += 1
        assert requests <= len(data) / MORE_READ_BYTES_MAX + 2
    assert node["children"][0]["label"] == "last"
    assert node["count"] == 3


def test_large_strings_are_cut():
    for data, kind in ((json.dumps(["ß" * 100_000]).encode(), "json"), (cbor2.dumps(["ß" * 100_000]), "cbor")):
        look = Look(data, kind)
        assert look.node()["children"][0]["text"] == "ß" * 199 + "…"
        assert 8000 < len(look.node(at=[0])["text"]) < 9000


def test_escapes_are_not_cut_in_two():
    text = "\\ud83d\\ude00\\n\\\\" * 3000
    shown = Look(f'["{text}"]'.encode(), "json").node(at=[0])["text"]
    assert shown.startswith("😀\n\\😀")
    assert shown.endswith("…")


@pytest.mark.parametrize(
    ("data", "kind", "text"),
    [
        ("f97e00", "number", "nan"),
        ("f90001", "number", "5.960464477539063e-08"),
        ("fb3ff199999999999a", "number", "1.1"),
        ("1bffffffffffffffff", "number", "18446744073709551615"),
        ("3bffffffffffffffff", "number", "-18446744073709551616"),
        ("f7", "null", "undefined"),
        ("f0", "other", "simple value 16"),
        ("5f42010243030405ff", "bytes", "0102030405"),
        ("7f657374726561646d696e67ff", "string", "streaming"),
        ("4401020304", "bytes", "01020304 (4 bytes)"),
        ("1c", "error", "byte 0 (0x1c) is not the beginning of a CBOR item"),
        ("1b00", "error", "the document ends here: it is cut off"),
    ],
)
def test_scalars_of_cbor(data, kind, text):
    node = Look(bytes.fromhex(data), "cbor").node()
    assert (node["kind"], node["text"]) == (kind, text)


def test_containers_of_cbor_without_a_count():
    node = Look(bytes.fromhex("9f018202039f0405ffff"), "cbor").node()
    assert node["count"] == 3
    node = Look(bytes.fromhex("bf61610161629f0203ffff"), "cbor").node()
    assert [child["label"] for child in node["children"]] == ["a", "b"]


def test_containers_of_cbor_that_promise_more_than_there_is():
    for data in (
        "9bffffffffffffffff00",
        "bbffffffffffffffff0000",
        "5bffffffffffffffff00",
        "81" * 3 + "5b7fffffffffffffff",
    ):
        assert "cut off" in str(Look(bytes.fromhex(data), "cbor").node()) or data.startswith("5b")
