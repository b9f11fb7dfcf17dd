"""The graph of a session for graphviz: objects are boxes, tasks ovals, arcs carry number and label."""

from __future__ import annotations

import os
import sys
import tempfile
from typing import TYPE_CHECKING, Any

from rain.client.core.records import ObjectRecord, TaskRecord
from rain.client.handles import inside
from rain.common.errors import RainException
from rain.common.state_styles import LOOKS

if TYPE_CHECKING:
    from rain.client.session import Session


class Graph:
    """What `Session.make_graph` gives: the graph as it was when that was called.

    Parameters
    ----------
    session : Session
    show_ids : bool
        Whether labels hold the ids.
    """

    def __init__(self, session: Session, show_ids: bool = True) -> None:
        self._name = session.name
        self._show_ids = show_ids
        self._nodes: list[tuple[str, str, dict[str, str]]] = []
        self._arcs: list[tuple[str, str, str]] = []
        records = list(inside(session).mirror.records.values())
        hidden = {record.spec.id for record in records if isinstance(record, ObjectRecord) and record.hidden}
        for record in records:
            if isinstance(record, TaskRecord):
                self._add_task(record, hidden)
            elif not record.hidden:
                self._add_object(record)

    def _add_task(self, record: TaskRecord, hidden: Any) -> None:
        spec = record.spec
        name = _node(spec.id)
        title = spec.name if spec.name is not None else spec.task_type
        self._nodes.append((name, self._label(title, spec.id), _look("oval", record.shown)))
        for index, item in enumerate(spec.inputs):
            if item.id not in hidden:
                self._arcs.append((_node(item.id), name, _arc(index, item.label)))
        for index, output in enumerate(record.outputs):
            self._arcs.append((name, _node(output.spec.id), _arc(index, output.spec.label)))

    def _add_object(self, record: ObjectRecord) -> None:
        look = _look("box", record.shown)
        if record.kept:
            look["penwidth"] = "2"
        self._nodes.append((_node(record.spec.id), self._label(record.spec.label or "", record.spec.id), look))

    def _label(self, title: str, id: Any) -> str:
        if not self._show_ids:
            return title
        return f"{title}\n{id}" if title else str(id)

    def make_dot(self, name: str | None = None) -> str:
        """The graph in the DOT language.

        Parameters
        ----------
        name : str, optional
            The graph's name; that of the session if not given.
        """
        source: str = self._digraph(name).source
        return source

    def _digraph(self, name: str | None = None) -> Any:
        import graphviz

        # `escape` keeps labels from meaning anything to graphviz: they are text.
        graph = graphviz.Digraph(name or self._name, graph_attr={"rankdir": "TB"}, node_attr={"style": "filled"})
        for node, label, look in self._nodes:
            graph.node(node, _text(label), **look)
        for tail, head, label in self._arcs:
            graph.edge(tail, head, _text(label))
        return graph

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the graph to a file: as DOT, or as a picture if the name says so (``.svg``, ``.png``, ``.pdf``).

        Pictures need the program ``dot`` (Debian package graphviz).

        Raises
        ------
        RainException
            If a picture is asked for and the program ``dot`` is not installed.
        """
        target = os.fspath(path)
        kind = os.path.splitext(target)[1][1:].lower()
        picture = kind in ("svg", "png", "pdf", "jpg", "gif")
        data = self._rendered(kind) if picture else self.make_dot().encode("utf-8", "backslashreplace")
        with open(target, "wb") as file:
            file.write(data)

    def _rendered(self, kind: str) -> bytes:
        import graphviz

        try:
            data: bytes = self._digraph().pipe(format=kind)
        except graphviz.ExecutableNotFound:
            raise RainException(
                f"a {kind} picture needs the program `dot` (Debian: apt-get install graphviz); "
                "write to a .dot file, or use make_dot()"
            ) from None
        return data

    def show(self) -> Any:
        """Show the graph: in a notebook as a picture, elsewhere in the system's viewer.

        Raises
        ------
        RainException
            If the program ``dot`` is not installed.
        """
        svg = self._rendered("svg").decode()
        ipython: Any = sys.modules.get("IPython")
        if ipython is not None and ipython.get_ipython() is not None:
            ipython.display.display(ipython.display.SVG(svg))
            return
        # A folder of its own, which stays: the viewer reads the picture later, and the user's files stay as they are.
        self._digraph().view("graph", directory=tempfile.mkdtemp(prefix="rain-graph-"), cleanup=True, quiet=True)

    def __repr__(self) -> str:
        return f"<Graph of {self._name!r}, {len(self._nodes)} nodes, {len(self._arcs)} arcs>"


def _node(id: Any) -> str:
    return f"n{id[0]}_{id[1]}"


def _arc(index: int, label: str | None) -> str:
    return str(index) if label is None else f"{index}: {label}"


def _text(label: str) -> str:
    import graphviz

    escaped = str(graphviz.escape(label))
    return escaped.replace("\n", "\\n")


def _look(shape: str, shown: str) -> dict[str, str]:
    return {"shape": shape, "fillcolor": LOOKS[shown].fill}
