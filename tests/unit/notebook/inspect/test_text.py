import pytest

from rain.common.errors import RainException
from rain.notebook.inspectors import sanitize
from rain.notebook.inspectors.limits import TEXT_PAGE_BYTES
from tests.unit.notebook.inspect.rig import Look


def pages(look, **parameters):
    offset, texts = 0, []
    while True:
        page = look.page(view="text", offset=offset, **parameters)
        texts.append(page["text"])
        assert page["end"] > offset or not page["size"]
        offset = page["end"]
        if offset >= page["size"]:
            return texts


@pytest.mark.parametrize(
    "encoding",
    [
        *("utf-8", "utf-8-sig", "latin-1", "utf-16", "utf-16-be", "utf-32", "utf-32-le", "utf-7"),
        *("shift_jis", "gb18030", "euc-kr", "iso2022_jp", "hz"),
    ],
)
def test_pages_never_split_a_character(encoding):
    letter = {
        "latin-1": "ß",
        "shift_jis": "日本語",
        "iso2022_jp": "日本語",
        "gb18030": "汉𝄞",
        "hz": "汉字",
        "euc-kr": "한",
    }
    text = ("ab" + letter.get(encoding, "ß日𝄞")) * 30_000
    found = pages(Look(text.encode(encoding), f"text-{encoding}"))
    assert len(found) > 1
    assert "".join(found) == text


@pytest.mark.parametrize("shift", range(8))
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be", "utf-32-be"])
def test_a_page_from_anywhere_begins_with_a_character(encoding, shift):
    text = "𝄞ß日" * 10
    look = Look(text.encode(encoding), f"text-{encoding}")
    page = look.page(view="text", offset=10 + shift)
    assert "\ufffd" not in page["text"]
    assert text.endswith(page["text"])
    assert 10 + shift <= page["offset"] < 14 + shift


def test_one_line_of_any_length_comes_in_pages():
    look = Look(b"x" * (5 * TEXT_PAGE_BYTES), "text")
    assert len(look.page()["text"]) == TEXT_PAGE_BYTES
    assert look.page(offset=5 * TEXT_PAGE_BYTES)["text"] == ""


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        ("daß".encode(), "utf-8"),
        ("daß".encode("latin-1"), "iso8859-1"),
        ("it is 10 € for „gut“".encode("cp1252"), "cp1252"),
        ("daß".encode("utf-16"), "utf-16-le"),
        ("daß".encode("utf-8-sig"), "utf-8"),
        (b"", "utf-8"),
        (b"\x1b[31mred\x1b[0m\t\n", "utf-8"),
    ],
)
def test_the_encoding_of_what_has_no_type_is_guessed(data, encoding):
    answer = Look(data).answer()
    assert (answer["view"], answer["page"]["encoding"]) == ("text", encoding)


def test_bytes_that_are_no_text_show_as_bytes():
    look = Look(bytes(range(256)) * 40)
    assert look.answer()["views"] == ["hex"]
    page = look.page(offset=4096 + 3)
    assert page["offset"] == 4096
    assert page["rows"][0] == [4096, "00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f", "................"]
    assert page["end"] == 4096 + 256 * 16


def test_another_encoding_can_be_asked_for():
    look = Look("Grüße".encode("latin-1"), "text")
    assert "\ufffd" in look.page(encoding="utf-8")["text"]
    assert look.page(encoding="latin-1")["text"] == "Grüße"


def test_what_is_not_the_utf8_that_it_is_said_to_be():
    answer = Look("Grüße, 5 €".encode("cp1252"), "text").answer()
    assert (answer["page"]["text"], answer["page"]["encoding"]) == ("Grüße, 5 €", "cp1252")
    assert answer["note"] == "This is not utf-8, which the content type says: it is shown as cp1252."
    assert "note" not in answer["page"]
    few = "déjà vu ".encode() * 20 + b"\xe9"
    answer = Look(few, "text").answer()
    assert answer["page"]["text"] == few.decode(errors="replace")
    assert "note" not in answer


@pytest.mark.parametrize("shift", range(4))
def test_latin_1_that_begins_late(shift):
    text = "a" * (TEXT_PAGE_BYTES + shift) + "° è 40 °C » «" * 10_000
    look = Look(text.encode("latin-1"))
    assert "".join(pages(look)) == text
    assert look.page(offset=TEXT_PAGE_BYTES + 5)["text"].startswith(text[TEXT_PAGE_BYTES + 5 :][:100])


@pytest.mark.parametrize(
    "name", ["nope", "hex", "zlib", "rot13", "punycode", "idna", "undefined", "unicode_escape", "a\0b"]
)
def test_what_is_no_encoding_of_texts_is_refused(name):
    with pytest.raises(RainException, match=r"encoding|pages"):
        Look(b"abc", "text").page(view="text", encoding=name)


def test_odd_characters_pass_as_text():
    text = "\u202etxt.exe\u2066 \x00\x07\x1b[2J <script>alert(1)</script>"
    assert Look(text.encode(), "text").page()["text"] == text


@pytest.mark.parametrize(
    "name", ["plain", "da\udcdf", "\\xdf", "a\\b", "\\\\", "\udc89\\\udc80x", "\\x89\udc89", "daß"]
)
def test_any_name_comes_back_as_it_was(name):
    assert sanitize.unescape_name(sanitize.escape_name(name)) == name
    sanitize.escape_name(name).encode()


def test_names_that_differ_are_written_differently():
    names = ["\udcdf", "\\xdf", "\\\\xdf", "\\\udcdf"]
    assert len(set(map(sanitize.escape_name, names))) == len(names)
