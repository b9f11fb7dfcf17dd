"""The tree of groups: who is inside of what, and how many of them are in which state."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rain.common.state_styles import SETTLED, SEVERITY
from rain.notebook.graph_model.records import ObjectLike, TaskLike

PATH_STEPS_MAX = 8
"""Steps of a task's path that make groups of their own."""
MEMBERS_MAX = 120
"""A group with more members shows them in parts."""
PART = 100
"""Members of a part, or parts of a part of parts."""

PATH, SERIES, FUNCTION, DATA = "path", "series", "function", "data"
"""A step of names; such steps that are told apart by a number; tasks of one function; constants of one name."""
_NUMBER = re.compile(r"\d+")


class Leaf:
    """A task or a constant in the tree.

    Attributes
    ----------
    key : str
    record : TaskLike or ObjectLike
    state : str
        As it was last counted.
    parent : Group
    index : int
        Its number among the parent's members.
    above : Group or Part
        The parent, or the smallest of its parts in which it is.
    """

    __slots__ = ("above", "index", "key", "parent", "record", "state")

    def __init__(self, key: str, record: TaskLike | ObjectLike, state: str) -> None:
        self.key = key
        self.record = record
        self.state = state
        self.parent: Group
        self.above: Counted
        self.index = 0


class TaskLeaf(Leaf):
    """A task in the tree.

    Attributes
    ----------
    submitted, began : float or None
        When it was heard of that it was submitted, and that it runs (seconds since the epoch).
    """

    __slots__ = ("began", "submitted")
    record: TaskLike

    def __init__(self, record: TaskLike) -> None:
        super().__init__(f"t{record.spec.id[1]}", record, record.shown)
        self.submitted: float | None = None
        self.began: float | None = None


class ConstantLeaf(Leaf):
    """A constant in the tree; other objects belong to the tasks that make them."""

    __slots__ = ()
    record: ObjectLike

    def __init__(self, record: ObjectLike) -> None:
        super().__init__(f"o{record.spec.id[1]}", record, record.shown)


class Counted:
    """Something with members, all of which are counted by state.

    Attributes
    ----------
    key : str
    counts : dict of str to int
        Tasks below it (of a group of constants: these) by state.
    objects : int
        Objects below it.
    above : Group, Part or None
        What it is in, the smallest first; None of the root.
    visible_key : str or None
        What is visible instead of its members: the key of the outermost closed group around them.
    visible_as_of : int
        The version of what is visible (`View`) for which that holds.
    """

    __slots__ = ("above", "counts", "key", "objects", "visible_as_of", "visible_key")

    def __init__(self, key: str, above: Counted | None) -> None:
        self.key = key
        self.above = above
        self.visible_as_of = -1
        self.visible_key: str | None = None
        self.counts: dict[str, int] = {}
        self.objects = 0

    def count(self, state: str, difference: int) -> None:
        """So many more (or less) are in `state`."""
        self.counts[state] = self.counts.get(state, 0) + difference

    @property
    def total(self) -> int:
        """Tasks (or constants) below it."""
        return sum(self.counts.values())

    @property
    def state(self) -> str:
        """The state that says most about it; while some are over and others are to come, it runs."""
        counts = self.counts
        begun = any(counts.get(state) for state in SETTLED) and (counts.get("ready") or counts.get("waiting"))
        if begun and not counts.get("failed"):
            return "running"
        for state in SEVERITY:
            if counts.get(state):
                return state
        return next((state for state, count in counts.items() if count), "new")


class Part(Counted):
    """Some of the members of a large group, one after the other."""

    __slots__ = ("begin", "end", "group")

    def __init__(self, group: Group, begin: int, end: int, above: Counted) -> None:
        super().__init__(f"{group.key}.{begin}-{end}", above)
        self.group = group
        self.begin = begin
        self.end = end


Node = Leaf | Counted


