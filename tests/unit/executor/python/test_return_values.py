"""What functions may return, and what is said of all else."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from rain.common.errors import RainException
from rain.common.ids import ID
from rain.common.labeled_list import LabeledList
from rain.common.limits import BATCH_BYTES_TARGET
from rain.common.location import Inline, LocalFile, SameAs
from rain.common.protocol.messages import ExecutorInput, ExecutorSetup, OutputResult
from rain.common.spec import ObjectInfo, ObjectSpec
from rain.executor.python.return_values import ReturnRefused, ReturnValues
from rain.executor.staging import Staging
from rain.objects.data_instance import DataInstance
from rain.objects.files import checksum
from rain.objects.readers import BytesReader


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    setup = ExecutorSetup(1, 1, "h:1", str(tmp_path), str(tmp_path), str(tmp_path), 1 << 40, None, None, {}, {})
    return Staging(setup, "t")


def spec(
    label: str | None = "out0", content_type: str | None = None, data_type: str = "blob", id: int = 5
) -> ObjectSpec:
    return ObjectSpec(ID(1, id), label, content_type, data_type)


def take(staging: Staging, value: Any, *specs: ObjectSpec, encode: Any = (), inputs: Any = None) -> list[OutputResult]:
    return ReturnValues("fn", specs, encode, inputs or {}, staging).take(value)


def complaint(staging: Staging, value: Any, *specs: ObjectSpec, **options: Any) -> str:
    with pytest.raises(RainException) as caught:
        take(staging, value, *specs, **options)
    return str(caught.value)


@pytest.mark.parametrize(
    ("value", "declared", "encode", "data", "dynamic"),
    [
        (b"x", None, None, b"x", None),
        (bytearray(b"x"), "json", None, b"x", None),
        (memoryview(b"x"), None, None, b"x", None),
        ("ä", None, None, "ä".encode(), "text"),
        ("ä", "text", None, "ä".encode(), None),
        ("ä", "text-latin-1", None, b"\xe4", None),
        ("{}", "json", None, b"{}", None),
        ("a,b", "mime/text/csv", None, b"a,b", None),
        ({"a": 1}, "json", "json", b'{"a": 1}', None),
        ([1, 2], None, "json", b"[1, 2]", "json"),
        ("x", "json", "json", b'"x"', None),
    ],
)
def test_one_output(staging: Staging, value: Any, declared: Any, encode: Any, data: bytes, dynamic: Any) -> None:
    (output,) = take(staging, value, spec(content_type=declared), encode=[encode])
    assert (output.id, output.location.data) == (ID(1, 5), data)
    assert (output.info.content_type, output.info.size) == (dynamic, len(data))


def test_no_output(staging: Staging) -> None:
    assert take(staging, None) == []
    assert complaint(staging, 5) == (
        "the function fn returned an int, but the task has no outputs: declare outputs=, or return None"
    )


@pytest.mark.parametrize(
    "value",
    [
        [b"1", b"2"],
        (b"1", b"2"),
        {"b": b"2", "a": b"1"},
        LabeledList([b"1", b"2"]),
        LabeledList([b"2", b"1"], labels=["b", "a"]),
    ],
)
def test_several_outputs(staging: Staging, value: Any) -> None:
    outputs = take(staging, value, spec("a", id=5), spec("b", id=6))
    assert [(output.id.id, output.location.data) for output in outputs] == [(5, b"1"), (6, b"2")]


def test_wrong_several(staging: Staging) -> None:
    specs = (spec("a", id=5), spec("b", id=6))
    assert "returned None, but the task has 2 outputs ('a', 'b')" in complaint(staging, None, *specs)
    assert "returned 3 values (list), but the task has 2 outputs" in complaint(staging, [1, 2, 3], *specs)
    text = complaint(staging, {"a": b"", "c": b""}, *specs)
    assert "missing are 'b'" in text
    assert "unknown are 'c'" in text
    assert "returned a bytes" in complaint(staging, b"ab", *specs)


def test_wrong_values(staging: Staging) -> None:
    text = complaint(staging, {"a": 1}, spec())
    assert text.startswith("the function fn returned a dict as output 'out0' (declared: no content type): ")
    assert "encode" in text
    assert "returned None" in complaint(staging, None, spec())
    assert "returned a generator" in complaint(staging, (x for x in ()), spec())
    assert "encode='pickle'" in complaint(staging, "text", spec(content_type="pickle"))
    assert "ctx.stage_directory" in complaint(staging, b"", spec(data_type="dir"))
    assert "out0" in complaint(staging, {1, 2}, spec(), encode=["json"])
    assert "cannot be encoded" in complaint(staging, "\u20ac", spec(content_type="text-latin-1"))


def test_instances(staging: Staging) -> None:
    made = DataInstance(BytesReader(b"[1]"), None, ObjectInfo(size=3, content_type="json", user={"k": 1}))
    (output,) = take(staging, made, spec())
    assert (output.location.data, output.info.content_type, output.info.user) == (b"[1]", "json", {"k": 1})
    (output,) = take(staging, made, spec(content_type="json"), encode=["json"])
    assert output.info.content_type is None
    assert "no subtype of the declared 'text'" in complaint(staging, made, spec(content_type="text"))
    assert "it is a blob" in complaint(staging, made, spec(data_type="dir"))
    made.info.user["bad"] = object()
    assert "['bad'] is object, which is not JSON-serialisable" in complaint(staging, made, spec())


def test_an_input_passes_through(staging: Staging) -> None:
    came = ExecutorInput(ObjectSpec(ID(1, 2), "in"), ObjectInfo(size=1), "in", Inline(b"x"))
    instance = DataInstance(BytesReader(b"x"), came.spec, came.info)
    (output,) = take(staging, instance, spec(content_type="json"), inputs={ID(1, 2): came})
    assert (output.location, output.info.content_type) == (SameAs(ID(1, 2)), None)
    # One that was kept from an earlier task is data like any other.
    (output,) = take(staging, instance, spec())
    assert output.location.data == b"x"


def test_the_same_staged_file_twice(staging: Staging, tmp_path: Path) -> None:
    made = staging.instance(staging.store(list(range(100_000)), "json"), "json")
    outputs = take(staging, [made, made], spec("a"), spec("b"))
    files = [output.location for output in outputs]
    assert files[0].path != files[1].path
    assert all(json.loads(Path(file.path).read_text())[-1] == 99_999 for file in files)
    assert outputs[0].location.checksum == outputs[1].location.checksum
    staging.discard(everything=True)
    assert list(tmp_path.iterdir()) == []


def test_many_small_outputs_do_not_make_one_huge_message(staging: Staging) -> None:
    specs = [spec(str(number), id=number) for number in range(100)]
    outputs = take(staging, [bytes(60_000)] * 100, *specs)
    inline = sum(output.location.size for output in outputs if isinstance(output.location, Inline))
    assert BATCH_BYTES_TARGET - 60_000 < inline <= BATCH_BYTES_TARGET
    assert sum(isinstance(output.location, LocalFile) for output in outputs) > 20


# -- what is refused is kept -----------------------------------------------------------------------------


def refused(staging: Staging, value: Any, *specs: ObjectSpec, **options: Any) -> ReturnRefused:
    with pytest.raises(ReturnRefused) as caught:
        take(staging, value, *specs, **options)
    return caught.value


def test_what_cannot_be_encoded_is_kept(staging: Staging, tmp_path: Path) -> None:
    error = refused(staging, {1, 2}, spec(), encode=["json"])
    assert "set cannot be encoded as 'json'" in str(error)
    assert str(error).endswith(". But what it returned is not lost: task.fetch_refused() gets it")
    (kept,) = error.outputs
    assert (kept.id, kept.info.content_type, kept.info.size) == (ID(1, 5), "pickle", len(kept.location.data))
    assert pickle.loads(kept.location.data) == {1, 2}
    assert kept.location.checksum == checksum(kept.location.data)


def test_of_several_all_are_kept_and_large_ones_once(staging: Staging, tmp_path: Path) -> None:
    large = bytes(200_000)
    specs = (spec("a", id=5), spec("b", id=6), spec("c", id=7), spec("d", id=8))
    error = refused(staging, [large, {1}, lambda: 7, None], *specs, encode=["pickle", "json", "json", "json"])
    a, b, c = error.outputs
    assert [output.id.id for output in error.outputs] == [5, 6, 7]
    assert [output.info.content_type for output in error.outputs] == ["pickle", "pickle", "cloudpickle"]
    assert pickle.loads(Path(a.location.path).read_bytes()) == large
    assert pickle.loads(b.location.data) == {1}
    assert pickle.loads(c.location.data)() == 7
    staging.discard(everything=False)
    assert [str(path) for path in tmp_path.iterdir()] == [a.location.path]


def test_what_does_not_fit_the_outputs_is_kept_as_one(staging: Staging) -> None:
    specs = (spec("a", id=5), spec("b", id=6))
    error = refused(staging, [1, 2, 3], *specs, encode=["json", "json"])
    assert "returned 3 values (list), but the task has 2 outputs" in str(error)
    assert str(error).endswith(". But all that it returned is not lost: task.fetch_refused() gets it")
    (kept,) = error.outputs
    assert (kept.id.id, pickle.loads(kept.location.data)) == (5, [1, 2, 3])
    assert pickle.loads(refused(staging, {"a": 1}, spec()).outputs[0].location.data) == {"a": 1}


def test_staged_files_are_kept_as_they_are(staging: Staging, tmp_path: Path) -> None:
    made = staging.instance(staging.store(list(range(100_000)), "json"), "json")
    (kept,) = refused(staging, made, spec(content_type="text")).outputs
    assert kept.info.content_type == "json"
    staging.discard(everything=False)
    assert json.loads(Path(kept.location.path).read_text())[-1] == 99_999


def test_what_cannot_be_pickled_either_is_said_to_be_lost(staging: Staging, tmp_path: Path) -> None:
    error = refused(staging, (x for x in ()), spec(), encode=["json"])
    assert error.outputs == []
    assert str(error).endswith(". It could not be pickled either, and is lost")
    assert refused(staging, None, spec()).outputs == []
    assert refused(staging, 5).outputs == []
    staging.discard(everything=True)
    assert list(tmp_path.iterdir()) == []
