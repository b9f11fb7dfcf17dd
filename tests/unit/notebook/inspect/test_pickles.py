import collections
import datetime
import pickle
import random
import subprocess
import sys

import cloudpickle
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from rain.common.errors import RainException
from rain.notebook.inspectors.limits import VALUE_TEXT_CHARS
from rain.notebook.inspectors.pickled import values
from rain.objects.content_types import codecs
from rain.objects.pickling import buffers
from tests.unit.notebook.inspect.rig import Look, elsewhere


def facts(value, content_type="pickle"):
    look = Look(codecs.encode_value(value, content_type), content_type)
    answer = look.answer()
    assert answer["view"] == "pickle"
    assert answer["views"][:2] == ["pickle", "value"]
    return dict(answer["page"]["summary"])


Point = collections.namedtuple("Point", "x y")


class Plain:
    def __init__(self):
        self.name = "n"
        self.size = 3


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (None, "NoneType", "None"),
        (True, "bool", "True"),
        (-300, "int", "-300"),
        (1 << 70, "int", str(1 << 70)),
        (2.5, "float", "2.5"),
        ("daß", "str", "'daß'"),
        ([1, [2.5, None], "x"], "list", "[1, [2.5, None], 'x']"),
        ({"a": {"b": ()}}, "dict", "{'a': {'b': ()}}"),
        ((1, 2, 3, 4), "tuple", "(1, 2, 3, 4)"),
    ],
)
def test_plain_values_show(value, kind, text, protocol):
    found = dict(Look(pickle.dumps(value, protocol), "pickle").page()["summary"])
    if protocol == 0 and isinstance(value, str):
        assert found["type"] == "str"
        return
    assert (found["type"], found["value"]) == (kind, text)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("shape", [(), (7,), (3, 4), (2, 3, 4)])
@pytest.mark.parametrize("dtype", ["float64", "int8", "uint16", "bool", "complex128", "object"])
def test_arrays_by_shape_and_type(protocol, shape, dtype):
    found = dict(Look(pickle.dumps(np.zeros(shape, dtype), protocol), "pickle").page()["summary"])
    assert found["type"] == "numpy.ndarray"
    assert found["shape"] == (" x ".join(map(str, shape)) or "a single value")
    assert found["dtype"] == dtype


@pytest.mark.parametrize("content_type", ["pickle", "cloudpickle"])
def test_large_arrays_and_frames_by_shape(content_type):
    found = facts(np.zeros((300, 400)), content_type)
    assert (found["shape"], found["dtype"]) == ("300 x 400", "float64")
    frame = pd.DataFrame({"a": range(20_000), "b": 1.5, "c": "text"})
    found = facts(frame, content_type)
    assert (found["type"], found["rows"], found["columns"]) == ("pandas.DataFrame", "20,000", "3")
    assert facts(frame.set_index("c"), content_type)["rows"] == "20,000"
    assert facts(frame["a"], content_type) | {"opcodes": 0, "protocol": 0} == {
        "type": "pandas.Series",
        "rows": "20,000",
        "opcodes": 0,
        "protocol": 0,
    }


def test_other_types_by_name():
    assert facts(datetime.date(2020, 1, 2))["type"] == "datetime.date"
    assert facts(Point(1, 2))["type"].endswith(".Point")
    found = facts(Plain())
    assert found["type"].endswith(".Plain")
    assert found["attributes"] == "name, size"
    assert facts(b"x" * 5000)["size"] == "4.9 KiB"
    assert facts({"k": np.zeros(3)})["value"].startswith("{'k': <numpy.")
    assert facts(list(range(1000)))["items"] == "1,000"


def test_what_would_be_imported_is_named():
    page = Look(b"cos\nsystem\n(S'echo'\ntR.", "pickle").page()
    assert page["globals"] == ["os.system"]
    assert dict(page["summary"])["type"] == "os.system"
    page = Look(pickle.dumps(datetime.date(2020, 1, 2), 4), "pickle").page()
    assert page["globals"] == ["datetime.date"]
    assert ["STOP", 1] in page["opcodes"]


def test_nothing_is_imported_or_called(tmp_path):
    mark = tmp_path / "called"
    evil = b"cos\nmkdir\n(S'" + str(mark).encode() + b"'\ntR0cnever_heard_of\nthing\n."
    look = Look(evil, "pickle")
    for _ in range(2):
        look.answer()
        for view in ("pickle", "hex"):
            look.page(view=view)
    assert not mark.exists()
    with pytest.raises(RainException, match="never_heard_of"):
        look.page(view="value")
    assert mark.exists()


