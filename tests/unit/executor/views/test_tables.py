"""Tables where they lie: pages, sorted and filtered rows of Arrow, Parquet and CSV, step by step."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rain import RainException
from rain.common.limits import TABLE_SORTED_ROWS
from rain.common.protocol.encoding import encode
from rain.common.protocol.table_views import CsvForm, Filter, TableAnswer, TableQuery, decode_answer
from rain.executor.views.tables import csv_source, scan, view
from rain.executor.views.tables.filters import parse
from rain.objects.data_instance import DataInstance
from rain.objects.readers import BytesReader

ROWS = 5000
CITIES = ["Rome", "oslo", "Paris", None]


def frame() -> Any:
    return pa.table(
        {
            "number": pa.array([(i * 7919) % 10007 for i in range(ROWS)], pa.int32()),
            "share": [float("nan") if i % 1000 == 0 else i / 7 for i in range(ROWS)],
            "city": pa.array([CITIES[i % 4] for i in range(ROWS)]).dictionary_encode(),
            "when": pa.array([1000 * i for i in range(ROWS)], pa.timestamp("ms")),
            "parts": [[i] * (i % 40) for i in range(ROWS)],
        }
    )


def written(format: str) -> bytes:
    file = io.BytesIO()
    if format == "parquet":
        pq.write_table(frame(), file, row_group_size=700)
    else:
        make = pa.ipc.new_file if format == "arrow" else pa.ipc.new_stream
        with make(file, frame().schema) as writer:
            writer.write_table(frame().unify_dictionaries(), max_chunksize=900)
    return file.getvalue()


FORM = CsvForm(12, ",", "utf-8", ["n", "text", "x"], ["integer", "text", "number"])
CSV = b"n,text,x    " + b"".join(
    b'%d,"say ""%d""\nagain",%s\n' % (i * 37 % 1009, i, b"n/a" if i % 10 == 3 else b"%.2f" % (i / 3))
    for i in range(3000)
)


class Asker:
    """One viewer of some bytes."""

    def __init__(self, data: bytes, format: str, csv: CsvForm | None = None) -> None:
        self.instance = DataInstance(BytesReader(data), None)
        self.format, self.csv = format, csv
        self.steps = 0

    def once(
        self, sort: int | None = None, descending: bool = False, offset: int = 0, count: int = 5, **more: Any
    ) -> TableAnswer:
        filters = [Filter(*one) for one in more.get("filters", ())]
        name = f"test {id(self)}"
        query = TableQuery(name, self.format, self.csv, sort, descending, filters, offset, count, 0, 64)
        return decode_answer(view.table(self.instance, encode(query)))

    def __call__(self, *args: Any, **more: Any) -> TableAnswer:
        while (answer := self.once(*args, **more)).working is not None:
            self.steps += 1
            assert not answer.rows
        return answer


@pytest.fixture(autouse=True)
def _nothing_kept() -> None:
    view._tables.clear()


@pytest.fixture(params=["arrow", "arrow stream", "parquet"])
def ask(request: pytest.FixtureRequest) -> Asker:
    return Asker(written(request.param), request.param.partition(" ")[0])


def test_rows_are_paged(ask: Asker) -> None:
    page = ask(offset=4998)
    assert page.columns[0] == ("number", "int32")
    assert (page.total, page.numbers, page.working) == (ROWS, [4998, 4999], None)
    assert page.rows[1] == [str(4999 * 7919 % 10007), str(4999 / 7), "", "1970-01-01 01:23:19", "39 items"]
    assert ask(offset=10**9).rows == []


@pytest.mark.parametrize("descending", [False, True])
def test_a_sorted_table_gives_its_first_rows(ask: Asker, descending: bool) -> None:
    values = frame()["number"].to_pylist()
    order = sorted(range(ROWS), key=lambda row: (-values[row] if descending else values[row], row))
    page = ask(0, descending, offset=990, count=20)
    assert page.numbers == order[990:1000]
    assert page.total == TABLE_SORTED_ROWS
    assert page.note == "The first 1,000 of 5,000 rows."
    assert [int(row[0]) for row in page.rows] == [values[row] for row in order[990:1000]]


def test_texts_times_and_what_is_missing_are_sorted(ask: Asker) -> None:
    assert ask(2).rows[0][2] == "Paris"
    assert ask(2, filters=[(2, "is null")]).rows[0][2] == ""
    assert ask(3, True).numbers == [4999, 4998, 4997, 4996, 4995]
    assert ask(1, True).rows[0][1] == str(4999 / 7)  # what is no number comes last


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ([(0, "> 10000")], lambda i: (i * 7919) % 10007 > 10000),
        ([(0, "10")], lambda i: (i * 7919) % 10007 == 10),
        ([(0, "<= 2.5")], lambda i: (i * 7919) % 10007 <= 2),
        ([(2, "PAR")], lambda i: i % 4 == 2),
        ([(2, "~ ^[Ro]")], lambda i: i % 4 < 2),
        ([(2, "is not null"), (3, "< 1970-01-01 00:00:10")], lambda i: i % 4 != 3 and i < 10),
        ([(2, "!= Rome")], lambda i: i % 4 in (1, 2)),
    ],
)
def test_filters_let_rows_through(ask: Asker, filters: Any, expected: Any) -> None:
    wanted = [i for i in range(ROWS) if expected(i)]
    page = ask(filters=filters, count=ROWS)
    assert (page.numbers, page.total) == (wanted, len(wanted))
    assert ask(filters=filters, offset=2, count=3).numbers == wanted[2:5]
    assert ask(0, filters=filters, count=1).numbers == sorted(wanted, key=lambda i: ((i * 7919) % 10007, i))[:1]


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"sort": 4}, "'parts' is of type list<.*, whose values have no order"),
        ({"sort": 5}, "there is no column 6: the table has 5"),
        ({"filters": [(0, "abc")]}, "'number' is of type int32: 'abc' cannot be compared with it"),
        ({"filters": [(2, "~ (")]}, "the filter of column 'city' is no regular expression"),
        ({"filters": [(4, "x")]}, "'parts' is of type list"),
        ({"filters": [(0, "~ 1")]}, "~ is for texts"),
    ],
)
def test_what_cannot_be_asked_is_told(ask: Asker, asked: Any, why: str) -> None:
    with pytest.raises(RainException, match=why):
        ask(**asked)


def test_a_question_is_worked_at_step_by_step(ask: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(10**6))
    monkeypatch.setattr(scan.time, "monotonic", lambda: next(now) / 2)  # each piece takes half a second
    first = ask.once(0)
    assert (first.rows, first.total) == ([], None)
    assert first.working is not None
    assert 0 < first.working < 1
    second = ask.once(0)
    assert second.working is not None
    assert second.working > first.working
    assert len(ask(0).rows) == 5
    assert ask.steps > 1
    # Found once, it is given again at once; another question begins anew.
    ask(0, offset=5)
    assert ask.once(0, offset=5).working is None
    assert ask.once(1).working is not None


def test_rows_that_were_found_are_read_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    ask = Asker(written("parquet"), "parquet")
    found = ask(0, count=100)
    view._tables.clear()
    now = iter(range(10**6))
    monkeypatch.setattr(view.time, "monotonic", lambda: next(now) / 2)  # each row group takes half a second
    steps = []
    while (answer := ask.once(0, count=100)).working is not None:
        steps.append(answer.working)
    assert answer == found
    assert steps.count(view.READING) > 1
    assert steps == sorted(steps)


def test_a_question_that_takes_too_long_ends(ask: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "TABLE_SCAN_S", -1.0)
    with pytest.raises(RainException, match="TABLE_SCAN_S"):
        ask(0)


def test_rows_that_filters_let_through_have_a_limit(ask: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "TABLE_MATCHES_MAX", 1000)
    page = ask(filters=[(0, ">= 0")], offset=999)
    assert (page.total, page.numbers) == (1000, [999])
    assert page.note.startswith("The first 1,000 rows that were found, in ")


def test_csv_is_sorted_by_what_its_columns_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_source, "PIECE_BYTES", 1000)  # ends of pieces within quotes
    ask = Asker(CSV, "csv", FORM)
    numbers = [i * 37 % 1009 for i in range(3000)]
    assert ask(0).numbers == sorted(range(3000), key=lambda i: (numbers[i], i))[:5]
    page = ask(2, True)
    assert page.numbers == [2999, 2998, 2997, 2996, 2995]
    assert page.rows[0] == [str(numbers[2999]), 'say "2999"\nagain', "999.67"]
    found = ask(filters=[(1, '"299'), (2, "> 999")], count=50)
    assert found.numbers == [i for i in range(2990, 3000) if i / 3 > 999 and i % 10 != 3]
    assert ask(filters=[(2, "is null")], count=1000).numbers == list(range(3, 3000, 10))


def test_rows_of_csv_that_do_not_fit_keep_the_numbers_of_others() -> None:
    data = b"n,text,x    1,a,1\n2,b\n\n3,c,3,4\n4,d,4\n"
    page = Asker(data, "csv", FORM)(0, True, count=10)
    assert page.numbers[0] == 4
    assert page.rows[0] == ["4", "d", "4"]
    assert page.note == "2 rows have more or fewer than 3 cells, and empty ones here."
    with pytest.raises(RainException, match="only sorted or filtered rows"):
        Asker(data, "csv", FORM)()


def test_an_open_quote_does_not_read_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_source, "PIECE_BYTES", 100)
    monkeypatch.setattr(csv_source, "PIECE_BYTES_MAX", 400)
    with pytest.raises(RainException, match="no row ends within 400 bytes: a quote is open"):
        Asker(b'n,text,x    1,"open\n' + b"x,\n" * 1000, "csv", FORM)(0)


@pytest.mark.parametrize("format", ["arrow", "parquet"])
@pytest.mark.parametrize("data", [b"", b"PAR1", b"ARROW1" + bytes(100), bytes(1000)])
def test_what_is_no_table_is_told(format: str, data: bytes) -> None:
    with pytest.raises(RainException, match=f"cannot be read as {format}"):
        Asker(data, format)()


def test_labels_of_pandas_are_no_column() -> None:
    pandas = pytest.importorskip("pandas")
    made = pandas.DataFrame({"x": [3, 1, 2]}, index=["a", "b", "c"])
    file = io.BytesIO()
    made.to_parquet(file)
    page = Asker(file.getvalue(), "parquet")(0)
    assert (page.labels, page.rows, page.width) == (["b", "c", "a"], [["1"], ["2"], ["3"]], 1)


@pytest.mark.parametrize(
    ("text", "parsed"),
    [("x>y", ("", "x>y")), (" >=  1 ", (">=", "1")), ("IS  NULL", ("null", "")), ("<>a", ("<>", "a")), ("", ("", ""))],
)
def test_filters_are_written_as_users_do(text: str, parsed: tuple[str, str]) -> None:
    assert parse(text) == parsed
