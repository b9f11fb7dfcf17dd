"""What a browser may ask for, and what it gets: one type for each request."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Union

import msgspec
from msgspec import Meta

from rain.common.errors import RainException
from rain.common.limits import ARCHIVE_DEPTH_MAX, ARCHIVE_NAME_BYTES_MAX
from rain.notebook.protocol.data import InspectionAnswer, Piece, PreviewPage
from rain.notebook.protocol.details import Details, Explanation, Output
from rain.notebook.protocol.graph import Delta, Snapshot
from rain.notebook.protocol.layout import DotLayout, Geometry
from rain.notebook.protocol.lookups import Card, CriticalPath, Found, Governors, Stale, TaskTable, Timeline
from rain.notebook.protocol.missed import Missed
from rain.notebook.protocol.places import PlaceRows, Pools

KEY_CHARS_MAX = 100
NAME_CHARS_MAX = 100
"""Characters of the name of a view or an encoding."""
PATTERN_CHARS_MAX = 500
NUMBER_MAX = 1 << 53
OFFSET_MAX = 1 << 62
LINE_POINTS_MAX = 1_000_000
TIME_S_MAX = 1e12
STATES_MAX = 100
FILTERS_MAX = 32
TREE_DEPTH_MAX = 1000
"""Steps of the way to a node of a tree."""

Key = Annotated[str, Meta(max_length=KEY_CHARS_MAX, pattern="^[!-~]*$")]
Number = Annotated[int, Meta(ge=0, le=NUMBER_MAX)]
Offset = Annotated[int, Meta(ge=0, le=OFFSET_MAX)]
Epoch = Annotated[float, Meta(ge=-TIME_S_MAX, le=TIME_S_MAX)]
Name = Annotated[str, Meta(max_length=NAME_CHARS_MAX)]
FileName = Annotated[str, Meta(min_length=1, max_length=4 * ARCHIVE_NAME_BYTES_MAX, pattern="^[^/\0]*$")]
Path = Annotated[list[FileName], Meta(max_length=ARCHIVE_DEPTH_MAX + 1)]


class Request(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", forbid_unknown_fields=True):
    """Something that a browser asks for.

    Attributes
    ----------
    request : int
        The number that the answer bears.
    """

    request: int = 0


# -- of all widgets --------------------------------------------------------------------------------


class GetAsset(Request, frozen=True, kw_only=True, tag="asset"):
    """A file of the browser part; it comes beside the answer."""

    name: Name


class GetPicture(Request, frozen=True, kw_only=True, tag="picture"):
    """What is saved of the widget."""


class GetMissed(Request, frozen=True, kw_only=True, tag="missed"):
    """What tasks have printed into cells, for a page that was not open all the time.

    Attributes
    ----------
    first : bool
        Whether the page asks for the first time.
    """

    first: bool


# -- of sessions -----------------------------------------------------------------------------------


class GetSnapshot(Request, frozen=True, kw_only=True, tag="snapshot"):
    """All that is visible."""


class GetVersion(Request, frozen=True, kw_only=True, tag="version"):
    """Which version the last delta made; asked when none has come for a while, as one may have got lost."""


class OpenGroup(Request, frozen=True, kw_only=True, tag="open"):
    """Show what is in a group; a delta follows."""

    key: Key


class CloseGroup(Request, frozen=True, kw_only=True, tag="close"):
    """Show a group as one node; a delta follows."""

    key: Key


class ShowObjects(Request, frozen=True, kw_only=True, tag="objects"):
    """Which objects are nodes.

    Attributes
    ----------
    all : bool
        Each of them; else those only that are kept, have a name, or are directories.
    """

    all: bool


class GetDetails(Request, frozen=True, kw_only=True, tag="details"):
    """All that is known of a task, an object or a group."""

    key: Key


class GetOutput(Request, frozen=True, kw_only=True, tag="output"):
    """What a task has written."""

    key: Key


class GetShown(Request, frozen=True, kw_only=True, tag="shown"):
    """What a running task shows; its picture comes beside the answer."""

    key: Key


class Explain(Request, frozen=True, kw_only=True, tag="explain"):
    """Why a task has not started."""

    key: Key


class Search(Request, frozen=True, kw_only=True, tag="search"):
    """Tasks and objects.

    Attributes
    ----------
    pattern : str
        A regular expression, in which case does not matter.
    """

    pattern: Annotated[str, Meta(max_length=PATTERN_CHARS_MAX)]


class GetCriticalPath(Request, frozen=True, kw_only=True, tag="critical"):
    """The chain of tasks that took longest."""


class Cancel(Request, frozen=True, kw_only=True, tag="cancel"):
    """Cancel a task or the tasks of a group; without a key all."""

    key: Key | None = None


class Retry(Request, frozen=True, kw_only=True, tag="retry"):
    """Run a failed task or those of a group once more; without a key all."""

    key: Key | None = None


class Select(Request, frozen=True, kw_only=True, tag="select"):
    """Sets `widget.selected`."""

    key: Key | None = None


class PlaceGraph(Request, frozen=True, kw_only=True, tag="geometry"):
    """Where everything is to be drawn, by what Graphviz says of a topology's `dot`.

    Attributes
    ----------
    number : int
        Of the topology.
    layout : DotLayout
    line : float or None
        Points that a line may be wide if it is laid out from left to right.
    """

    number: Number
    layout: DotLayout
    line: Annotated[float, Meta(ge=1, le=LINE_POINTS_MAX)] | None = None


ColumnId = Literal["name", "id", "type", "state", "start", "took", "governor", "attempts", "cpus", "error"]


class GetTable(Request, frozen=True, kw_only=True, tag="table"):
    """A page of the table of tasks.

    Attributes
    ----------
    offset, count : int
        Rows.
    sort : str
        A column.
    descending : bool
    filter : str
        A regular expression.
    states : list of str or None
        None: tasks in any state.
    where : dict of str to str
        By column a regular expression in what the row says; or for numbers and durations a comparison as ``>2``,
        ``<= 150 ms`` or ``=1``.
    durations : bool
        Whether it is told how long the tasks took.
    """

    offset: Number = 0
    count: Number = 100
    sort: ColumnId = "id"
    descending: bool = False
    filter: Annotated[str, Meta(max_length=PATTERN_CHARS_MAX)] = ""
    states: Annotated[list[Name], Meta(max_length=STATES_MAX)] | None = None
    where: dict[ColumnId, Annotated[str, Meta(max_length=PATTERN_CHARS_MAX)]] = {}
    durations: bool = False


class GetTimeline(Request, frozen=True, kw_only=True, tag="timeline"):
    """What ran when.

    Attributes
    ----------
    begin, end : float or None
        Seconds since the epoch; None: from the beginning, to the end.
    pixels : int
        How wide the picture is.
    """

    begin: Epoch | None = None
    end: Epoch | None = None
    pixels: Annotated[int, Meta(ge=1, le=NUMBER_MAX)] = 1000


class GetGovernors(Request, frozen=True, kw_only=True, tag="governors"):
    """The server's governors."""


