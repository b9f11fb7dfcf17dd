"""How a session is shown: as text, in notebooks, as a graph for graphviz, as a report."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from rain.client.report.graphviz_export import Graph
from rain.client.session_contents import SessionContents
from rain.client.stale.edited import refresh
from rain.common.jupyter import display_hooks

if TYPE_CHECKING:
    from rain.client.session import Session


class SessionViews(SessionContents):
    """The part of `Session` that shows what there is."""

    def make_graph(self, show_ids: bool = True) -> Graph:
        """The graph of all tasks and objects, for graphviz.

        Parameters
        ----------
        show_ids : bool
            Whether labels hold the ids.

        Returns
        -------
        Graph
            Its methods are `make_dot`, `write` and `show`.
        """
        return Graph(cast("Session", self), show_ids)

    def report(
        self, path: str | os.PathLike[str], *, packages: Iterable[str] = (), timeout: float | None = None
    ) -> str:
        """Write all that is known of the session into one HTML file, to be read anywhere: it needs no server and no
        network.

        It has the graph with a slider for the time, the timeline, the table of tasks, errors, what tasks wrote, how
        kept results begin, and versions. The values of environment variables that were given to tasks (``env=``), and
        of those here whose names sound like a secret, are taken out of all texts.

        Parameters
        ----------
        path : str or os.PathLike
            The file; only another report is replaced.
        packages : iterable of str
            Names of installed distributions (``"numpy"``) whose versions it shall tell.
        timeout : float, optional
            Seconds that the server and the governors may take to answer; what has not come by then is left out, and
            the report says so. A minute if not given.

        Returns
        -------
        str
            The file's absolute path.

        Raises
        ------
        RainException
            If something else is there, or the file cannot be written.

        Examples
        --------
        >>> with client.new_session("sums") as session:
        ...     _ = session.run(tasks.Concat([blob("a"), blob("b")]))
        ...     _ = session.report("sums.html")
        """
        from rain.notebook.report.writer import write_report

        return write_report(cast("Session", self), path, packages, timeout)

    def _ipython_display_(self) -> None:
        display_hooks.show("session", self)

    def _repr_html_(self) -> str | None:
        return display_hooks.html("session", self)

    def __repr__(self) -> str:
        refresh(cast("Session", self))
        with self._inside.connection.lock:
            return repr(self._inside.mirror)
