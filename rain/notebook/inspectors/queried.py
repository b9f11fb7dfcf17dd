"""Tables of which sorted or filtered rows are wanted: executors find these where the data lie, not this process."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import msgspec

from rain.common.errors import RainException
from rain.common.protocol.encoding import encode
from rain.common.protocol.table_views import Filter, TableAnswer, TableQuery, decode_answer
from rain.notebook.inspectors.limits import TABLE_COLUMNS_MAX, TABLE_PAGE_ROWS
from rain.notebook.inspectors.sanitize import visible
from rain.notebook.inspectors.subject import PageWithBuffers, Subject, Viewer
from rain.notebook.inspectors.tables import table
from rain.notebook.inspectors.viewers.arrow_table import ArrowViewer
from rain.notebook.inspectors.viewers.csv_table import CsvViewer
from rain.notebook.protocol.data import TablePage
from rain.notebook.protocol.requests import Inspect


class QueriedTable:
    """A table: rows in their order by a viewer of this process, where there is one; all others by an executor.

    Parameters
    ----------
    subject : Subject
    format : str
        As of `rain.common.protocol.table_views.TableQuery`.
    make : callable, optional
        Makes the viewer of this process.
    """

    def __init__(self, subject: Subject, format: str, make: Callable[[Subject], Viewer] | None = None) -> None:
        self._subject = subject
        self._format = format
        self._plain = None if make is None else make(subject)
        self._name = secrets.token_hex(8)

    def page(self, asked: Inspect) -> PageWithBuffers:
        """See `Viewer`."""
        if self._plain is not None and asked.sort is None and not asked.filters:
            page, buffers = self._plain.page(asked)
            if isinstance(page, TablePage):
                page.can_query = self._subject.ask is not None
            return page, buffers
        return self._found(asked), []

    def _found(self, asked: Inspect) -> TablePage:
        if self._subject.ask is None:
            raise RainException(
                "executors sort, filter and read such tables where the data lie, and these data are of no session that "
                "is open"
            )
        csv = self._plain.form() if isinstance(self._plain, CsvViewer) else None
        filters = [Filter(one.column, one.text) for one in asked.filters]
        query = TableQuery(
            self._name, self._format, csv, asked.sort, asked.descending, filters, asked.offset, TABLE_PAGE_ROWS,
            asked.column, TABLE_COLUMNS_MAX,
        )  # fmt: skip
        try:
            answer = decode_answer(self._subject.ask("table", encode(query)))
        except msgspec.MsgspecError as error:
            raise RainException(f"what the executor said cannot be read: {error}") from None
        return _page(answer, asked)


def _page(answer: TableAnswer, asked: Inspect) -> TablePage:
    total = answer.total
    page = table(
        answer.columns[:TABLE_COLUMNS_MAX],
        answer.rows,
        offset=asked.offset if total is None else min(asked.offset, total),
        total=total,
        column=min(asked.column, answer.width),
        width=answer.width,
        index=answer.numbers if answer.labels is None else answer.labels,
        summary=answer.facts,
    )
    page.can_query = True
    page.working = answer.working
    page.note = visible(answer.note)
    return page


def arrow(subject: Subject) -> Viewer:
    """An Arrow IPC file or stream."""
    return QueriedTable(subject, "arrow", ArrowViewer)


def csv(subject: Subject) -> Viewer:
    """Rows that are written as text."""
    return QueriedTable(subject, "csv", CsvViewer)


def parquet(subject: Subject) -> Viewer:
    """A Parquet file, which is only read by executors."""
    return QueriedTable(subject, "parquet")
