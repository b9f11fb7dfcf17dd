from hypothesis import given
from hypothesis import strategies as st

from rain.common.errors import RainException
from rain.objects.content_types.registry import check_content_type, is_subtype, merge_content_types

TYPES = [None, "", "pickle", "cloudpickle", "json", "cbor", "arrow", "text", "text-utf-8", "text-latin-1", "protobuf",
         "protobuf/a", "protobuf/b", "mime/x", "user/x", "dir"]  # fmt: skip
types = st.sampled_from(TYPES)


def merged(a, b):
    try:
        return merge_content_types(a, b)
    except RainException:
        return "nothing"


@given(types, types)
def test_merging_commutes_and_is_a_lower_bound(a, b):
    both = merged(a, b)
    assert both == merged(b, a)
    if both == "nothing":
        assert not is_subtype(a, b)
        assert not is_subtype(b, a)
    else:
        assert is_subtype(both, a)
        assert is_subtype(both, b)
        assert both in (check_content_type(a), check_content_type(b))


@given(types, types, types)
def test_subtypes_are_transitive(a, b, c):
    if is_subtype(a, b) and is_subtype(b, c):
        assert is_subtype(a, c)


@given(st.text())
def test_any_text_is_a_type_or_a_value_error(name):
    try:
        found = check_content_type(name)
    except ValueError as error:
        found, text = name or None, str(error)
        assert "content type" in text
    assert found == (name or None)
