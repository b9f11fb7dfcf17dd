"""What is shown where no kernel is: HTML from texts that anybody may have written."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from rain import Session, TaskState, blob, tasks
from rain.common import DataInstance
from rain.common.spec import ObjectSpec, TaskError
from rain.notebook import plain_forms, stills
from rain.notebook.protocol.lookups import Card, Governor, Measure, SessionLine
from rain.objects.readers import BytesReader

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>\u202e\n<b>'
ALLOWED = {"figure", "figcaption", "img", "div", "strong", "pre", "table", "thead", "tbody", "tr", "th", "td"}


class Seen(HTMLParser):
    """Tags and attributes of a text of HTML, and what a reader sees."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.text += data


def harmless(html: str) -> Seen:
    """`html` as it is seen; it has no element, attribute or address that could act."""
    seen = Seen(html)
    assert {tag for tag, _ in seen.tags} <= ALLOWED
    for _, attributes in seen.tags:
        assert set(attributes) <= {"style", "src", "alt"}
        assert re.match(r"data:image/[a-z+]+;base64,[A-Za-z0-9+/=]*$", attributes.get("src") or "data:image/x;base64,")
    assert "\u202e" not in seen.text
    return seen


def test_a_picture_is_an_image_with_words_beside_it() -> None:
    seen = harmless(stills.picture("<svg>\udcff</svg>", HOSTILE, HOSTILE))
    image = dict(seen.tags)["img"]
    assert image["alt"] == HOSTILE
    assert base64.b64decode((image["src"] or "").partition(",")[2]) == b"<svg>?</svg>"
    assert "<script>" in seen.text


def test_a_card_of_hostile_names() -> None:
    governor = Governor(HOSTILE, 2.5, 1, 0, 0.5, None, Measure("x", "x", "x", None), [])
    session = SessionLine(1, HOSTILE, False, {"finished": 3, "failed": 0})
    info = Card("host:1", "", "", HOSTILE, [governor] * 12, [session])
    seen = harmless(stills.card(info, "as of now"))
    assert "and 2 more" in seen.text
    assert "3 finished" in seen.text
    assert "failed" not in seen.text
    assert seen.text.endswith("as of now")


def still(data: bytes, content_type: str | None) -> Seen:
    """How a blob with a hostile name is shown."""
    spec = ObjectSpec((1, 2), HOSTILE, content_type)  # type: ignore[arg-type]
    bundle = plain_forms.still_of(DataInstance(BytesReader(data), spec))
    assert set(bundle) - {"image/png"} == {"text/html", "text/plain"}
    assert ("image/png" in bundle) == (data == PNG)
    return harmless(bundle["text/html"])


PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.mark.parametrize(
    ("data", "content_type", "expected"),
    [
        (b"a,b\n<script>,2\n", "mime/text/csv", "<script>"),
        (HOSTILE.encode(), "text", "<script>alert(1)</script>"),
        (b'{"<b>": [1]}', "json", "<b>"),
        (b"\x00\x01<img>", None, "<img>"),
        (b"not a png <i>", "mime/image/png", ""),
        (b"", "text", "0 bytes"),
    ],
)
def test_hostile_data(data: bytes, content_type: str | None, expected: str) -> None:
    assert expected in still(data, content_type).text


def test_a_small_image_is_shown_and_a_table_as_one() -> None:
    seen = still(PNG, "mime/image/png")
    assert base64.b64decode((dict(seen.tags)["img"]["src"] or "").partition(",")[2]) == PNG
    rows = "x,y\n" + "".join(f"{n},{n}\n" for n in range(50))
    seen = still(rows.encode(), "mime/text/csv")
    assert [tag for tag, _ in seen.tags].count("tr") <= stills.ROWS_MAX + 1
    assert "50 rows, 2 columns" in seen.text


def test_the_moment_is_told_with_its_day() -> None:
    assert re.fullmatch(r"as of \d{1,2} \w+ \d{4}, \d\d:\d\d", stills.as_of(0))


def test_a_bundle_never_names_a_widget_of_ipywidgets() -> None:
    from rain.notebook.widget import InspectorWidget

    still: dict[str, Any] = {"text/html": "<figure></figure>", "text/plain": "x"}
    widget = InspectorWidget(None, still)  # type: ignore[arg-type]
    bundle, _ = widget._repr_mimebundle_()
    assert bundle == {"application/vnd.rain.view+json": {"model_id": widget.model_id}, **still}


def test_tasks_objects_sessions_and_clients_have_html_of_their_own() -> None:
    """As front ends ask for it that are no kernels of IPython."""
    session = Session(None, 1, HOSTILE)
    with session.bind_only():
        data = blob(b"x", "name <i>")
        task = tasks.Concat([data] * 30, name=HOSTILE.replace("/", "|"))
    assert "not submitted" in harmless(task._repr_html_() or "").text
    assert "… and 10 more" in harmless(task._repr_html_() or "").text
    assert "name <i>" in harmless(data._repr_html_() or "").text
    assert "session.submit()" in harmless(task.output._repr_html_() or "").text
    picture = dict(harmless(session._repr_html_() or "").tags)["img"]
    assert "1 task: 1 not submitted" in str(picture["alt"])
    assert "invert(" in str(picture["style"]), "it is dark in a dark page"
    record = task._record
    record.state, record.error = TaskState.FAILED, TaskError("exception", HOSTILE)
    assert "alert(2)" in harmless(task._repr_html_() or "").text
    assert "x" in harmless(DataInstance(BytesReader(b"x"), None)._repr_html_() or "").text
