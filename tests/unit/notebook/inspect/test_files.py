"""Files of formats that hold others: zip and npz, gzip, drawings, notebooks; and folders of many."""

from __future__ import annotations

import gzip
import io
import json
import zipfile

import numpy
import pytest

from rain.common import DataInstance
from rain.common.spec import ObjectInfo
from rain.notebook.inspectors import Inspection, limits
from rain.notebook.inspectors.viewers import directories
from rain.notebook.protocol.requests import Inspect
from rain.objects.readers import TreeReader
from tests.unit.notebook.inspect.rig import Look


def zipped(**entries):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as target:
        for name, data in entries.items():
            target.writestr(name, data)
    return file.getvalue()


def test_arrays_of_an_npz_tell_shape_and_type_without_being_loaded():
    file = io.BytesIO()
    numpy.savez_compressed(file, x=numpy.zeros((3, 4)), words=numpy.array(["a"]), objects=numpy.array([{}]))
    page = Look(file.getvalue(), "mime/application/zip").page()
    rows = {row[0]: row[1] for row in page["rows"]}
    assert rows == {"x.npy": "array 3 x 4 <f8", "words.npy": "array 1 <U1", "objects.npy": "array 1 |O"}
    assert page["summary"][0] == ["entries", "3"]


def test_zips_that_are_damaged_or_hostile():
    assert Look(zipped(a=b"x" * 1000)[:-30]).answer()["view"] == "hex"
    assert Look(b"PK\x03\x04").answer()["view"] == "hex"
    data = zipped(**{"../../etc/passwd\u202e": b"x", "broken.npy": b"\x93NUMPY\x01\x00\xff\xffx"})
    rows = Look(data).page()["rows"]
    assert rows[0][0] == "../../etc/passwd\\u202e"
    assert rows[1][1].startswith("array: ")


def test_too_many_entries(monkeypatch):
    monkeypatch.setattr("rain.notebook.inspectors.documents.zips.ZIP_ENTRIES_MAX", 1)
    answer = Look(zipped(a=b"", b=b"")).answer()
    assert answer["view"] == "hex"
    assert "ZIP_ENTRIES_MAX" in answer["note"]


def test_gzip_shows_what_is_inside():
    table = Look(gzip.compress(b"name,size\na,1\nb,2\n"), "mime/application/gzip", "x.csv.gz").answer()
    assert (table["view"], table["page"]["rows"]) == ("table", [["a", "1"], ["b", "2"]])
    assert table["views"][-1] == "hex"
    assert Look(gzip.compress(b'{"a": 1}')).answer()["view"] == "tree"
    raw = Look(gzip.compress(b"text")).page(view="hex")
    assert raw["rows"][0][1].startswith("1f 8b")
    assert Look(gzip.compress(gzip.compress(b"text"))).answer()["views"] == ["hex"]
    assert Look(b"\x1f\x8b\x08damaged").answer()["views"] == ["hex"]


def test_a_gzip_that_grows_is_cut():
    answer = Look(gzip.compress(b"0123456789abcde\n" * (1 << 20))).answer(view="text")
    assert answer["note"] == "The first 2.0 MiB of what is in the gzip file."
    assert answer["page"]["size"] == limits.GZIP_SHOWN_BYTES_MAX


def test_drawings_are_images():
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
    look = Look(svg, "mime/image/svg+xml")
    assert look.answer()["page"] == {"mime": "image/svg+xml", "width": 0, "height": 0}
    assert look.buffers == [svg]
    bomb = Look(b'<!DOCTYPE svg [<!ENTITY a "b">]><svg>&a;</svg>', "mime/image/svg+xml").answer()
    assert bomb["view"] == "text"
    assert "declares entities" in bomb["note"]
    assert Look(b"<svg/>" + b" " * limits.SVG_BYTES_MAX, "mime/image/svg+xml").answer()["view"] == "text"


def test_cells_of_a_notebook():
    output = {"output_type": "stream", "text": ["6\n"]}
    failed = {"output_type": "error", "ename": "ValueError", "evalue": "no", "traceback": []}
    cells = [
        {"cell_type": "markdown", "source": ["# <b>Title</b>\n", "text"]},
        {"cell_type": "code", "execution_count": 3, "source": "print(2 * 3)", "outputs": [output, failed, 7]},
        "odd",
    ]
    found = {"cells": cells, "metadata": {"kernelspec": {"display_name": "Python 3"}}, "nbformat": 4}
    answer = Look(json.dumps(found).encode(), "mime/application/x-ipynb+json").answer()
    assert answer["views"] == ["preview", "tree", "text", "hex"]
    assert [tuple(part.values()) for part in answer["page"]["parts"]] == [
        ("", "markdown", "# <b>Title</b>\ntext"),
        ("[3]", "code", "print(2 * 3)"),
        ("", "output", "6\n"),
        ("", "output", "ValueError: no"),
    ]
    for broken in (b"[]", b"{", b'{"cells": 3}'):
        assert Look(broken, "mime/application/x-ipynb+json").answer()["view"] != "preview"


@pytest.fixture
def folder(tmp_path):
    for name in ("b", "A", "zeta"):
        (tmp_path / name).mkdir()
    for number in range(250):
        (tmp_path / f"file {number:03}").write_bytes(b"x")

    def page(**asked):
        answer, _ = inspection.page(Inspect(**asked))
        return answer.page

    inspection = Inspection(lambda: DataInstance(TreeReader(str(tmp_path)), None, ObjectInfo(size=0)))
    return page


def test_folders_come_first_and_names_are_filtered(folder):
    first = folder()
    assert [entry.name for entry in first.entries[:4]] == ["A", "b", "zeta", "file 000"]
    assert (first.total, first.unsorted, len(first.entries)) == (253, False, 200)
    second = folder(offset=200)
    assert second.entries[-1].name == "file 249"
    found = folder(named="FILE 01")
    assert (found.total, found.entries[0].name) == (10, "file 010")
    assert folder(named="nothing").total == 0


def test_of_too_many_entries_only_pages_are_read(folder, monkeypatch):
    monkeypatch.setattr(directories, "LISTING_ENTRIES_MAX", 100)
    page = folder(named="zeta")
    assert (page.unsorted, page.total, page.entries[1].name) == (True, 253, "b")


def test_a_long_directory_of_a_zip_is_not_read(monkeypatch):
    monkeypatch.setattr("rain.notebook.inspectors.documents.zips.ZIP_READ_BYTES_MAX", 200)
    data = zipped(**{f"entry {n}": b"x" for n in range(50)})
    answer = Look(data).answer()
    assert answer["view"] == "hex"
    assert "ZIP_READ_BYTES_MAX" in answer["note"]
