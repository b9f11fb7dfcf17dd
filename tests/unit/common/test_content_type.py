import subprocess
import sys

import pytest

from rain.common.content_type import check_content_type, is_subtype, merge_content_types, text_encoding
from rain.common.errors import RainException

KNOWN = ["pickle", "cloudpickle", "json", "cbor", "arrow", "text", "text-latin-1", "text-UTF-16", "mime/image/png",
         "user/x", "protobuf", "protobuf/a.B", "dir"]  # fmt: skip
UNKNOWN = ["Pickle", "jsonx", "text-", "text-nonsense", "text-base64", "text/plain", "mime/", "user/", "user",
           "protobuf/", "xml", "text-utf\0"]  # fmt: skip


@pytest.mark.parametrize("name", KNOWN)
def test_known(name):
    assert check_content_type(name) == name
    assert is_subtype(name, name)
    assert is_subtype(name, None)
    assert not is_subtype(None, name)
    assert merge_content_types(name, None) == merge_content_types("", name) == merge_content_types(name, name) == name


def test_unspecified():
    assert check_content_type(None) is None
    assert check_content_type("") is None
    assert is_subtype("", None)
    assert merge_content_types("", None) is None


@pytest.mark.parametrize("name", [*UNKNOWN, 5, b"json"])
def test_unknown_is_value_error(name):
    with pytest.raises(ValueError, match="content type"):
        check_content_type(name)
    with pytest.raises(ValueError, match="content type"):
        merge_content_types("json", name)
    with pytest.raises(ValueError, match="content type"):
        is_subtype(name, "json")


@pytest.mark.parametrize(("a", "b", "merged"), [
    ("text", "text-latin-1", "text-latin-1"),
    ("protobuf", "protobuf/a.B", "protobuf/a.B"),
    ("pickle", "cloudpickle", "cloudpickle"),
])  # fmt: skip
def test_merging_gives_the_more_specific(a, b, merged):
    assert merge_content_types(a, b) == merge_content_types(b, a) == merged


@pytest.mark.parametrize(("a", "b"), [
    ("json", "text"), ("text-latin-1", "text-utf-8"), ("pickle", "json"), ("mime/a", "mime/b"), ("dir", "text"),
    ("protobuf/a", "protobuf/b"), ("user/a", "user/ab"),
])  # fmt: skip
def test_incompatible(a, b):
    with pytest.raises(RainException, match="do not fit"):
        merge_content_types(a, b)
    assert not is_subtype(a, b)
    assert not is_subtype(b, a)


def test_subtypes():
    assert is_subtype("pickle", "cloudpickle")
    assert is_subtype("cloudpickle", "pickle")
    assert is_subtype("text-latin-1", "text")
    assert not is_subtype("text", "text-latin-1")


def test_text_encoding():
    assert text_encoding("text-latin-1") == "latin-1"
    assert text_encoding("text") == text_encoding("json") == text_encoding(None) == "utf-8"


def test_codecs_are_offered_lazily():
    code = (
        "import sys, rain.common.content_type as c\n"
        "assert 'rain.objects.content_types.codecs' not in sys.modules\n"
        "assert c.decode_value(c.encode_value([1], 'json'), 'json') == [1]\n"
        "assert 'rain.objects.content_types.codecs' in sys.modules\n"
        "try: c.nothing\n"
        "except AttributeError: pass\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
