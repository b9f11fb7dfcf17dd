"""Which groups are drawn as one node: as few as make the graph readable, and what the user opened or closed.

There are four levels, each folding more than the one before. A session begins with all of it drawn and only ever goes
to the next level, when what is visible has grown too large to be read; the pictures that stay are of the same level.
"""

from __future__ import annotations

from rain.notebook.graph_model.tree import DATA, FUNCTION, PATH, SERIES, Counted, Group, Part, Tree

ALL, RUNS, GROUPS, SERIES_TOO = range(4)
"""Nothing is folded; runs of tasks of one function are; groups are; groups that are told apart by a number only are."""
RUN_MIN = 6
"""Tasks of one function, or constants of one name, that are a run."""
GROUPS_MAX = 40
"""More nodes than this are too many, whatever their shape."""


class Folding:
    """What is open.

    Attributes
    ----------
    level : int
        `ALL`, `RUNS`, `GROUPS` or `SERIES_TOO`.
    opened, closed : set of str
        Keys of groups and parts that the user opened or closed.
    """

    def __init__(self, tree: Tree, nodes_max: int) -> None:
        self._tree = tree
        self._nodes_max = nodes_max
        self.level = ALL
        self.opened: set[str] = set()
        self.closed: set[str] = set()

    def turn(self, key: str, opened: bool) -> bool:
        """Open or close a group or part; whether there is one with that key."""
        if self._tree.find(key) is None or key == self._tree.root.key:
            return False
        (self.opened if opened else self.closed).add(key)
        (self.closed if opened else self.opened).discard(key)
        return True

    def grow(self) -> None:
        """Fold groups if there is more than could be drawn at all."""
        if self.level < GROUPS and self._tree.size > self._nodes_max:
            self.level = GROUPS

    def is_open(self, node: Counted) -> bool:
        """Whether what is inside is visible, unless something around it is closed."""
        if node is self._tree.root:
            return True
        if node.key in self.closed:
            return False
        return node.key in self.opened or self.is_transparent(node) or self._fits(node)

    def _fits(self, node: Counted) -> bool:
        """Whether the level leaves it open."""
        if self.level == ALL:
            return True
        if isinstance(node, Group) and node.parent is not self._tree.root and node.kind in (FUNCTION, DATA):
            return len(node.members) < RUN_MIN  # it is seen where the user opened what is around it
        if isinstance(node, Part) or self.level == SERIES_TOO:
            return False
        assert isinstance(node, Group)
        if node.kind == SERIES:
            return True
        run = _only_kind(node) if node.kind == PATH else node
        return self.level == RUNS and (run is None or run.kind == SERIES or len(run.members) < RUN_MIN)

    def is_transparent(self, node: Counted) -> bool:
        """Whether it says nothing: it has one member, or is all that there is in a group of the user's."""
        if not isinstance(node, Group) or node.parent is None:
            return False
        if _only_kind(node.parent) is node:
            return True
        return len(node.members) <= 1 and _only_kind(node) is None

    def is_framed(self, node: Counted) -> bool:
        """Whether an open group is drawn as a frame."""
        if self.is_transparent(node):
            return False
        return node.key in self.opened or (isinstance(node, Group) and node.kind == PATH)

    def state(self) -> tuple[object, ...]:
        """A value that changes when other nodes of those that exist may be visible."""
        alone = 0
        if self.level != ALL:
            alone = sum(min(len(group.members), RUN_MIN) for group in self._tree.groups.values())
        return self.level, frozenset(self.opened), frozenset(self.closed), self._tree.divisions, alone


def _only_kind(group: Group) -> Group | None:
    """The tasks of one function, or the series of steps, that are all there is in a step of names."""
    if group.kind != PATH or group.parent is None or len(group.members) != 1:
        return None
    member = group.members[0]
    if isinstance(member, Group) and member.kind in (FUNCTION, SERIES) and len(member.members) > 1:
        return member
    return None


def times(node: Counted) -> str:
    """The text behind the name of a closed group: how many equal members it has."""
    if isinstance(node, Group) and node.kind in (FUNCTION, DATA, SERIES):
        return f" \u00d7 {len(node.members):,}"
    return ""
