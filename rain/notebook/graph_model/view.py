"""`View`: what of a session is visible, and what has changed of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec import UNSET
from msgspec.structs import replace

from rain.common.state_styles import LOOKS, NEW, SETTLED
from rain.notebook.drawing.arrangement import READABLE_SCALE, arrangement, is_sideways
from rain.notebook.drawing.text_metrics import arc_text, frame_text, node_text
from rain.notebook.graph_model.arcs import UNNAMED, Bundle, is_box, numbered, telling
from rain.notebook.graph_model.folding import GROUPS, GROUPS_MAX, SERIES_TOO, Folding, times
from rain.notebook.graph_model.lanes import Lanes, Run, kind_of
from rain.notebook.graph_model.records import ObjectLike, TaskLike, title
from rain.notebook.graph_model.statuses import object_status, objects_status, task_status
from rain.notebook.graph_model.tree import DATA, PATH, Counted, Group, Leaf, Part, TaskLeaf, Tree
from rain.notebook.protocol.graph import (
    AnyNode,
    Arc,
    Delta,
    Frame,
    GroupNode,
    ObjectNode,
    SessionInfo,
    Snapshot,
    Status,
    Summary,
    TaskNode,
    Topology,
)

NODES_MAX = 500
"""Sessions with more tasks and objects are shown as groups."""
OUTPUTS_MAX = 24
"""Outputs of one task that are nodes of their own."""
_ESTIMATE_TASKS_MIN = 3


class View:
    """What one session looks like; see the package's text.

    Parameters
    ----------
    session_id : int
    name : str
    nodes_max : int
        More tasks and objects than this are shown as groups.
    """

    def __init__(self, session_id: int, name: str, nodes_max: int = NODES_MAX) -> None:
        self.tree = Tree()
        self._lanes = Lanes()
        self._ran: list[TaskLeaf] = []  # in no lane yet
        self.objects: dict[int, ObjectLike] = {}
        """All objects that are seen, by number."""
        self.running: dict[int, TaskLeaf] = {}
        self._stale: set[str] = set()
        self.functions: list[str] = []
        """Names of functions and other kinds of tasks, in the order in which they were first run."""
        self._function_places: dict[str, int] = {}
        self.version = 0
        self._session = SessionInfo(session_id, name, "open")
        self._folding = Folding(self.tree, nodes_max)
        self._began: float | None = None
        self._ended: float | None = None
        self._busy: tuple[float, int] | None = None  # since when there is work, and how much was done by then
        # what is visible
        self._visible_version = 0  # raised whenever another node becomes visible in the place of one that was
        self._visible_for: tuple[Any, ...] = ()
        self._nodes: dict[str, AnyNode] = {}
        self._frames: list[Frame] = []
        self._arcs: dict[tuple[str, str], Bundle] = {}
        self._all_objects = False
        self._boxed: set[int] = set()  # objects of visible tasks that are drawn by themselves, by number
        self._boxings = 0  # how often an object came to be drawn, or no longer, that was an arc before
        self._number = self._told = 0
        self.outdated = False
        """Whether groups and arcs stand for more than the last topology said. The next delta in which no node is new
        brings the topology: the browser need not lay out anew each time that a group grows."""
        # what is new since the last delta
        self._fresh: list[TaskLeaf] = []  # tasks whose arcs are not drawn
        self._grown = True
        self._changed: set[str] = set()
        self._session_changed = False
        self._anything = True

    # -- what has changed -----------------------------------------------------------------------

    def fold(self, tasks: Iterable[TaskLike], objects: Iterable[ObjectLike], now: float) -> None:
        """Take in what was made or has changed.

        Parameters
        ----------
        tasks, objects : iterable of records
            Constants and functions go first, so that tasks find what they use.
        now : float
            Seconds since the epoch.
        """
        for obj in objects:
            self._fold_object(obj)
        for task in tasks:
            self._fold_task(task, now)
        self._changed |= self.tree.settle()
        self._anything = True

    def end(self, state: str, note: str) -> None:
        """The session is over: `state` (``"closed"``, …) and why."""
        self._session = replace(self._session, state=state, note=note)
        self._session_changed = self._anything = True

    def note(self, text: str) -> None:
        """What stands in the way of an open session; empty if nothing does."""
        if text != self._session.note and self._session.state == "open":
            self._session = replace(self._session, note=text)
            self._session_changed = self._anything = True

    def _fold_object(self, record: ObjectLike) -> None:
        number = record.spec.id[1]
        if record.task is not None:
            self._look_at_output(record)
            return
        if record.hidden:
            if number not in self.tree.functions:
                self.tree.functions[number] = (record.spec.label or "").rpartition(".")[2]
            return
        leaf = self.tree.constants.get(number)
        if leaf is None:
            leaf = self.tree.add_constant(record)
            self.objects[number] = record
            self._grown = True
        state = record.shown
        if state != leaf.state:
            self.tree.change_constant(leaf, state)
        self._changed.add(leaf.key)

    def _fold_task(self, record: TaskLike, now: float) -> None:
        leaf = self.tree.tasks.get(record.spec.id[1])
        state = record.shown
        if leaf is None:
            leaf = self.tree.add_task(record)
            for output in record.outputs:
                self.objects[output.spec.id[1]] = output
            self._fresh.append(leaf)
            self._grown = True
            self._moved(leaf, NEW, state, now)
        elif state != leaf.state:
            before = leaf.state
            if before in SETTLED:
                self._line_up()  # before it has run again
            self.tree.change_task(leaf, state)
            self._moved(leaf, before, state, now)
        if record.stale is not (leaf.key in self._stale):
            self._turn_stale(leaf, record.stale)
        if leaf.key in self._nodes:
            self._changed.add(leaf.key)
            for output in record.outputs:
                self._look_at_output(output)

    def _look_at_output(self, record: ObjectLike) -> None:
        """Note that an output may have changed, and whether it is a box now and was none."""
        number, task = record.spec.id[1], record.task
        if f"o{number}" in self._nodes:
            self._changed.add(f"o{number}")
        if task is not None and f"t{task.spec.id[1]}" in self._nodes and (number in self._boxed) != self._boxes(record):
            self._boxings += 1
            self._grown = True

    def _boxes(self, record: ObjectLike) -> bool:
        """Whether an object is to be drawn by itself."""
        return self._all_objects or is_box(record) or (record.task is None and not self.tree.tasks)

    def show_all_objects(self, shown: bool) -> None:
        """Draw every object as a node, or (as at first) only those that `is_box` names."""
        if shown != self._all_objects:
            self._all_objects = shown
            self._grown = self._anything = True

    def _turn_stale(self, leaf: TaskLeaf, is_stale: bool) -> None:
        """A task has become stale, or is so no more."""
        (self._stale.add if is_stale else self._stale.discard)(leaf.key)
        for above in self.tree.above(leaf):
            self._changed.add(above.key)

    def _moved(self, leaf: TaskLeaf, before: str, state: str, now: float) -> None:
        """Keep clocks and lanes."""
        number = leaf.record.spec.id[1]
        if before == "running":
            self.running.pop(number, None)
        if state == NEW:
            return
        info = leaf.record.info
        began = info.start_time if info is not None and state in SETTLED else None
        if before == NEW and began is not None and info is not None:
            now = began + (info.duration or 0.0)
            self._began = began if self._began is None else min(began, self._began)
        if self._began is None:
            self._began = now
        if state not in SETTLED and (before == NEW or before in SETTLED):
            leaf.submitted = now
        if state == "running":
            leaf.began = now
            self.running[number] = leaf
        elif state in SETTLED:
            self._ended = now if self._ended is None else max(now, self._ended)
            if info is not None and began is not None:
                self._ran.append(leaf)

    @property
    def lanes(self) -> Lanes:
        """When which task ran on which governor."""
        self._line_up()
        return self._lanes

    def _line_up(self) -> None:
        for leaf in self._ran:
            info = leaf.record.info
            if info is not None and info.start_time is not None and leaf.state in SETTLED:
                run = self.run_of(leaf, info.start_time, info.duration or 0.0)
                governor = info.governor or ""
                self._lanes.add(governor, kind_of(leaf.record), run)
                for transfer in info.transfers or ():
                    self._lanes.add_transfer(governor, transfer)
        self._ran = []

    def run_of(self, leaf: TaskLeaf, start: float, seconds: float) -> Run:
        """The run of a task that began then and took so long."""
        name = self.tree.kind_of(leaf.record)
        place = self._function_places.get(name)
        if place is None:
            place = self._function_places[name] = len(self.functions)
            self.functions.append(name)
        transfer = leaf.record.info.transfer if leaf.record.info is not None else None
        number = leaf.record.spec.id[1]
        return Run(start, seconds, number, leaf.state, place, self.ready_since(leaf), transfer or 0.0)

    def ready_since(self, leaf: TaskLeaf) -> float | None:
        """When a task was submitted and had all its inputs, in seconds since the epoch; None if that is not known."""
        since = leaf.submitted
        for item in leaf.record.spec.inputs:
            obj = self.objects.get(item.id[1])
            info = obj.task.info if obj is not None and obj.task is not None else None
            if info is not None and info.start_time is not None:
                end = info.start_time + (info.duration or 0.0)
                since = end if since is None else max(since, end)
        return since

    # -- opening --------------------------------------------------------------------------------

    def open(self, key: str) -> bool:
        """Show what is inside a group or part; whether there is one with that key."""
        return self._turn(key, opened=True)

    def close(self, key: str) -> bool:
        """Show a group or part as one node."""
        return self._turn(key, opened=False)

    def _turn(self, key: str, opened: bool) -> bool:
        found = self._folding.turn(key, opened)
        if found:
            self._grown = self._anything = True
        return found

    @property
    def grouped(self) -> bool:
        """Whether there is too much to show all of it."""
        return self._folding.level >= GROUPS

    # -- what is visible ------------------------------------------------------------------------

    def visible(self, leaf: Leaf) -> str:
        """The key of what is visible of a task or constant: itself, or the outermost closed group around it."""
        above = leaf.above
        return (
            above.visible_key if above.visible_as_of == self._visible_version else self._closed_around(above)
        ) or leaf.key

    def _closed_around(self, node: Counted) -> str | None:
        """The key of the outermost closed group around the members of `node`; None if all are open."""
        if node.visible_as_of != self._visible_version:
            around = self._closed_around(node.above) if node.above is not None else None
            node.visible_key = around or (None if self._folding.is_open(node) else node.key)
            node.visible_as_of = self._visible_version
        return node.visible_key

    def visible_object(self, number: int) -> str | None:
        """The key of what is visible of an object, which may be the task that makes it; None if nothing is."""
        record = self.objects.get(number)
        if record is None:
            return None
        if record.task is None:
            key = self.visible(self.tree.constants[number])
            return key if key in self._nodes else None
        leaf = self.tree.tasks.get(record.task.spec.id[1])
        if leaf is None:
            return None
        key = self.visible(leaf)
        return key if key != leaf.key or number not in self._boxed else self._output_key(leaf.key, number)

    def _output_key(self, task_key: str, number: int) -> str:
        """The key of what is drawn of an output that is a box."""
        key = f"o{number}"
        return key if key in self._nodes else f"{task_key}.more"

    def _look_again(self) -> None:
        """Bring nodes, frames and arcs up to date."""
        before, frames, arcs = self._nodes, self._frames, len(self._arcs)
        grown, drawn = bool(self._fresh), 0
        self._folding.grow()
        while True:
            drawn += self._draw_all()
            if self._is_readable():
                break
            self._folding.level += 1
        self._grown = False
        if drawn or arcs != len(self._arcs) or frames != self._frames or _shape(before) != _shape(self._nodes):
            self._renumber()
            self._changed.update(self._nodes.keys() - before.keys())
        elif grown or before != self._nodes:
            self.outdated = True

    def _is_readable(self) -> bool:
        """Whether what is visible can be read as a whole; true if folding more would not help, or the user chose."""
        folding = self._folding
        if folding.level == SERIES_TOO or folding.opened or self._all_objects:
            return True
        if len(self._nodes) > (GROUPS_MAX if folding.level == GROUPS else NODES_MAX):
            return False
        return arrangement(self._nodes.values(), self._arcs, self._frames).scale >= READABLE_SCALE

    def _draw_all(self) -> int:
        """Find nodes and frames, and the arcs of tasks that are new; how many arcs there are more.

        All arcs are found again if other nodes of those that existed are visible.
        """
        visible_for = (self._folding.state(), self._all_objects, self._boxings)
        if visible_for != self._visible_for:
            self._visible_for = visible_for
            self._visible_version += 1
            self._arcs = {}
            self._fresh = list(self.tree.tasks.values())
        self._nodes, self._frames, self._boxed = {}, [], set()
        self._draw(self.tree.root, None)
        drawn = sum(map(self._draw_arcs, self._fresh))
        self._fresh = []
        return drawn

    def _renumber(self) -> None:
        """The topology is another one."""
        self._number += 1
        self.outdated = False

    def _draw(self, around: Group | Part, frame: str | None) -> None:
        group = around.group if isinstance(around, Part) else around
        for inside in group.inside(around if isinstance(around, Part) else None):
            if isinstance(inside, Leaf):
                self._draw_leaf(inside, frame)
            elif not self._folding.is_open(inside):
                if is_unnamed(inside) and self.tree.tasks and not self._all_objects:
                    continue
                label, tasks = label_of(inside), 0 if is_data(inside) else inside.total
                text = node_text(label_of(inside, frame), times(inside), label)
                self._nodes[inside.key] = GroupNode(inside.key, label, text, frame, tasks=tasks, objects=inside.objects)
            elif not self._folding.is_framed(inside):
                self._draw(inside, frame)
            else:
                label = label_of(inside)
                self._frames.append(Frame(inside.key, label, frame_text(label_of(inside, frame), label), frame))
                self._draw(inside, inside.key)

    def _draw_leaf(self, leaf: Leaf, frame: str | None) -> None:
        if not isinstance(leaf, TaskLeaf):
            if self._boxes(leaf.record):  # type: ignore[arg-type]
                self._draw_object(leaf.record, frame)  # type: ignore[arg-type]
            return
        record = leaf.record
        name = title(record)
        label = name.rpartition("/")[2] or name if frame is not None else name
        self._nodes[leaf.key] = TaskNode(leaf.key, label, node_text(label), frame, type=record.spec.task_type)
        boxes = [output for output in record.outputs if self._boxes(output)]
        self._boxed.update([output.spec.id[1] for output in boxes])
        for output in boxes[:OUTPUTS_MAX]:
            self._draw_object(output, frame)
        more = len(boxes) - OUTPUTS_MAX
        if more > 0:
            key = f"{leaf.key}.more"
            self._nodes[key] = GroupNode(key, f"{more} more objects", None, frame, tasks=0, objects=more)

    def _draw_object(self, record: ObjectLike, frame: str | None) -> None:
        key, label = f"o{record.spec.id[1]}", record.spec.label or ""
        self._nodes[key] = ObjectNode(key, label, node_text(label), frame, directory=record.spec.data_type == "dir")

    def _draw_arcs(self, leaf: TaskLeaf) -> int:
        """Add the arcs of a task; how many are new."""
        arcs, before = self._arcs, len(self._arcs)
        record = leaf.record
        head = self.visible(leaf)
        alone = head == leaf.key
        for index, item in enumerate(record.spec.inputs):
            tail = self.visible_object(item.id[1])
            if tail is None or tail == head:
                continue
            label = self._input_label(record, index, tail) if alone and tail[0] != "g" else ""
            self._draw_arc(tail, head, label)
        if alone:
            for index, output in enumerate(record.outputs):
                if output.spec.id[1] in self._boxed:
                    label = numbered(index, output.spec.label) if self._all_objects else ""
                    self._draw_arc(head, self._output_key(head, output.spec.id[1]), label)
        return len(arcs) - before

    def _draw_arc(self, tail: str, head: str, label: str) -> None:
        arc = self._arcs.get((tail, head))
        if arc is not None:
            arc.add(label)
        else:
            self._arcs[tail, head] = Bundle(label)

    def _input_label(self, consumer: TaskLike, index: int, tail: str) -> str:
        item = consumer.spec.inputs[index]
        if self._all_objects:
            return numbered(index, item.label)
        return telling(consumer, index, self.objects[item.id[1]], boxed=tail[0] == "o")

    # -- snapshots and deltas ---------------------------------------------------------------------

    def topology(self) -> Topology:
        """Nodes, arcs and frames as of the last snapshot or delta, without the text in the DOT language."""
        arcs = [Arc(tail, head, arc_text(arc.label, arc.count)) for (tail, head), arc in self._arcs.items()]
        return Topology(
            number=self._number,
            nodes=list(self._nodes.values()),
            arcs=arcs,
            frames=list(self._frames),
            sideways=is_sideways(self._nodes.values(), self._arcs, self._frames),
            all_objects=self._all_objects,
        )

    def snapshot(self, now: float) -> Snapshot:
        """All that is visible now. The next delta tells again what changed since the last one, as others need it."""
        if self._grown:
            self._look_again()
        return Snapshot(
            version=self.version,
            session=self._session,
            looks=LOOKS,
            topology=self.topology(),
            status=self._statuses(self._nodes),
            summary=self.summary(now),
        )

    def delta(self, now: float) -> Delta | None:
        """What has changed since the last delta; None if nothing has."""
        if not self._anything:
            return None
        if self._grown:
            self._look_again()
        elif self.outdated:
            self._renumber()
        base, self.version = self.version, self.version + 1
        grown, self._told = self._number != self._told, self._number
        visible = self._changed & self._nodes.keys() if len(self._changed) > len(self._nodes) else self._changed
        told = Delta(
            version=self.version,
            base=base,
            status=self._statuses(visible),
            summary=self.summary(now),
            topology=self.topology() if grown else UNSET,
            session=self._session if self._session_changed else UNSET,
        )
        self._changed.clear()
        self._session_changed = False
        self._anything = self.outdated
        return told

    @property
    def session(self) -> SessionInfo:
        """Id, name, and whether it is open."""
        return self._session

    def summary(self, now: float) -> Summary:
        """Counts and clocks of the whole session."""
        counts = self.tree.root.counts
        done = sum(counts.get(state, 0) for state in SETTLED)
        left = sum(counts.values()) - done - counts.get(NEW, 0)
        ticking = left > 0 and self._session.state == "open"
        elapsed = remaining = None
        if self._began is not None:
            elapsed = max(0.0, (now if ticking else self._ended or self._began) - self._began)
            remaining = self._remaining(done, left, now) if ticking else None
        if not ticking:
            self._busy = None
        return Summary(
            tasks={state: count for state, count in counts.items() if count},
            objects=self.tree.objects,
            elapsed=elapsed,
            remaining=remaining,
            ticking=ticking,
            stale=len(self._stale),
        )

    def _remaining(self, done: int, left: int, now: float) -> float | None:
        """Seconds until all is done, by the pace since there was last nothing to do."""
        if self._busy is None:
            self._busy = (self._began or now, 0) if self._ended is None else (now, done)
        since, before = self._busy
        return (now - since) * left / (done - before) if done - before >= _ESTIMATE_TASKS_MIN else None

    def _statuses(self, keys: Iterable[str]) -> dict[str, Status]:
        """The status of each of these nodes that are visible."""
        stale = Counter(above.key for key in self._stale for above in self.tree.above(self.tree.tasks[int(key[1:])]))
        return {key: status for key in keys if key in self._nodes and (status := self._status(key, stale)) is not None}

    def _status(self, key: str, stale: Mapping[str, int]) -> Status | None:
        kind, number = key[0], key[1:]
        if kind == "t" and number.isdigit():
            return task_status(self.tree.tasks[int(number)])
        if kind == "t":
            task = self.tree.tasks[int(number.partition(".")[0])].record
            return objects_status(task.outputs[OUTPUTS_MAX:])
        if kind == "o":
            return object_status(self.objects[int(number)])
        group = self.tree.find(key)
        if group is None:
            return None
        counts = {state: count for state, count in group.counts.items() if count}
        return Status(group.state, counts=counts, stale=stale.get(key, 0))

    # -- looking things up ----------------------------------------------------------------------

    def task(self, key: str) -> TaskLeaf | None:
        """The task with that key, visible or not."""
        return self.tree.tasks.get(int(key[1:])) if key[:1] == "t" and key[1:].isdigit() else None

    def object(self, key: str) -> ObjectLike | None:
        """The object with that key, visible or not."""
        return self.objects.get(int(key[1:])) if key[:1] == "o" and key[1:].isdigit() else None

    def tasks_in(self, key: str) -> Iterator[TaskLeaf]:
        """The tasks of a group or part, or the task with that key."""
        leaf = self.task(key)
        if leaf is not None:
            yield leaf
            return
        found = self.tree.find(key)
        if found is None:
            return
        group, begin, end = (found.group, found.begin, found.end + 1) if isinstance(found, Part) else (found, 0, None)
        waiting: list[Leaf | Group] = list(group.members[begin:end])
        while waiting:
            member = waiting.pop()
            if isinstance(member, Group):
                waiting.extend(member.members)
            elif isinstance(member, TaskLeaf):
                yield member


def _shape(nodes: dict[str, AnyNode]) -> list[tuple[str, str | None]]:
    """What a layout depends on."""
    return [(key, node.frame) for key, node in nodes.items()]


def label_of(node: Counted, frame: str | None = None) -> str:
    """A group's or a part's whole name: its path from the top, or from the frame in which it is drawn."""
    group = node.group if isinstance(node, Part) else node
    if not isinstance(group, Group):
        return node.key
    steps, around = [group.label], group.parent if group.key != frame else None
    while around is not None and around.parent is not None and around.key != frame:
        steps += [around.label] if around.kind == PATH else []
        around = around.parent
    name = "/".join(reversed(steps))
    return f"{name} {node.begin}-{min(node.end, len(group.members) - 1)}" if isinstance(node, Part) else name


def is_data(node: Counted) -> bool:
    """Whether it is a group of constants."""
    group = node.group if isinstance(node, Part) else node
    return isinstance(group, Group) and group.kind == DATA


def is_unnamed(node: Leaf | Counted) -> bool:
    """Whether it is a group of constants without names, which are shown only where all objects are."""
    group = node.group if isinstance(node, Part) else node
    return isinstance(group, Group) and group.kind == DATA and group.label in UNNAMED