def test_the_summary_needs_no_pickle_module():
    code = (
        "import sys; from rain.notebook.inspectors.pickled.pickle_machine import read_report; "
        "from rain.notebook.inspectors.ranges import Ranges; from rain.notebook.inspectors.subject import Allowance; "
        "r = Ranges.of(b'cthis\\nexists_not\\n.'); print(read_report(r, Allowance(r, True)).value); "
        "print('this' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["this.exists_not", "False"]


@pytest.mark.parametrize("seed", range(80))
def test_damaged_pickles_do_no_harm(seed):
    chance = random.Random(seed)
    frame = pd.DataFrame({"a": range(50), "b": "x"})
    value = chance.choice([frame, np.zeros((3, 4)), {"a": [1, {2}, frozenset("x")]}, Plain(), 1 << 5000])
    data = bytearray(pickle.dumps(value, chance.randrange(6)))
    for _ in range(chance.choice([1, 5])):
        data[chance.randrange(len(data))] = chance.randrange(256)
    Look(bytes(data[: chance.randrange(1, len(data) + 1)]), "pickle").answer()


def test_containers_that_hold_themselves():
    value = []
    value.append(value)
    assert "…" in facts(value)["value"]


def test_pickles_with_too_many_opcodes_are_told_in_part():
    data = pickle.dumps([[number] for number in range(300_000)])
    look = Look(data, "pickle")
    found = dict(look.page()["summary"])
    assert "only the first" in found["note"]
    assert look.bytes_read() <= 600_000


# -- the value, on a click ---------------------------------------------------------------------------


def value_page(value, content_type="pickle", **parameters):
    return Look(codecs.encode_value(value, content_type), content_type).page(view="value", **parameters)


def test_values_show_as_text_or_table():
    assert value_page({"a": 1}) == {"type": "dict", "text": "{'a': 1}"}
    frame = pd.DataFrame({"a": range(250), "b": 0.5}, index=[f"r{number}" for number in range(250)])
    page = value_page(frame, offset=200)
    assert page["index"][0] == "r200"
    assert page["rows"][0] == ["200", "0.5"]
    assert (page["offset"], page["total"], page["type"]) == (200, 250, f"{pd.DataFrame.__module__}.DataFrame")
    assert value_page(frame["a"])["total"] == 250
    assert value_page(np.arange(6).reshape(2, 3))["rows"] == [["0", "1", "2"], ["3", "4", "5"]]
    assert value_page(np.array(3))["rows"] == [["3"]]
    assert value_page(np.array([(1, 2.0)], "i4,f8"))["rows"] == [["1", "2.0"]]
    assert value_page(pa.table({"a": [1, 2]}))["rows"] == [["1"], ["2"]]
    assert value_page(np.zeros((3, 1000)))["columns"][-1]["name"] == "63"
    assert value_page(pd.DataFrame())["total"] == 0


def test_functions_come_from_cloudpickle():
    assert "lambda" in value_page(lambda: 1, "cloudpickle")["text"]


@pytest.mark.parametrize("raised", [ValueError("in repr"), SystemExit(3), RecursionError("deep")])
def test_a_repr_that_raises_is_said(raised):
    class Bad:
        def __repr__(self):
            raise raised

    data = cloudpickle.dumps(Bad())
    page = Look(data, "cloudpickle").page(view="value")
    assert page["text"].startswith(f"its repr raises {type(raised).__name__}")


def test_a_pickle_that_raises_is_said():
    with pytest.raises(RainException, match="SystemExit"):
        Look(b"csys\nexit\n(tR.", "pickle").page(view="value")


def test_texts_of_values_are_bounded():
    for value in ("x" * 10**6, list(range(10**6)), {"a": "\ud800" * 10**5}, [b"y" * 10**6]):
        assert len(values.text_of(value)) <= VALUE_TEXT_CHARS + 1


def test_large_values_elsewhere_are_not_fetched(monkeypatch):
    monkeypatch.setattr(values, "VALUE_BYTES_MAX", 1000)
    source, _ = elsewhere(buffers.dumps(np.zeros(100_000)))
    look = Look(source, "pickle")
    assert look.answer()["view"] == "pickle"
    with pytest.raises(RainException, match="VALUE_BYTES_MAX"):
        look.page(view="value")


class Sub(np.ndarray):
    pass


@pytest.mark.parametrize("kind", [np.ndarray, Sub])
def test_arrays_around_a_buffer_show_as_arrays(kind):
    value = np.zeros((100, 3000), "M8[s]").view(kind)[:, ::2]
    found = facts(value)
    assert (found["type"], found["shape"]) == ("numpy.ndarray", "100 x 1500")
