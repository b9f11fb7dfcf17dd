"""What is asked of an executor that looks into a table, and what it answers (the view ``"table"``)."""

from __future__ import annotations

import msgspec

NUMBER_PATTERN = r"\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?\s*"
"""What a whole cell of a table in text is, if it is a number: the client finds the kinds of columns by it, and an
executor the values in them."""


class CsvForm(msgspec.Struct, array_like=True, frozen=True):
    """How a table is written as text.

    Attributes
    ----------
    start : int
        Where the first row with values begins, in bytes.
    delimiter : str
    encoding : str
    names, kinds : list of str
        Of the columns; the kinds are ``"integer"``, ``"number"`` or ``"text"``.
    """

    start: int
    delimiter: str
    encoding: str
    names: list[str]
    kinds: list[str]


class Filter(msgspec.Struct, array_like=True, frozen=True):
    """Which rows are wanted, by one column; see `rain.executor.views.tables.filters`."""

    column: int
    text: str


class TableQuery(msgspec.Struct, array_like=True, frozen=True):
    """A page of a table, perhaps sorted, perhaps of some rows only.

    Attributes
    ----------
    viewer : str
        Who asks; what was found out is kept by this name.
    format : str
        ``"arrow"``, ``"parquet"`` or ``"csv"``.
    csv : CsvForm or None
    sort : int or None
        A column.
    descending : bool
    filters : list of Filter
    offset, count : int
        Rows of what is found.
    column, width : int
        The first column that is shown, and how many.
    """

    viewer: str
    format: str
    csv: CsvForm | None
    sort: int | None
    descending: bool
    filters: list[Filter]
    offset: int
    count: int
    column: int
    width: int


class TableAnswer(msgspec.Struct, array_like=True, frozen=True):
    """A page of a table.

    Attributes
    ----------
    columns : list of (str, str)
        Name and type of those that are shown.
    width : int
        Columns in all.
    numbers : list of int
        Of the rows, in the whole table.
    labels : list of str or None
        Of the rows, where they have some.
    rows : list of list of str
    total : int or None
        Rows that were found; None if there may be more.
    working : float or None
        How much of the table was looked at, from 0 to 1, as long as what is asked for is not known; ask again.
    note : str
    facts : list of (str, str)
        Of the whole table.
    """

    columns: list[tuple[str, str]]
    width: int
    numbers: list[int]
    labels: list[str] | None
    rows: list[list[str]]
    total: int | None
    working: float | None
    note: str
    facts: list[tuple[str, str]]


decode_query = msgspec.msgpack.Decoder(TableQuery).decode
"""Bytes to `TableQuery`. Raises `msgspec.MsgspecError`."""
decode_answer = msgspec.msgpack.Decoder(TableAnswer).decode
"""Bytes to `TableAnswer`. Raises `msgspec.MsgspecError`."""
