"""CBOR with either major of cbor2: the one that is installed, and the other one in a process of its own."""

from __future__ import annotations

import datetime
import fractions
import os
import pathlib
import struct
import subprocess
import sys
from typing import Any

import cbor2
import pytest

from rain.governor.pools.cbor1 import frames
from rain.objects.content_types import cbor_values, codecs

ROOT = pathlib.Path(__file__).parents[4]
OTHER = pathlib.Path(sys.prefix) / "libraries" / "cbor2-5"
SELF = bytes.fromhex("d9d9f7")


def plain(value: Any) -> Any:
    """The value with the type of each container, and without tags' identity."""
    if isinstance(value, cbor2.CBORTag):
        return ("tag", value.tag, plain(value.value))
    if isinstance(value, list | tuple):
        return (type(value).__name__, *map(plain, value))
    if isinstance(value, dict):
        return ("dict", *((plain(key), plain(item)) for key, item in value.items()))
    return value


@pytest.mark.parametrize("item", [[1, {"a": [2]}], {"a": [1, {"b": [2, {}]}]}, [], {}, 5, "text", b"bytes"])
@pytest.mark.parametrize("tags", [0, 1, 2])
def test_what_the_self_describing_tag_stands_before(item: Any, tags: int) -> None:
    data = SELF * tags + cbor2.dumps(item)
    assert plain(codecs.decode_value(data, "cbor")) == plain(item)
    assert plain(cbor_values.loads(memoryview(data))) == plain(item)


@pytest.mark.parametrize(("text", "value"), [
    ("d903e8a16161820102", cbor2.CBORTag(1000, {"a": [1, 2]})),
    ("82d903e88101d903e9a10181a0", [cbor2.CBORTag(1000, [1]), cbor2.CBORTag(1001, {1: [{}]})]),
    ("a16161d9d9f7820180", {"a": [1, []]}),  # the self-describing tag further inside
    ("d87981d87a8101", cbor2.CBORTag(121, [cbor2.CBORTag(122, [1])])),
    ("d81e820103", fractions.Fraction(1, 3)),
    ("81c11a514b67b0", [datetime.datetime(2013, 3, 21, 20, 4, tzinfo=datetime.UTC)]),
    ("c249010000000000000000", 1 << 64),
    ("61c3", None),  # a byte like a tag's, in a text that is cut off
], ids=lambda value: value if isinstance(value, str) else "")  # fmt: skip
def test_containers_inside_tags_are_lists_and_dicts(text: str, value: Any) -> None:
    if value is None:
        with pytest.raises(Exception, match="'cbor'"):
            codecs.decode_value(bytes.fromhex(text), "cbor")
    else:
        assert plain(codecs.decode_value(bytes.fromhex(text), "cbor")) == plain(value)


def test_what_has_to_be_hashable_stays_so() -> None:
    for text in ("a1820102f5", "d9010281820102", "d903e8d9010281820102"):
        value = cbor_values.loads(bytes.fromhex(text))
        value = value.value if isinstance(value, cbor2.CBORTag) else value
        assert list(value) == [(1, 2)]
    (key,) = cbor_values.loads(bytes.fromhex("a1a1010202"))
    assert key[1] == 2


def test_shared_and_circular_values() -> None:
    first, second = cbor_values.loads(bytes.fromhex("82d81c8101d81d00"))
    assert first is second
    loop = cbor_values.loads(bytes.fromhex("d81c82d81d00d903e881d81d00"))
    assert type(loop) is list
    assert loop[0] is loop
    assert loop[1].value[0] is loop
    loop = cbor_values.loads(bytes.fromhex("d81ca16161d81d00"))
    assert loop["a"] is loop


@pytest.mark.parametrize("view", [memoryview(b"ab"), memoryview(b"axbx")[::2], memoryview(bytearray(b"ab"))])
def test_views_are_byte_strings(view: memoryview) -> None:
    assert codecs.encode_value({"v": [view]}, "cbor") == cbor2.dumps({"v": [b"ab"]})
    assert codecs.encode_value(view, "cbor") == b"\x42ab"
    assert frames.encode_frame("m", {"v": view})[4:] == cbor2.dumps(["m", {"v": b"ab"}])


def test_values_without_a_form_are_refused() -> None:
    with pytest.raises(cbor2.CBOREncodeError, match="object"):
        cbor_values.dumps([object()])


def test_frames_of_executors_with_tags() -> None:
    """Behind the self-describing tag, and with tagged containers as values of the user's."""
    message = ["result", {"task": [3, 12], "success": True, "info": {"user": {"a": [1]}}, "outputs": []}]
    for item in (SELF + cbor2.dumps(message), SELF + SELF + cbor2.dumps(message), cbor2.dumps(message)):
        ((name, data),) = frames.FrameReader().feed(struct.pack("<I", len(item)) + item)
        assert (name, plain(data)) == ("result", plain(message[1]))
    tagged = cbor2.dumps(["result", {"x": 0}])[:-1] + bytes.fromhex("d9d9f78201a10280")
    ((_, data),) = frames.FrameReader().feed(struct.pack("<I", len(tagged)) + tagged)
    assert plain(data) == ("dict", ("x", ("list", 1, ("dict", (2, ("list",))))))


@pytest.mark.skipif(cbor2.__file__.startswith(str(OTHER)), reason="this is the other process")
def test_all_of_it_with_the_other_major() -> None:
    """This file, and the bytes of cbor-1."""
    if not OTHER.is_dir():
        pytest.skip("there is no cbor2 5.6 beside the installed one (tools/prepare.sh puts it there)")
    tests = ["tests/unit/objects/content_types/test_cbor.py", "tests/integration/test_cbor1.py"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "pytest_timeout"]
    command += ["-m", "not needs", *tests]
    paths = os.pathsep.join([str(OTHER), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": paths, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 skipped" in done.stdout, done.stdout  # this test: so the other major was met
