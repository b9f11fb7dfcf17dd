"""The widgets: a session's live graph, an inspector, a client's card."""

from __future__ import annotations

import base64
import threading
import time
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import UNSET
from msgspec.structs import replace

from rain.client.core.change_feed import ChangeFeed
from rain.client.core.records import ObjectRecord, Record, TaskRecord
from rain.client.handles import inside, record_of
from rain.client.operations.operation import block
from rain.client.stale.rerun import plan_of, rerun
from rain.common.errors import RainException
from rain.common.jupyter import display_hooks
from rain.common.state_styles import ENDS
from rain.notebook import stills
from rain.notebook.details import details, inspection_of, shown_by, why_not_open
from rain.notebook.drawing import svg
from rain.notebook.drawing.dot import dot_source, native_geometry
from rain.notebook.drawing.geometry import fits, geometry_of
from rain.notebook.drawing.layout import layered
from rain.notebook.drawing.pdf import pdf
from rain.notebook.drawing.wrapping import wrapped
from rain.notebook.explanations import in_a_sentence
from rain.notebook.governor_loads import card_of, governors_of
from rain.notebook.graph_model import View, queries
from rain.notebook.graph_model.table import table
from rain.notebook.graph_model.timeline import timeline
from rain.notebook.graph_model.tree import TaskLeaf
from rain.notebook.inspectors import Inspection
from rain.notebook.places.live import LivePools
from rain.notebook.plain_forms import text_of_pools
from rain.notebook.protocol import requests
from rain.notebook.protocol.details import Details, Explanation, Output
from rain.notebook.protocol.graph import Delta, Snapshot, Status, Topology
from rain.notebook.protocol.layout import Geometry
from rain.notebook.protocol.lookups import (
    Card,
    CriticalPath,
    Found,
    Stale,
    TaskTable,
    Timeline,
)
from rain.notebook.protocol.missed import Missed
from rain.notebook.said import said
from rain.notebook.widget_base import HTML, PDF, TEXT, LiveWidget, pump

if TYPE_CHECKING:
    from rain.client.client import Client
    from rain.client.data import DataObject
    from rain.client.session import Session
    from rain.client.task import Task

INSPECTIONS_MAX = 8
"""Objects of a session whose inspection is kept open."""
SLICE = 500
"""Records that are taken in at a time."""
BREATH_S = 0.0005
REQUEST_S = 20.0
"""How long a request of the browser may wait for the server."""

_Told = TypeVar("_Told", Snapshot, Delta)


