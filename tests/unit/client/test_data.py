"""Data objects and constants."""

from __future__ import annotations

import copy
import gc
import io
import json
import pickle
import re
import tarfile
from pathlib import Path
from typing import Any

import pytest

from rain import ID, DataObject, DataObjectState, DataType, RainException, Session, blob, directory, pickled
from rain.client.data import value_of
from rain.client.operations.constant_values import Value
from rain.common.limits import CHUNK_BYTES, INLINE_BYTES_MAX
from tests.unit.client.fake import FakeLink, constant


@pytest.mark.parametrize(
    ("value", "given", "data", "content_type"),
    [
        (b"\0a", {}, b"\0a", None),
        ("äö", {}, "äö".encode(), "text"),
        ("äö", {"content_type": "user/x"}, "äö".encode(), "user/x"),
        ("ä", {"content_type": "text-latin-1"}, b"\xe4", "text-latin-1"),
        (b"{}", {"content_type": "json"}, b"{}", "json"),
        ([1, {"a": None}], {"encode": "json"}, b'[1, {"a": null}]', "json"),
        ({1, 2}, {"encode": "pickle"}, pickle.dumps({1, 2}), "pickle"),
        ("a", {"encode": "pickle"}, pickle.dumps("a"), "pickle"),
        (b"", {}, b"", None),
    ],
)
def test_blobs(detached: Session, value: Any, given: dict[str, str], data: bytes, content_type: str | None) -> None:
    obj = blob(value, **given)
    assert (constant(obj), obj.content_type, obj.label) == (data, content_type, "const")
    assert obj.data_type is DataType.BLOB
    assert obj.state is None
    assert obj.info is None


def test_pickled(detached: Session) -> None:
    obj = pickled([1, 2])
    assert (obj.label, obj.content_type) == ("pickle", "pickle")
    assert pickle.loads(constant(obj)) == [1, 2]
    assert pickled(1, "x").label == "x"


@pytest.mark.parametrize("value", [7, None, [b"a"], bytearray(b"a"), memoryview(b"a"), object])
def test_other_values_need_an_encoding(detached: Session, value: Any) -> None:
    with pytest.raises(RainException, match="pickled"):
        blob(value)


def test_wrong_blobs(detached: Session) -> None:
    with pytest.raises(RainException, match="not both"):
        blob("a", content_type="json", encode="json")
    with pytest.raises(ValueError, match="unknown content type"):
        blob("a", encode="jason")
    with pytest.raises(RainException, match="directory"):
        blob(b"", content_type="dir")
    with pytest.raises(RainException, match="label"):
        blob("a", 7)  # type: ignore[arg-type]
    with pytest.raises(RainException, match="json"):
        blob(object(), encode="json")
    assert detached.dataobj_count == 0


def test_a_value_is_taken_as_it_is_at_the_call(detached: Session, link: FakeLink, tmp_path: Path) -> None:
    values = [1]
    obj = blob(values, encode="json")
    values.append(2)
    assert json.loads(constant(obj)) == [1]
    np = pytest.importorskip("numpy")
    array = np.zeros(100_000)
    with FakeLink(str(tmp_path)).client.new_session().bind_only():
        large = pickled(array)
    array[:] = 1
    assert large._value is not None
    assert large._value.size > INLINE_BYTES_MAX
    assert pickle.loads(constant(large)).sum() == 0
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.glob("*/[!.]*")] == [large._value.name]
    del large
    gc.collect()
    assert not list(tmp_path.iterdir()) or link is not None


def test_a_large_directory_for_a_server_elsewhere(detached: Session, tmp_path: Path) -> None:
    """The pieces of its archive share one buffer."""
    content = b"".join(number.to_bytes(4) for number in range(CHUNK_BYTES // 2))
    (tmp_path / "numbers").write_bytes(content)
    value = value_of(directory(tmp_path))
    assert value is not None
    with tarfile.open(fileobj=io.BytesIO(value.get_bytes())) as archive:
        assert archive.extractfile("numbers").read() == content  # type: ignore[union-attr]


def test_directories(detached: Session, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.txt").write_text("hello")
    obj = directory(tmp_path)
    assert (obj.label, obj.content_type, obj.data_type) == ("const_dir", "dir", DataType.DIRECTORY)
    obj.expect_dir()
    with pytest.raises(RainException, match="blob"):
        blob("a").expect_dir()
    with pytest.raises(RainException, match="does not exist"):
        directory(tmp_path / "no")
    with pytest.raises(RainException, match="not a directory"):
        directory(tmp_path / "a.txt")


def test_handles_compare_by_id(detached: Session) -> None:
    a, b = blob("a"), blob("a")
    assert a == a
    assert a != b
    assert a != "a"
    assert a.id == ID(1, 1)
    assert len({a, b, a}) == 2
    assert copy.copy(a) is a
    assert copy.deepcopy([a])[0] is a
    assert detached.objects == [a, b]
    del a
    gc.collect()
    again = detached.objects[0]
    assert (again.id, again.label) == (ID(1, 1), "const")


def test_handles_cannot_be_pickled(detached: Session) -> None:
    with pytest.raises(RainException, match=r"cannot be pickled.*fetch"):
        pickle.dumps(blob("a"))
    with pytest.raises(RainException, match="not the session"):
        pickle.dumps(detached)


def test_keeping_before_submit(detached: Session) -> None:
    obj = blob("a")
    assert not obj.is_kept()
    obj.keep()
    assert obj.is_kept()
    assert re.fullmatch(r"<DataObject 1/1 'const' text not submitted kept>", repr(obj))
    obj.unkeep()
    assert not obj.is_kept()
    detached.keep_all()
    assert obj.is_kept()


def test_spec_is_frozen_by_submit(session: Session) -> None:
    obj = blob("a")
    obj.spec.user["answer"] = 42
    session.submit()
    assert obj.spec.user == {"answer": 42}
    with pytest.raises(AttributeError):
        obj.spec.label = "b"
    obj.spec.user["answer"] = 43
    assert obj.spec.user == {"answer": 42}
    assert obj.state is DataObjectState.FINISHED


def test_an_object_made_by_itself(detached: Session) -> None:
    obj = DataObject("x", content_type="json", data_type=DataType.BLOB, user_spec={"a": 1})
    assert (obj.label, obj.content_type, obj.spec.user) == ("x", "json", {"a": 1})
    assert detached.dataobj_count == 0


def test_values_know_their_bytes() -> None:
    value = Value(b"abc", 3)
    assert value.get_bytes() == b"abc"
    assert bytes(value.view()) == b"abc"
