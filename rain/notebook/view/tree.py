"""The tree of groups: who is inside of what, and how many of them are in which state."""

from __future__ import annotations

from collections.abc import Iterator

from rain.common.look import SEVERITY
from rain.notebook.view.records import OBJECT_WORDS, TASK_WORDS, ObjectLike, TaskLike

PATH_STEPS_MAX = 8
"""Steps of a task's path that make groups of their own."""
MEMBERS_MAX = 120
"""A group with more members shows them in parts."""
PART = 100
"""Members of a part, or parts of a part of parts."""

PATH, FUNCTION, DATA = "path", "function", "data"


class Leaf:
    """A task or a constant in the tree.

    Attributes
    ----------
    key : str
    record : TaskLike or ObjectLike
    state : str
        As it was last counted.
    parent : Group
    place : int
        Its number among the parent's members.
    shown : str
        The key of what is visible of it, in the cut number `cut`.
    """

    __slots__ = ("cut", "key", "parent", "place", "record", "shown", "state")

    def __init__(self, key: str, record: TaskLike | ObjectLike, state: str) -> None:
        self.key = key
        self.record = record
        self.state = state
        self.parent: Group
        self.place = 0
        self.shown = key
        self.cut = -1


class TaskLeaf(Leaf):
    """A task in the tree."""

    __slots__ = ("began", "ended")
    record: TaskLike

    def __init__(self, record: TaskLike) -> None:
        super().__init__(f"t{record.spec.id[1]}", record, TASK_WORDS[record.state])
        self.began: float | None = None
        self.ended: float | None = None


class ConstantLeaf(Leaf):
    """A constant in the tree; other objects belong to the tasks that make them."""

    __slots__ = ()
    record: ObjectLike

    def __init__(self, record: ObjectLike) -> None:
        super().__init__(f"o{record.spec.id[1]}", record, OBJECT_WORDS[record.state])


class Counted:
    """Something with members, all of which are counted by state.

    Attributes
    ----------
    key : str
    counts : dict of str to int
        Tasks below it (of a group of constants: these) by state.
    objects : int
        Objects below it.
    """

    __slots__ = ("counts", "key", "objects")

    def __init__(self, key: str) -> None:
        self.key = key
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
        """The state that says most about it."""
        counts = self.counts
        for state in SEVERITY:
            if counts.get(state):
                return state
        return next((state for state, count in counts.items() if count), "new")


class Part(Counted):
    """Some of the members of a large group, one after the other."""

    __slots__ = ("begin", "end", "group")

    def __init__(self, group: Group, begin: int, end: int) -> None:
        super().__init__(f"{group.key}.{begin}-{end}")
        self.group = group
        self.begin = begin
        self.end = end


Node = Leaf | Counted


class Group(Counted):
    """A group of tasks (or of constants), perhaps with groups inside.

    Attributes
    ----------
    kind : str
        `PATH`, `FUNCTION` or `DATA`.
    label : str
    parent : Group or None
        None of the root.
    place : int
        Its number among the parent's members.
    members : list of Leaf or Group
    parts : dict of (int, int) to Part
        By size and number; none while the group is small.
    """

    __slots__ = ("groups", "kind", "label", "members", "parent", "parts", "path", "place", "sizes")

    def __init__(self, key: str, kind: str, label: str, parent: Group | None) -> None:
        super().__init__(key)
        self.kind = kind
        self.label = label
        self.parent = parent
        self.path: str = label if parent is None or not parent.path else f"{parent.path}/{label}"
        self.place = 0
        self.members: list[Leaf | Group] = []
        self.groups: dict[tuple[str, str], Group] = {}
        self.parts: dict[tuple[int, int], Part] = {}
        self.sizes: tuple[int, ...] = ()

    def add(self, member: Leaf | Group) -> bool:
        """Take in a member; whether the group is divided in another way now."""
        member.parent, member.place = self, len(self.members)
        self.members.append(member)
        if len(self.members) <= (MEMBERS_MAX if not self.sizes else self.sizes[0] * MEMBERS_MAX):
            return False
        self._divide()
        return True

    def _divide(self) -> None:
        """Make parts, or parts of parts, of all members."""
        self.sizes = (PART if not self.sizes else self.sizes[0] * PART, *self.sizes)
        self.parts = {}
        for member in self.members[:-1]:  # the last one is just coming, and is counted by whoever adds it
            counts = member.counts if isinstance(member, Group) else {member.state: 1}
            objects = member.objects if isinstance(member, Group) else objects_of(member)
            for part in self.parts_at(member.place):
                part.objects += objects
                for state, count in counts.items():
                    part.count(state, count)

    def parts_at(self, place: int) -> Iterator[Part]:
        """The parts in which a member is, the largest first."""
        for size in self.sizes:
            number = place // size
            part = self.parts.get((size, number))
            if part is None:
                part = self.parts[size, number] = Part(self, number * size, (number + 1) * size - 1)
            yield part

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


def counts_in(above: Counted, leaf: Leaf) -> bool:
    """Whether `above` counts a leaf inside it by state: constants are counted where there is nothing else."""
    return isinstance(leaf, TaskLeaf) or (above.group if isinstance(above, Part) else above) is leaf.parent


class Tree:
    """All tasks and constants of a session, in groups.

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
        self._put(leaf, self._home(record))
        return leaf

    def add_constant(self, record: ObjectLike) -> ConstantLeaf:
        """A constant that was not there before."""
        leaf = self.constants[record.spec.id[1]] = ConstantLeaf(record)
        self._put(leaf, self._group(self.root, DATA, record.spec.label or "data"))
        return leaf

    def find(self, key: str) -> Group | Part | None:
        """The group or part with that key."""
        group = self.groups.get(key.partition(".")[0])
        if group is None or group.key == key:
            return group
        return next((part for part in group.parts.values() if part.key == key), None)

    def above(self, leaf: Leaf) -> Iterator[Counted]:
        """The groups and parts in which a leaf is, from the inside out, the root last."""
        node: Leaf | Group = leaf
        while True:
            group: Group | None = node.parent
            if group is None:
                return
            if group.sizes:
                yield from reversed(list(group.parts_at(node.place)))
            yield group
            node = group

    def _put(self, leaf: Leaf, group: Group) -> None:
        self.divisions += group.add(leaf)
        objects = objects_of(leaf)
        for above in self.above(leaf):
            above.objects += objects
            if counts_in(above, leaf):
                above.count(leaf.state, 1)

    def change(self, leaf: Leaf, state: str) -> list[str]:
        """A leaf is in another state now; the keys of all groups and parts that it is in."""
        keys = []
        before, leaf.state = leaf.state, state
        for above in self.above(leaf):
            if counts_in(above, leaf):
                above.counts[before] -= 1
                above.count(state, 1)
            keys.append(above.key)
        return keys

    def _home(self, record: TaskLike) -> Group:
        """The group of a task: by the path in its name, else by its function."""
        name = record.spec.name
        group = self.root
        if name is not None and "/" in name:
            for step in name.split("/")[:-1][:PATH_STEPS_MAX]:
                if step:
                    group = self._group(group, PATH, step)
            return group
        function = record.spec.function
        label = self.functions.get(function[1]) if function is not None else None
        return self._group(group, FUNCTION, label or (name if function is not None else None) or record.spec.task_type)

    def _group(self, parent: Group, kind: str, label: str) -> Group:
        found = parent.groups.get((kind, label))
        if found is None:
            found = parent.groups[kind, label] = Group(f"g{len(self.groups)}", kind, label, parent)
            self.groups[found.key] = found
            self.divisions += parent.add(found)
        return found