class SessionWidget(LiveWidget):
    """The live graph of a session; use `rain.notebook.widget_of`.

    Parameters
    ----------
    session : Session

    Attributes
    ----------
    session : Session
    selected : Task, DataObject or None
        What was clicked last.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self._view = View(session.session_id, session.name)
        self._lock = threading.RLock()
        self._changes: deque[Record] = deque()
        self._geometry: tuple[int, Geometry] | None = None
        self._selected: str | None = None
        self._inspections: OrderedDict[int, Inspection] = OrderedDict()
        self._pages = 0  # that have loaded the widget
        self.seen = False  # whether a browser shows it
        self._over = False
        super().__init__("session")
        self._handlers |= {
            requests.GetSnapshot: self._snapshot,
            requests.GetVersion: lambda _: requests.ViewVersion(self._view.version),
            requests.GetMissed: self._missed,
            requests.OpenGroup: lambda asked: self._turn(self._view.open, asked.key),
            requests.CloseGroup: lambda asked: self._turn(self._view.close, asked.key),
            requests.ShowObjects: self._show_objects,
            requests.GetDetails: self._details,
            requests.GetOutput: self._output,
            requests.GetShown: lambda asked: shown_by(record_of(self._task(asked.key))),
            requests.Explain: self._explain,
            requests.GetStale: self._stale,
            requests.RerunStale: self._rerun,
            requests.Search: self._search,
            requests.GetCriticalPath: self._critical,
            requests.Cancel: self._cancel,
            requests.Retry: self._retry,
            requests.Select: self._select,
            requests.PlaceGraph: self._place_graph,
            requests.GetTable: self._table,
            requests.GetTimeline: self._timeline,
            requests.KillGovernor: self._kill,
            requests.GetGovernors: lambda _: governors_of(self._client(), REQUEST_S),
            requests.Inspect: lambda asked: self._inspection(asked.key).page(asked),
            requests.Download: lambda asked: self._inspection(asked.key).piece(asked),
        }
        client = session.client
        self._pools = LivePools(self, lambda: [] if client is None else client.pools, REQUEST_S)
        self._handlers |= self._pools.handlers
        if client is not None:
            self._pools.follow(client._pools.watch)
        self._advance = advance = weakref.WeakMethod(self.advance)
        self._watch = ChangeFeed(inside(session).mirror, lambda: pump.wake(advance))

    def __repr__(self) -> str:
        return f"<SessionWidget of {self.session!r}>"

    def _ipython_display_(self) -> None:
        display_hooks.show("session", self.session)

    # -- changes --------------------------------------------------------------------------------

    def advance(self) -> None:
        """Take in what changed, and tell the browser; in the pump's thread."""
        self._catch_up_slowly()
        with self._lock:
            if self.seen:
                told = self._view.delta(time.time())
                if told is not None:
                    self.push("delta", _with_dot(told))
                if self._view.outdated:
                    pump.wake(self._advance)

    def _catch_up_slowly(self) -> None:
        """Take in what changed up to now, in slices, between which others have the interpreter."""
        with self._lock:
            self._changes.extend(self._watch.take())
        while self._fold(SLICE):
            time.sleep(BREATH_S)

    @property
    def behind(self) -> int:
        """About how many changes were not looked at yet."""
        return self._watch.waiting

    def catch_up(self) -> None:
        """Take in what changed."""
        with self._lock:
            self._changes.extend(self._watch.take())
            self._fold(len(self._changes))

    def _fold(self, most: int) -> bool:
        """Take in so many records; whether there are more."""
        tasks: list[TaskRecord] = []
        objects: list[ObjectRecord] = []
        with self._lock:
            changes = self._changes
            for _ in range(min(most, len(changes))):
                record = changes.popleft()
                if isinstance(record, TaskRecord):
                    tasks.append(record)
                else:
                    objects.append(record)
            if tasks or objects:
                self._view.fold(tasks, objects, time.time())
            mirror = inside(self.session).mirror
            self._view.note(mirror.stall.text)
            end = mirror.ended
            if end is not None and not self._over:
                self._over = True
                self._view.end(end.word, end.text)
                self._watch.close()
            return bool(changes)

    def present(self) -> tuple[Snapshot, Geometry | None]:
        """A snapshot, and where the browser drew its nodes (None if that is not known, or not of this snapshot)."""
        with self._lock:
            self.catch_up()
            told = self._view.snapshot(time.time())
            number, geometry = self._geometry or (-1, None)
            return told, geometry if number == told.topology.number else None

    def still(self, timed: bool = True) -> dict[str, Any]:
        """The present picture, drawn as the browser did, also as PDF for LaTeX, and a line of text."""
        return _as_bundle(*self.drawn(), stills.as_of(time.time()) if timed else "")

    def final(self, dot_seconds: float) -> dict[str, Any]:
        """What stays of a session that is over.

        Parameters
        ----------
        dot_seconds : float
            How long ``dot`` may take to lay out what no browser did.
        """
        return _as_bundle(*self.drawn(dot_seconds), "")

    def drawn(self, dot_seconds: float | None = None) -> tuple[str, str]:
        """The present picture as SVG, and a line of text that says the same."""
        told, geometry = self.present()
        topology, status = told.topology, told.status
        geometry = geometry or _laid_out(topology, dot_seconds)
        if svg.scale_of(geometry) < svg.SCALE_MIN and not self._view.grouped:
            topology, status = self._grouped()
            geometry = _laid_out(topology, dot_seconds)
        picture = svg.picture(topology, status, told.summary, told.session, geometry)
        return picture, svg.text_line(told.session, told.summary)

    def _grouped(self) -> tuple[Topology, dict[str, Status]]:
        """Topology and status with the groups closed that are open because there is not much in them."""
        with self._lock:
            records = [leaf.record for leaf in self._view.tree.tasks.values()]
            view = View(self.session.session_id, self.session.name, 0)
            view.fold(records, self._view.objects.values(), time.time())
        told = view.snapshot(time.time())
        return told.topology, told.status

    # -- what is asked --------------------------------------------------------------------------

    def _missed(self, asked: requests.GetMissed) -> Missed:
        self._pages += asked.first
        return said.told() if self._pages > 1 else Missed(False, [])

    def _snapshot(self, _: requests.GetSnapshot) -> Snapshot:
        self.seen = True
        self._catch_up_slowly()
        told, _geometry = self.present()
        return _with_dot(told)

    def _turn(self, turn: Callable[[str], bool], key: str) -> None:
        with self._lock:
            if not turn(key):
                raise RainException(f"there is no group {key!r}")
        self._watch.poke()

    def _show_objects(self, asked: requests.ShowObjects) -> None:
        with self._lock:
            self._view.show_all_objects(asked.all)
        self._watch.poke()

    def _details(self, asked: requests.GetDetails) -> Details:
        with self._lock:
            return details(self.session, self._view, asked.key)

    def _output(self, asked: requests.GetOutput) -> Output:
        task = self._task(asked.key)
        stdout, stderr = block(task._session._output_of(task), REQUEST_S)
        return Output(stdout, stderr)

    def _explain(self, asked: requests.Explain) -> Explanation:
        task = self._task(asked.key)
        text = task.explain(timeout=REQUEST_S)
        return Explanation(text, in_a_sentence(text, f"{task.name or task.task_type} ({task.id})"))

    def _stale(self, _: requests.GetStale) -> Stale:
        plan, _functions = plan_of(self.session)
        return Stale(plan.offer(), plan.lines())

    def _rerun(self, _: requests.RerunStale) -> None:
        # The browser has shown the plan, and its user has confirmed it.
        block(self.session._checked(rerun(self.session, None, lambda plan: None)), REQUEST_S)

    def _kill(self, asked: requests.KillGovernor) -> None:
        cluster = self._client()._cluster
        if cluster is None:
            raise RainException(
                "only governors of a private cluster (Client.local) can be killed from here: others' work may run there"
            )
        cluster.kill_governor(asked.governor)

    def _search(self, asked: requests.Search) -> Found:
        pattern = queries.pattern_of(asked.pattern)
        with self._lock:
            return queries.search(self._view, pattern)

    def _critical(self, _: requests.GetCriticalPath) -> CriticalPath:
        with self._lock:
            return queries.critical(self._view, time.time())

    def _cancel(self, asked: requests.Cancel) -> None:
        tasks = None if asked.key is None else self._tasks(asked.key, ("waiting", "ready", "running"))
        self.session.cancel(tasks, timeout=REQUEST_S)

    def _retry(self, asked: requests.Retry) -> None:
        tasks = None if asked.key is None else self._tasks(asked.key, ENDS)
        self.session.retry(tasks, timeout=REQUEST_S)

    def _select(self, asked: requests.Select) -> None:
        self._selected = asked.key

    def _place_graph(self, asked: requests.PlaceGraph) -> Geometry:
        try:
            geometry = geometry_of(asked.layout)
            if asked.line is not None:
                geometry = wrapped(geometry, asked.line)
        except ValueError as error:
            raise RainException(f"this is no layout by Graphviz: {error}") from None
        with self._lock:
            topology = self._view.topology()
            if asked.number == topology.number and fits(geometry, topology):
                self._geometry = (asked.number, geometry)
        return geometry

    def _table(self, asked: requests.GetTable) -> TaskTable:
        pattern = queries.pattern_of(asked.filter)
        with self._lock:
            view, column = self._view, asked.sort
            return table(
                view,
                asked.offset,
                asked.count,
                column,
                asked.descending,
                pattern,
                asked.states,
                asked.where,
                asked.durations,
            )

    def _timeline(self, asked: requests.GetTimeline) -> Timeline:
        with self._lock:
            return timeline(self._view, asked.begin, asked.end, asked.pixels, time.time())

    # -- looking into objects -------------------------------------------------------------------

    def _inspection(self, key: str) -> Inspection:
        with self._lock:
            record: Any = self._view.object(key)
        if record is None:
            raise RainException(f"there is no object {key!r}")
        why_not = why_not_open(self.session, record)
        if why_not is not None:
            raise RainException(why_not)
        number = record.spec.id[1]
        with self._lock:
            found = self._inspections.pop(number, None)
            if found is None:
                found = inspection_of(self.session._object(number), REQUEST_S)
            self._inspections[number] = found
            while len(self._inspections) > INSPECTIONS_MAX:
                self._inspections.popitem(last=False)
        return found

    # -- handles --------------------------------------------------------------------------------

    @property
    def selected(self) -> Task | DataObject | None:
        """What was clicked last."""
        key = self._selected
        if key is None:
            return None
        leaf = self._view.task(key)
        if leaf is not None:
            return self._handle(leaf)
        record = self._view.object(key)
        return None if record is None else self.session._object(record.spec.id[1])

    def _handle(self, leaf: TaskLeaf) -> Task:
        record: Any = leaf.record
        return self.session._task(record)

    def _task(self, key: str) -> Task:
        with self._lock:
            leaf = self._view.task(key)
        if leaf is None:
            raise RainException(f"there is no task {key!r}")
        return self._handle(leaf)

    def _tasks(self, key: str, states: tuple[str, ...]) -> list[Task]:
        with self._lock:
            found = [leaf for leaf in self._view.tasks_in(key) if leaf.state in states]
        if not found:
            raise RainException(f"no task there is {' or '.join(states)}")
        return [self._handle(leaf) for leaf in found]

    def _client(self) -> Client:
        client = self.session.client
        if client is None:
            raise RainException("the session is detached: there is no server")
        return client


