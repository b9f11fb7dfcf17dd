"""What is sent of data that are looked into: an overview, and pages of each view."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from rain.notebook.protocol.details import Link


class Overview(msgspec.Struct, frozen=True):
    """What is looked at.

    Attributes
    ----------
    title : str
    id : str or None
    content_type, data_type : str or None
        Inside a directory those of what `path` names; the content type is guessed then.
    size : str
        In words; empty if it is not known.
    digest : str or None
    holders : list of str
    maker : Link or None
    spec_user, info_user : Any
    path : list of str
        Names inside a directory, as a request has them.
    steps : list of str
        The same to be shown: control characters and those that turn the direction of text are escaped.
    """

    title: str
    id: str | None
    content_type: str | None
    data_type: str | None
    size: str
    digest: str | None
    holders: list[str]
    maker: Link | None
    spec_user: Any
    info_user: Any
    path: list[str]
    steps: list[str]


class Page(msgspec.Struct, kw_only=True, tag_field="view", omit_defaults=True):
    """A page of a view.

    Attributes
    ----------
    note : str
        A sentence to show above it, for instance why a better view was not possible.
    """

    note: str = ""

    @property
    def view(self) -> str:
        """The name of the view."""
        return str(self.__struct_config__.tag)


class TextPage(Page, kw_only=True, tag="text"):
    """Text; it never begins inside a character.

    Attributes
    ----------
    encoding : str
    offset, end, size : int
        Bytes; all that there is, in `size`.
    size_text : str
    text : str
    """

    encoding: str
    offset: int
    end: int
    size: int
    size_text: str
    text: str


class HexRow(msgspec.Struct, frozen=True, array_like=True):
    """Some bytes: where they are, in hexadecimal, and what of them is ASCII."""

    offset: int
    hex: str
    text: str


class HexPage(Page, kw_only=True, tag="hex"):
    """Any bytes.

    Attributes
    ----------
    offset, end, size : int
        Bytes.
    size_text : str
    rows : list of HexRow
    """

    offset: int
    end: int
    size: int
    size_text: str
    rows: list[HexRow]


class TreeNode(msgspec.Struct):
    """A node of a tree.

    Attributes
    ----------
    label : str
        Its key or number; to be shown as it is.
    kind : str
        ``object``, ``array``, ``lines`` (JSON lines), ``sequence`` (CBOR items) and ``tag`` have children; ``string``,
        ``bytes``, ``number``, ``bool``, ``null``, ``other`` and ``error`` have none.
    text : str
    count : int or None
        Children; None: not known yet, more are asked for from where those that are known end.
    offset : int
        The position of the first of `children` among all children.
    children : list of TreeNode or None
        None if they were not asked for.
    """

    label: str
    kind: str
    text: str
    count: int | None
    offset: int = 0
    children: list[TreeNode] | None = None


class TreePage(Page, kw_only=True, tag="tree"):
    """A node of JSON or CBOR, and some of its children.

    Attributes
    ----------
    at : list of int or str
        The steps that lead to it.
    node : TreeNode
    """

    at: list[int | str]
    node: TreeNode


class Column(msgspec.Struct, frozen=True):
    """A column of a table; its name has control characters escaped."""

    name: str
    dtype: str


class TablePage(Page, kw_only=True, tag="table"):
    """Some rows and columns of a table.

    Attributes
    ----------
    columns : list of Column
    column : int
        The number of the first of them.
    width : int
        Columns in all.
    index : list of str
        Labels of the rows.
    rows : list of list of str
    offset : int
        The number of the first row; smaller than what was asked for if the table is not known so far yet.
    total : int or None
        Rows in all; None if that is not known yet.
    summary : list of (str, str)
    can_query : bool
        Whether sorted and filtered rows may be asked for.
    working : float or None
        How much was looked at so far, from 0 to 1, as long as the rows are not known; ask again.
    """

    columns: list[Column]
    column: int
    width: int
    index: list[str]
    rows: list[list[str]]
    offset: int
    total: int | None
    summary: list[tuple[str, str]]
    can_query: bool = False
    working: float | None = None


class ImagePage(Page, kw_only=True, tag="image"):
    """A picture, whose bytes come beside the answer.

    Attributes
    ----------
    mime : str
    width, height : int
        Pixels.
    """

    mime: str
    width: int
    height: int


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something in a directory.

    Attributes
    ----------
    name : str
        As a request has it: bytes that are not UTF-8 are written ``\\xNN``.
    kind : str
    text : str or None
        The name to be shown, if that is another.
    size : int or None
        Bytes of a file.
    size_text : str
    target : str or None
        Of a link; to be shown.
    """

    name: str
    kind: Literal["file", "dir", "link"]
    text: str | None = None
    size: int | None = None
    size_text: str = ""
    target: str | None = None