class KillGovernor(Request, frozen=True, kw_only=True, tag="kill"):
    """End a governor's process as a crash would; only of a private cluster."""

    governor: Annotated[str, Meta(max_length=NAME_CHARS_MAX)]


class GetStale(Request, frozen=True, kw_only=True, tag="stale"):
    """What running the stale tasks again takes; nothing starts."""


class RerunStale(Request, frozen=True, kw_only=True, tag="rerun"):
    """Run the stale tasks again, as new ones."""


# -- of data ---------------------------------------------------------------------------------------


class ColumnFilter(msgspec.Struct, frozen=True):
    """Which rows are wanted, by one column.

    Attributes
    ----------
    column : int
    text : str
        A part of a text, a value, or ``> 5``, ``!= a``, ``~ ^a.*z$``, ``is null``.
    """

    column: Offset
    text: Annotated[str, Meta(max_length=PATTERN_CHARS_MAX)]


class Inspect(Request, frozen=True, kw_only=True, tag="inspect"):
    """A page of data.

    Attributes
    ----------
    key : str
        Of an object of a session; an inspector of its own needs none.
    path : list of str
        Names inside a directory.
    view : str or None
        None: the best one.
    offset : int
        Bytes of ``text`` and ``hex``, children of ``tree``, rows of ``table`` and ``value``, entries of ``directory``.
    column : int
        The first one of a table that is shown.
    encoding : str or None
        Of text.
    at : list of int or str
        Steps to a node of a tree: positions among siblings, or keys.
    sort : int or None
        A column of a table.
    descending : bool
    filters : list of ColumnFilter
        Of a table.
    named : str
        What the names of entries of a directory contain; case does not matter.
    """

    key: Key = ""
    path: Path = []
    view: Name | None = None
    offset: Offset = 0
    column: Offset = 0
    encoding: Name | None = None
    at: Annotated[list[Offset | str], Meta(max_length=TREE_DEPTH_MAX)] = []
    sort: Offset | None = None
    descending: bool = False
    filters: Annotated[list[ColumnFilter], Meta(max_length=FILTERS_MAX)] = []
    named: Annotated[str, Meta(max_length=PATTERN_CHARS_MAX)] = ""