def _as_bundle(picture: str, text: str, caption: str) -> dict[str, Any]:
    """A picture by MIME type. There is no SVG among them: nbconvert asks Inkscape for each, whatever is beside it."""
    return {HTML: stills.picture(picture, text, caption), PDF: base64.b64encode(pdf(picture)).decode(), TEXT: text}


def _laid_out(topology: Topology, dot_seconds: float | None) -> Geometry:
    """Geometry by ``dot`` if it may take so long and is there, else our own."""
    found = None if dot_seconds is None else native_geometry(topology, dot_seconds)
    return layered(topology) if found is None else found


def _with_dot(state: _Told) -> _Told:
    """A snapshot or delta with the text that the browser's Graphviz is to lay out."""
    if state.topology is UNSET:
        return state
    return replace(state, topology=replace(state.topology, dot=dot_source(state.topology)))


class InspectorWidget(LiveWidget):
    """Looks into one data instance; see `inspection_of`.

    Parameters
    ----------
    inspection : Inspection
    still : dict
        What is shown of it without a kernel, by MIME type.
    """

    def __init__(self, inspection: Inspection, still: dict[str, Any]) -> None:
        self._still = still
        super().__init__("inspector")
        self._handlers |= {
            requests.Inspect: lambda asked: inspection.page(asked),
            requests.Download: lambda asked: inspection.piece(asked),
        }

    def still(self, timed: bool = True) -> dict[str, Any]:
        """See `LiveWidget`; data never change, so there is no time."""
        return self._still


class ClientWidget(LiveWidget):
    """The card of a client: where it is connected, governors and their load, places on engines, sessions."""

    def __init__(self, client: Client) -> None:
        super().__init__("client")
        self._client = client
        self._live = LivePools(self, lambda: client.pools, REQUEST_S)
        self._live.follow(client._pools.watch)
        self._handlers |= self._live.handlers
        self._handlers[requests.GetCard] = lambda _: card_of(client, REQUEST_S)

    def still(self, timed: bool = True) -> dict[str, Any]:
        """See `LiveWidget`."""
        try:
            info = card_of(self._client, REQUEST_S)
        except (RainException, TimeoutError) as error:
            info = Card(self._client.address, "", "", str(error))
        places = self._live.present()
        text = "\n".join([repr(self._client), *([text_of_pools(places)] if places.pools else [])])
        return {HTML: stills.card(info, stills.as_of(time.time()) if timed else "", places), TEXT: text}