class DirectoryPage(Page, kw_only=True, tag="directory"):
    """Some entries of a directory, folders first.

    Attributes
    ----------
    entries : list of Entry
    offset, total : int
        Of those whose names were asked for.
    unsorted : bool
        Whether there are too many entries: these come in the order of their names, which cannot be asked for.
    """

    entries: list[Entry]
    offset: int
    total: int
    unsorted: bool = False


class PicklePage(Page, kw_only=True, tag="pickle"):
    """What a pickle tells without being loaded.

    Attributes
    ----------
    summary : list of (str, str)
    opcodes : list of (str, int)
        How often each occurs.
    globals : list of str
        What it refers to.
    """

    summary: list[tuple[str, str]]
    opcodes: list[tuple[str, int]]
    globals: list[str]


class ValuePage(Page, kw_only=True, tag="value"):
    """The value of a pickle that was loaded because its reader asked for that.

    Attributes
    ----------
    type : str
    text : str
    table : TablePage or None
        Instead of the text, if the value is one.
    """

    type: str
    text: str = ""
    table: TablePage | None = None


class Bins(msgspec.Struct, frozen=True):
    """How numbers are distributed.

    Attributes
    ----------
    counts : list of int
        In bins of the same width.
    low, high : str
        Where the first bin begins and the last one ends.
    of : str
        What was counted.
    """

    counts: list[int]
    low: str
    high: str
    of: str


class NamedPart(msgspec.Struct, frozen=True):
    """A part of a value that has a name."""

    name: str
    type: str
    text: str


class PreviewPage(Page, kw_only=True, tag="preview"):
    """A value in short, as an executor saw it; its picture, if it has one, comes beside the answer, as a PNG.

    Attributes
    ----------
    type : str
        The value's class.
    summary : list of (str, str)
    text : str
        The value written.
    columns : list of Column
    index : list of str
        Labels of `rows`.
    rows : list of list of str
        The first ones of a table.
    bins : Bins or None
        Of an array of numbers.
    parts : list of NamedPart
    width, height : int
        Pixels of the picture; 0 if there is none.
    """

    type: str
    summary: list[tuple[str, str]]
    text: str
    columns: list[Column]
    index: list[str]
    rows: list[list[str]]
    bins: Bins | None
    parts: list[NamedPart]
    width: int
    height: int


AnyPage = TextPage | HexPage | TreePage | TablePage | ImagePage | DirectoryPage | PicklePage | ValuePage | PreviewPage


class InspectionAnswer(msgspec.Struct, frozen=True):
    """A look into data.

    Attributes
    ----------
    overview : Overview
    views : list of str
        All that there are, the best one first.
    page : page
    """

    overview: Overview
    views: list[str]
    page: AnyPage


class Piece(msgspec.Struct, frozen=True):
    """A piece of a download, whose bytes come beside the answer.

    Attributes
    ----------
    name : str
        To save it under.
    size : int
        Bytes in all.
    end : int
        Bytes up to the end of this piece.
    size_text, end_text : str
    """

    name: str
    size: int
    end: int
    size_text: str
    end_text: str