class Download(Request, frozen=True, kw_only=True, tag="download"):
    """A piece of the bytes of data.

    Attributes
    ----------
    key, path
        As of `Inspect`.
    offset : int
        Bytes.
    """

    key: Key = ""
    path: Path = []
    offset: Offset = 0


# -- of clients ------------------------------------------------------------------------------------


class GetCard(Request, frozen=True, kw_only=True, tag="card"):
    """Where the client is connected, and what it finds there."""


# -- of places on engines --------------------------------------------------------------------------


class GetPools(Request, frozen=True, kw_only=True, tag="pools"):
    """The pools, and the loads of their governors; later changes are told unasked."""


class GetPlaces(Request, frozen=True, kw_only=True, tag="places"):
    """Some of the places of a fold.

    Attributes
    ----------
    pool, fold : str
        Their keys.
    offset : int
    """

    pool: Key
    fold: Key
    offset: Number = 0


class ScalePool(Request, frozen=True, kw_only=True, tag="scale"):
    """Ask for as many places as make `count`, or give some up."""

    pool: Key
    count: Number


class GiveUpPlace(Request, frozen=True, kw_only=True, tag="giveup"):
    """Give up one place."""

    pool: Key
    number: Number


# -- answers ---------------------------------------------------------------------------------------


class Picture(msgspec.Struct, frozen=True):
    """What is saved of a widget.

    Attributes
    ----------
    model : str
        The widget's id.
    data : dict of str to Any
        By MIME type.
    """

    model: str
    data: dict[str, Any]


class Done(msgspec.Struct, frozen=True):
    """What was asked for has been done; there is nothing to tell."""


class ViewVersion(msgspec.Struct, frozen=True):
    """How far the kernel is.

    Attributes
    ----------
    version : int
        As of `Snapshot`.
    """

    version: int


ANSWERS: dict[type[Request], Any] = {
    GetAsset: Done,
    GetPicture: Picture,
    GetMissed: Missed,
    GetSnapshot: Snapshot,
    GetVersion: ViewVersion,
    OpenGroup: Done,
    CloseGroup: Done,
    ShowObjects: Done,
    GetDetails: Details,
    GetOutput: Output,
    GetShown: PreviewPage,
    Explain: Explanation,
    Search: Found,
    GetCriticalPath: CriticalPath,
    Cancel: Done,
    Retry: Done,
    Select: Done,
    PlaceGraph: Geometry,
    GetTable: TaskTable,
    GetTimeline: Timeline,
    GetGovernors: Governors,
    KillGovernor: Done,
    GetStale: Stale,
    RerunStale: Done,
    Inspect: InspectionAnswer,
    Download: Piece,
    GetCard: Card,
    GetPools: Pools,
    GetPlaces: PlaceRows,
    ScalePool: Done,
    GiveUpPlace: Done,
}
"""What each request gets."""

ONCE = frozenset(
    (
        GetMissed,
        OpenGroup,
        CloseGroup,
        ShowObjects,
        Cancel,
        Retry,
        Select,
        KillGovernor,
        RerunStale,
        ScalePool,
        GiveUpPlace,
    )
)
"""What these do is done once, also if a page says one again because the answer got lost; all others only tell."""

UPDATES: dict[str, Any] = {"delta": Delta, "final": dict[str, Any], "pools": Pools}
"""What the kernel tells unasked, by the name of the event: changes of a session; what stays of one that is over;
changes of places."""

_AnyRequest: Any = Union[tuple(ANSWERS)]  # noqa: UP007
_TYPES = frozenset(str(kind.__struct_config__.tag) for kind in ANSWERS)


def request_of(content: object) -> Request:
    """What a browser asks for; anything may have come.

    Parameters
    ----------
    content : object
        What was in the message's JSON.

    Raises
    ------
    RainException
        If there is no such request, or something in it is not as its type says.

    Examples
    --------
    >>> request_of({"type": "open", "request": 3, "key": "g1"})
    OpenGroup(request=3, key='g1')
    """
    try:
        found: Request = msgspec.convert(content, _AnyRequest)
    except msgspec.ValidationError as error:
        type = content.get("type") if isinstance(content, dict) else None
        if not isinstance(type, str) or type not in _TYPES:
            raise RainException(f"there is no request {repr(type)[:NAME_CHARS_MAX]}") from None
        raise RainException(f"the request {type!r} is not understood: {error}") from None
    return found
