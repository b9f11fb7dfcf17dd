"""Sorted and filtered rows of tables: what an executor is asked, and what is made of its answers."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import csv

from rain import RainException
from rain.common.protocol.encoding import encode
from rain.common.protocol.table_views import TableAnswer, TableQuery, decode_query
from rain.executor.views.tables.view import table
from rain.notebook.inspectors.kinds import views_of
from rain.notebook.inspectors.subject import Subject
from rain.notebook.protocol.data import TablePage
from rain.notebook.protocol.requests import ColumnFilter, Inspect, request_of
from rain.objects.data_instance import DataInstance
from rain.objects.readers import BytesReader

CSV = b'name,size\nb,2\na,10\n"c\nd",1\n'


class Looked:
    """A subject whose executor is here, and what that was asked."""

    def __init__(self, data: bytes, name: str) -> None:
        self.asked: list[TableQuery] = []
        instance = DataInstance(BytesReader(data), None)

        def ask(what: str, asked: bytes) -> bytes:
            assert what == "table"
            self.asked.append(decode_query(asked))
            return table(instance, asked)

        self.subject = Subject(BytesReader(data), None, name, ask)
        self.viewer = views_of(self.subject)["table"](self.subject)

    def page(self, **asked: Any) -> TablePage:
        page, buffers = self.viewer.page(Inspect(**asked))
        assert isinstance(page, TablePage)
        assert buffers == []
        return page


def parquet() -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"name": ["b", "a", "c"], "size": [2, 10, 1]}), file)
    return file.getvalue()


def test_csv_in_its_order_asks_no_executor() -> None:
    looked = Looked(CSV, "sizes.csv")
    page = looked.page()
    assert (page.rows[0], page.can_query, page.working, looked.asked) == (["b", "2"], True, None, [])


def test_sorted_and_filtered_csv_is_read_as_it_is_shown() -> None:
    looked = Looked(CSV, "sizes.csv")
    assert [row[1] for row in looked.page(sort=1).rows] == ["1", "2", "10"]
    page = looked.page(sort=1, descending=True, filters=[ColumnFilter(1, "> 1")])
    assert (page.rows, page.index, page.total) == ([["a", "10"], ["b", "2"]], ["1", "0"], 2)
    form = looked.asked[0].csv
    assert form is not None
    assert (form.start, form.delimiter, form.names, form.kinds) == (10, ",", ["name", "size"], ["text", "integer"])
    assert len({one.viewer for one in looked.asked}) == 1


@pytest.mark.parametrize("name", ["sizes.parquet", "sizes"])
def test_parquet_is_read_by_executors_only(name: str) -> None:
    looked = Looked(parquet(), name)
    page = looked.page()
    assert [(column.name, column.dtype) for column in page.columns] == [("name", "string"), ("size", "int64")]
    assert (page.rows[1], page.total, page.can_query) == (["a", "10"], 3, True)
    assert ("row groups", "1") in page.summary
    assert looked.page(sort=0).rows[0] == ["a", "10"]


def test_without_a_session_only_what_this_process_reads_is_shown() -> None:
    subject = Subject(BytesReader(CSV), None, "sizes.csv")
    viewer = views_of(subject)["table"](subject)
    page, _ = viewer.page(Inspect())
    assert isinstance(page, TablePage)
    assert not page.can_query
    with pytest.raises(RainException, match="of no session that is open"):
        viewer.page(Inspect(sort=0))


def test_how_far_an_executor_came_is_told_and_odd_answers_are_refused() -> None:
    answers = [
        encode(TableAnswer([("a\n", "int64")], 1, [], None, [], None, 0.25, "half\x1b way", [])),
        b"what?",
    ]
    subject = Subject(BytesReader(parquet()), None, "x.parquet", lambda what, asked: answers.pop(0))
    viewer = views_of(subject)["table"](subject)
    page, _ = viewer.page(Inspect(sort=0, offset=5))
    assert isinstance(page, TablePage)
    assert (page.working, page.total, page.rows, page.columns[0].name) == (0.25, None, [], "a\\n")
    assert "\x1b" not in (page.note or "")
    with pytest.raises(RainException, match="what the executor said cannot be read"):
        viewer.page(Inspect(sort=0))


@pytest.mark.parametrize(
    "asked",
    [
        {"sort": -1}, {"sort": "a"}, {"filters": [{"column": 0}]}, {"filters": [{"column": 0, "text": "x" * 501}]},
        {"filters": [{"column": 0, "text": "x"}] * 33}, {"descending": 1},
    ],
)  # fmt: skip
def test_odd_questions_of_a_browser_are_refused(asked: Any) -> None:
    with pytest.raises(RainException, match="is not understood"):
        request_of({"type": "inspect", **asked})


@pytest.mark.parametrize("form", ["parquet", "csv", "arrow"])
def test_the_last_of_400_columns_is_found_in_each_kind_of_table(form: str) -> None:
    table_ = pa.table({f"c{at}": [at, at + 1] for at in range(400)})
    file = io.BytesIO()
    if form == "parquet":
        pq.write_table(table_, file)
    elif form == "csv":
        csv.write_csv(table_, file)
    else:
        with pa.ipc.new_file(file, table_.schema) as writer:
            writer.write_table(table_)
    looked = Looked(file.getvalue(), f"wide.{form}")
    for asked in ({}, {"sort": 399, "descending": True}):
        page = looked.page(column=384, **asked)
        assert (page.column, page.width, [column.name for column in page.columns][-1]) == (384, 400, "c399")
        assert [row[-1] for row in page.rows] == (["400", "399"] if asked else ["399", "400"])
