"""Where the parts of a graph are: what Graphviz says, and what is drawn."""

from __future__ import annotations

import msgspec


class Box(msgspec.Struct, frozen=True, array_like=True):
    """A place, in points, y downwards: of a node x and y are the middle, of a frame the upper left corner."""

    x: int
    y: int
    width: int
    height: int


class Curve(msgspec.Struct, frozen=True, array_like=True):
    """The place of an arc; those between the same nodes are in the topology's order.

    Attributes
    ----------
    tail, head : str
    path : str
        ``M`` and a point, then ``C`` and three points as often as needed; it ends at the tip of the arrow.
    x, y : int
        Where its text goes.
    """

    tail: str
    head: str
    path: str
    x: int
    y: int


class Geometry(msgspec.Struct, frozen=True):
    """Where everything of a topology is, in points.

    Attributes
    ----------
    width, height : int
    nodes : dict of str to Box
    arcs : list of Curve
    frames : dict of str to Box
    """

    width: int
    height: int
    nodes: dict[str, Box]
    arcs: list[Curve]
    frames: dict[str, Box]


class DotObject(msgspec.Struct, frozen=True):
    """A node or a cluster in the JSON that Graphviz writes, with the names that it gives them."""

    _gvid: int
    name: str
    pos: str | None = None
    width: str | None = None
    height: str | None = None
    bb: str | None = None


class DotEdge(msgspec.Struct, frozen=True):
    """An edge in the JSON that Graphviz writes."""

    tail: int
    head: int
    _gvid: int = 0
    pos: str | None = None
    lp: str | None = None
    style: str = ""


class DotLayout(msgspec.Struct, frozen=True):
    """What of the JSON that Graphviz writes tells where everything is (``dot -Tjson0``)."""

    bb: str
    objects: list[DotObject] = []
    edges: list[DotEdge] = []
