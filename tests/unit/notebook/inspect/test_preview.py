"""The view of a value that an executor has looked at."""

from __future__ import annotations

import pickle

import pytest

from rain.common.errors import RainException
from rain.common.protocol.encoding import encode
from rain.common.protocol.previews import Field, Head, Histogram, Picture, Preview
from rain.notebook import stills
from rain.notebook.inspectors.static import first_page, static_text
from tests.unit.notebook.inspect.rig import Look

FRAME = Preview(
    type="pandas.DataFrame",
    summary=[("shape", "2 rows x 1 columns")],
    head=Head([("n\u202e", "int64")], ["0", "1"], [["<b>"], ["2"]]),
    note="a note",
)


def look(preview, encoded=True, content_type="pickle", data=None):
    """A look at a pickle, and what was asked of executors."""
    found = Look(pickle.dumps([1]) if data is None else data, content_type)
    asked = []

    def ask(what, question, path, timeout):
        asked.append((what, path))
        if isinstance(preview, Exception):
            raise preview
        return preview if isinstance(preview, bytes) else encode(preview)

    found.instance._ask = ask
    found.instance.info.encoded = encoded
    return found, asked


def test_a_result_opens_with_its_value():
    found, asked = look(FRAME)
    answer = found.answer()
    assert answer["views"] == ["preview", "pickle", "value", "hex"]
    assert answer["view"] == "preview"
    assert answer["note"] == "a note"
    assert answer["page"]["columns"] == [{"name": "n\\u202e", "dtype": "int64"}]
    assert answer["page"]["rows"] == [["<b>"], ["2"]]
    found.page()
    assert asked == [("preview", None)]


def test_parts_bins_and_pictures():
    preview = Preview(
        type="x",
        text="line\nline",
        histogram=Histogram([1, 0], "0", "1", "all values"),
        fields=[Field("a\n", "int", "3")],
        picture=Picture(b"PNG", 3, 4),
    )
    found, _ = look(preview)
    page = found.page()
    assert page["bins"] == {"counts": [1, 0], "low": "0", "high": "1", "of": "all values"}
    assert page["parts"] == [{"name": "a\\n", "type": "int", "text": "3"}]
    assert (page["text"], page["width"], page["height"]) == ("line\nline", 3, 4)
    assert found.buffers == [b"PNG"]


def test_bytes_of_anywhere_are_loaded_only_if_somebody_asks():
    found, asked = look(FRAME, encoded=False)
    answer = found.answer()
    assert answer["view"] == "pickle"
    assert answer["views"] == ["pickle", "value", "hex", "preview"]
    assert asked == []
    assert found.answer(view="preview")["page"]["type"] == "pandas.DataFrame"
    for damaged in (b"\x80\x04", b"\x80\x04]q"):  # also where no other view shows anything
        found, asked = look(FRAME, encoded=False, data=damaged)
        found.answer()
        assert asked == []


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RainException("its repr does not return"), "It is not shown as preview: its repr does not return"),
        (TimeoutError(), "It is not shown as preview: no executor has answered yet; ask again"),
        (b"\xc1", "It is not shown as preview: what the executor said cannot be read"),
    ],
    ids=["refused", "late", "damaged"],
)
def test_where_there_is_none_the_pickle_is_shown(error, said):
    found, _ = look(error)
    answer = found.answer()
    assert answer["view"] == "pickle"
    assert answer["note"].startswith(said)


def test_without_an_executor_there_is_no_such_view():
    assert Look(pickle.dumps([1]), "pickle").answer()["views"] == ["pickle", "value", "hex"]


def test_values_of_plug_ins_have_a_preview_too():
    found, _ = look(FRAME, content_type="plugin/unknown", data=b"\0\1\2")
    assert found.answer()["views"] == ["preview", "hex"]


def test_what_is_saved_shows_the_value():
    found, _ = look(FRAME)
    assert static_text(found.instance).splitlines()[1:] == [
        "  pandas.DataFrame: shape 2 rows x 1 columns",
        "     n\\u202e",
        "  0      <b>",
        "  1        2",
    ]
    page, pieces = first_page(found.instance)
    html = stills.instance("title", page, pieces, "text")
    assert ">&lt;b&gt;</td>" in html
    picture, _ = look(Preview(type="Figure", picture=Picture(b"PNG", 3, 4)))
    page, pieces = first_page(picture.instance)
    assert 'src="data:image/png;base64,UE5H"' in stills.instance("<title>", page, pieces, "text")
