"""A graph for Graphviz to lay out, in the browser or by the program ``dot`` where there is one."""

from __future__ import annotations

import re
import subprocess
from shutil import which
from typing import Any

from graphviz import Digraph

from rain.notebook.drawing.arrangement import LINE_WIDTH, stacked
from rain.notebook.drawing.geometry import CLUSTER, POINTS_PER_INCH, fits, geometry_of, layout_of_json
from rain.notebook.drawing.text_metrics import FONT_SIZE, SMALL_SIZE, node_size
from rain.notebook.drawing.wrapping import wrapped
from rain.notebook.protocol.graph import Topology
from rain.notebook.protocol.layout import Geometry

DOT_NODES_MAX = 2000
"""Topologies with more nodes are not given to the program ``dot``."""
FAST_SIZE_MIN = 600
"""Nodes and arcs from which on Graphviz is told to take less care: a third of the time, hardly wider."""
LABELLED_ARCS_MAX = 80
"""Labels make rows of their own and graphs with more arcs up to four times as wide: they are put half way then."""

_KEY = re.compile(r"[\w/.#-]+", re.ASCII)
_SHAPES = {"task": "oval", "object": "box", "group": "folder"}
_GRAPH = {
    "rankdir": "TB",
    "fontname": "Helvetica",  # Graphviz knows its metrics without asking the system
    "fontsize": str(SMALL_SIZE + 1),
    "labeljust": "l",
    "nodesep": "0.3",
    "ranksep": "0.42",
}
FRAME_MARGIN = 20
"""Points around what is in a frame, in which its label has room."""
_SIDEWAYS = {"rankdir": "LR", "nodesep": "0.25", "ranksep": "0.5"}
_FAST = {"nslimit": "0.2", "nslimit1": "5", "mclimit": "0.3"}


def dot_source(topology: Topology) -> str:
    """The visible graph in the DOT language; colours are left to what draws it.

    Parameters
    ----------
    topology : Topology
        Names of nodes are its keys, frames are clusters.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If a key has characters that could mean something in DOT.
    """
    large = len(topology.nodes) + len(topology.arcs) >= FAST_SIZE_MIN
    sideways = topology.sideways
    graph = Digraph("rain", graph_attr={**_GRAPH, **(_SIDEWAYS if sideways else {}), **(_FAST if large else {})})
    graph.attr("node", fontname="Helvetica", fontsize=str(FONT_SIZE), fixedsize="true", margin="0")
    graph.attr("edge", fontname="Helvetica", fontsize=str(SMALL_SIZE), arrowsize="0.6")
    # Lines as `graph.node` and `graph.edge` write them, which take 50 and 15 µs for each.
    lines: dict[str | None, list[str]] = {}
    for node in topology.nodes:
        width, height = (points / POINTS_PER_INCH for points in node_size(node))
        lines.setdefault(node.frame, []).append(
            f"\t{_name(node.key)} [label={_quoted(node.written)} shape={_SHAPES[node.kind]} "
            f"width={width:.4g} height={height:.4g}]\n"
        )
    _put_frames(graph, topology, lines)
    labelled = len(topology.arcs) <= LABELLED_ARCS_MAX
    for arc in topology.arcs:
        label = f" [label={_quoted(arc.text)}]" if arc.text and labelled else ""
        graph.body.append(f"\t{_name(arc.tail)} -> {_name(arc.head)}{label}\n")
    for upper, lower in () if sideways else stacked(topology):
        graph.body.append(f"\t{_name(upper)} -> {_name(lower)} [style=invis weight=0]\n")
    source: str = graph.source
    return source


def _put_frames(graph: Any, topology: Topology, lines: dict[str | None, list[str]]) -> None:
    """Clusters with the nodes that are in them, each inside of the one around it."""
    frames = topology.frames
    clusters: dict[str | None, Any] = {}
    for frame in frames:
        cluster = clusters[frame.key] = Digraph(CLUSTER + _checked(frame.key))
        # From left to right Graphviz leads arcs, and their labels, through the label of a cluster.
        label = f"margin={FRAME_MARGIN}" if topology.sideways else f"label={_quoted(frame.written)}"
        cluster.body.append(f"\t{label}\n")
        cluster.body += lines.pop(frame.key, [])
    around = {frame.key: frame.frame for frame in frames}

    def depth(key: str | None) -> int:
        return 1 + depth(around[key]) if key in around else 0

    for key in sorted(around, key=depth, reverse=True):  # bodies are copied: the innermost first
        clusters.get(around[key], graph).subgraph(clusters[key])
    for rest in lines.values():
        graph.body += rest


def _checked(key: str) -> str:
    if not _KEY.fullmatch(key):
        raise ValueError(f"{key!r} cannot be a name in DOT: keys have letters, digits and any of /.#-_ only")
    return key


def _name(key: str) -> str:
    return f'"{_checked(key)}"'


def _quoted(text: str) -> str:
    r"""`visible` text that means itself: not ``\n``, nor ``&lt;``, nor ``<b>`` (in quotes that is text)."""
    return '"' + text.replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"') + '"'


def native_geometry(topology: Topology, timeout: float) -> Geometry | None:
    """Where the program ``dot`` puts everything.

    Parameters
    ----------
    topology : Topology
    timeout : float
        Seconds after which ``dot`` is killed.

    Returns
    -------
    Geometry or None
        None if there is no such program, it took too long or failed, or the topology is too large for it
        (`DOT_NODES_MAX`).
    """
    program = which("dot")
    if program is None or len(topology.nodes) > DOT_NODES_MAX:
        return None
    try:
        source = dot_source(topology)
        done = subprocess.run(
            [program, "-Tjson0"], input=source.encode(), capture_output=True, timeout=timeout, check=True
        )
        geometry = geometry_of(layout_of_json(done.stdout))
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    if topology.sideways:
        geometry = wrapped(geometry, LINE_WIDTH)
    return geometry if fits(geometry, topology) else None