class Group(Counted):
    """A group of tasks (or of constants), perhaps with groups inside.

    Attributes
    ----------
    kind : str
        `PATH`, `SERIES`, `FUNCTION` or `DATA`.
    label : str
    parent : Group or None
        None of the root.
    index : int
        Its number among the parent's members.
    members : list of Leaf or Group
    parts : dict of (int, int) to Part
        By size and number; none while the group is small.
    """

    __slots__ = ("groups", "index", "kind", "label", "members", "parent", "parts", "sizes")

    def __init__(self, key: str, kind: str, label: str, parent: Group | None) -> None:
        super().__init__(key, parent)
        self.kind = kind
        self.label = label
        self.parent = parent
        self.index = 0
        self.members: list[Leaf | Group] = []
        self.groups: dict[tuple[str, str], Group] = {}
        self.parts: dict[tuple[int, int], Part] = {}
        self.sizes: tuple[int, ...] = ()

    @property
    def full(self) -> bool:
        """Whether another member will divide the group in another way."""
        return len(self.members) >= (MEMBERS_MAX if not self.sizes else self.sizes[0] * MEMBERS_MAX)

    def add(self, member: Leaf | Group) -> None:
        """Take in a member, which the caller counts; all others must have been counted if the group is `full`."""
        if self.full:
            self._divide()
        member.parent, member.index = self, len(self.members)
        member.above = self._smallest(member.index)
        self.members.append(member)

    def _divide(self) -> None:
        """Make parts, or parts of parts, of all members."""
        self.sizes = (PART if not self.sizes else self.sizes[0] * PART, *self.sizes)
        self.parts = {}
        for member in self.members:
            counts = member.counts if isinstance(member, Group) else {member.state: 1}
            objects = member.objects if isinstance(member, Group) else objects_of(member)
            part = member.above = self._smallest(member.index)
            while part is not self:
                part.objects += objects
                for state, count in counts.items():
                    part.count(state, count)
                assert part.above is not None
                part = part.above

    def _smallest(self, index: int) -> Counted:
        """The smallest part in which a member is, or the group."""
        found: Counted = self
        for size in self.sizes:
            number = index // size
            part = self.parts.get((size, number))
            if part is None:
                part = self.parts[size, number] = Part(self, number * size, (number + 1) * size - 1, found)
            found = part
        return found

    def inside(self, part: Part | None = None) -> list[Leaf | Group | Part]:
        """What is seen when the group, or one of its parts, is open."""
        begin, end = (0, len(self.members)) if part is None else (part.begin, part.end + 1)
        size = next((size for size in self.sizes if size < end - begin), None)
        if size is None:
            return list(self.members[begin:end])
        return [self.parts[size, n] for n in range(begin // size, -(-min(end, len(self.members)) // size))]


def objects_of(leaf: Leaf) -> int:
    """How many objects a leaf stands for."""
    return len(leaf.record.outputs) if isinstance(leaf, TaskLeaf) else 1


def counts_constants(above: Counted, leaf: ConstantLeaf) -> bool:
    """Whether `above` counts a constant inside it by state: only where there is nothing else."""
    return (above.group if isinstance(above, Part) else above) is leaf.parent


class Tree:
    """All tasks and constants of a session, in groups.

    Tasks are counted by `settle`: many of them are in the same group and come into the same state.

    Attributes
    ----------
    root : Group
    tasks, constants : dict of int to leaf
        By number.
    groups : dict of str to Counted
        By key: groups, and parts once they were looked at.
    objects : int
        All objects that are seen.
    """

    def __init__(self) -> None:
        self.root = Group("g0", PATH, "", None)
        self.tasks: dict[int, TaskLeaf] = {}
        self.constants: dict[int, ConstantLeaf] = {}
        self.groups: dict[str, Group] = {"g0": self.root}
        self.functions: dict[int, str] = {}
        """Names of functions by the number of their hidden objects."""
        self.divisions = 0
        """How often a group was divided in another way."""
        self._moves: dict[tuple[Counted, str | None, str], int] = {}
        self._made: dict[Counted, int] = {}
        self._touched: set[str] = set()

    @property
    def objects(self) -> int:
        """All objects that are seen."""
        return self.root.objects

    @property
    def size(self) -> int:
        """Nodes, if all were shown."""
        return len(self.tasks) + self.root.objects

    def add_task(self, record: TaskLike) -> TaskLeaf:
        """A task that was not there before."""
        leaf = self.tasks[record.spec.id[1]] = TaskLeaf(record)
        self._add(self._home(record), leaf)
        above = leaf.above
        move = (above, None, leaf.state)
        self._moves[move] = self._moves.get(move, 0) + 1
        self._made[above] = self._made.get(above, 0) + len(record.outputs)
        return leaf

    def add_constant(self, record: ObjectLike) -> ConstantLeaf:
        """A constant that was not there before."""
        leaf = self.constants[record.spec.id[1]] = ConstantLeaf(record)
        self._add(self._group(self.root, DATA, record.spec.label or "const"), leaf)
        for above in self.above(leaf):
            above.objects += 1
            self._touched.add(above.key)
            if counts_constants(above, leaf):
                above.count(leaf.state, 1)
        return leaf

    def find(self, key: str) -> Group | Part | None:
        """The group or part with that key."""
        group = self.groups.get(key.partition(".")[0])
        if group is None or group.key == key:
            return group
        return next((part for part in group.parts.values() if part.key == key), None)

    def above(self, leaf: Leaf) -> Iterator[Counted]:
        """The groups and parts in which a leaf is, from the inside out, the root last."""
        above: Counted | None = leaf.above
        while above is not None:
            yield above
            above = above.above

    def _add(self, group: Group, member: Leaf | Group) -> None:
        if group.full:
            self._count()
            self.divisions += 1
        group.add(member)

    def change_task(self, leaf: TaskLeaf, state: str) -> None:
        """A task is in another state now."""
        move = (leaf.above, leaf.state, state)
        leaf.state = state
        self._moves[move] = self._moves.get(move, 0) + 1

    def change_constant(self, leaf: ConstantLeaf, state: str) -> None:
        """A constant is in another state now."""
        before, leaf.state = leaf.state, state
        for above in self.above(leaf):
            if counts_constants(above, leaf):
                above.counts[before] -= 1
                above.count(state, 1)
                self._touched.add(above.key)

    def settle(self) -> set[str]:
        """Count what was added and changed; the keys of all groups and parts that this touches."""
        self._count()
        touched, self._touched = self._touched, set()
        return touched

    def _count(self) -> None:
        for (home, before, state), times in self._moves.items():
            above: Counted | None = home
            while above is not None:
                if before is not None:
                    above.counts[before] -= times
                above.count(state, times)
                self._touched.add(above.key)
                above = above.above
        for home, objects in self._made.items():
            above = home
            while above is not None:
                above.objects += objects
                above = above.above
        self._moves, self._made = {}, {}

    def _home(self, record: TaskLike) -> Group:
        """The group of a task: by the path in its name, and there by its function."""
        name = record.spec.name
        group = self.root
        if name is not None and "/" in name:
            for step in name.split("/")[:-1][:PATH_STEPS_MAX]:
                if step:
                    series = series_of(step)
                    group = self._group(self._group(group, SERIES, series) if series else group, PATH, step)
        return self._group(group, FUNCTION, self._run_of(record))

    def kind_of(self, record: TaskLike) -> str:
        """The name of a task's function, or its type."""
        spec, function = record.spec, record.spec.function
        label = self.functions.get(function[1]) if function is not None else None
        return label or (spec.name if function is not None else None) or spec.task_type

    def _run_of(self, record: TaskLike) -> str:
        """What tasks that do the same have in common: the function, else the name without its number, else the type."""
        own = (record.spec.name or "").rpartition("/")[2]
        if record.spec.function is not None:
            return self.kind_of(record).rpartition("/")[2]
        return series_of(own) or own or record.spec.task_type

    def _group(self, parent: Group, kind: str, label: str) -> Group:
        found = parent.groups.get((kind, label))
        if found is None:
            found = parent.groups[kind, label] = Group(f"g{len(self.groups)}", kind, label, parent)
            self.groups[found.key] = found
            self._add(parent, found)
        return found


def series_of(step: str) -> str:
    """A name without the number in it, which others like it have too; empty if there is none.

    Examples
    --------
    >>> series_of("fold 12"), series_of("2024-01-31"), series_of("train")
    ('fold', '#-#-#', '')
    """
    pattern = _NUMBER.sub("#", step)
    if pattern == step:
        return ""
    name = pattern.removesuffix("#").rstrip(" -_.:")
    return name if any(map(str.isalpha, name)) else pattern
