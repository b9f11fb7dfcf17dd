"""The places of nodes, arcs and frames from left to right, once rows and their order are known.

Theory of operation
-------------------
Runs of vertices that shall be straight (dummies of long arcs, simple chains) share one coordinate, as the linear
segments of G. Sander ("A fast heuristic for hierarchical Manhattan layout", 1996) do, and so has each side of a frame.
Order and widths make constraints ``x[a] + gap <= x[b]`` between coordinates; as no two runs cross, they have no cycle.

Each coordinate then wants to be where its neighbours are. Wishes are met as nearly as the constraints allow: pushing
everything just far enough to the right gives one solution, pushing to the left another, and, as the constraints are
linear, the mean of both is one too. It is repeated until no coordinate changes. That is fair, but lets wishes that
contradict each other, as those across frames do, drive everything apart; so in the end each goes where it wants on its
own, as far as there is room, and what branches is put in the middle of its branches.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from itertools import pairwise

from rain.notebook.drawing.row_assignment import DUMMY_GAP, NODE_GAP, Net, common, topological

ROUNDS_MAX = 48
EFFORT = 60_000
"""Vertices times rounds from which on there are fewer rounds."""
RUNS = (1_000_000, 24, 12, 6, 3, 1)
"""Rows after which straight runs may bend."""
WIDENING = 1.35
"""How much wider than its widest row a graph may become in favour of straight lines."""
FRAME_GAP = 16
"""Points between frames side by side."""
FRAME_ROOM = 10
"""Points between a frame and what is in it."""
WEIGHTS = (1, 2, 8)
"""How much an arc between rows wants to be straight, by the number of its ends that are dummies."""

FRAME_WEIGHT = 1
"""How much a node wants to be in the middle of its frame."""

CENTRINGS = 6
"""Rounds in the end in which what branches is put in the middle of its branches."""

Pulls = list[tuple[int, list[tuple[int, float]], float]]
"""Coordinate, those that it wants to be near to and how much, the sum of this."""


class Coordinates:
    """Coordinates of the vertices and of the sides of the frames.

    Attributes
    ----------
    x : list of float
        The middle of each vertex.
    sides : list of (float, float)
        Left and right of each frame.
    """

    def __init__(self, net: Net) -> None:
        self.net = net
        self.count = len(net.row)
        rows = [self._with_sides(row) for row in net.rows]
        variable = self._variables(rows)
        self._pull(variable)
        x = self._settle(self._start())
        self.x = [x[variable[v]] for v in range(self.count)]
        self.sides = [(x[self.count + 2 * f], x[self.count + 2 * f + 1]) for f in range(len(net.frames))]

    def _variables(self, rows: list[list[int]]) -> list[int]:
        """Which coordinate each vertex and side has; the constraints are set."""
        straight = _straight(self.net, rows)
        gaps = [(left, right, self._gap(left, right)) for row in rows for left, right in pairwise(row)]
        for frame, (_, _, width) in enumerate(self.net.frames):
            gaps.append((self.count + 2 * frame, self.count + 2 * frame + 1, width))
        packed = max(sum(self._gap(left, right) for left, right in pairwise(row)) for row in rows)
        variable: list[int] = []
        for length in RUNS:
            variable = list(range(self.count + 2 * len(self.net.frames)))
            for upper, lower in straight:  # from the top down
                if (self.net.row[upper] + 1) % length:
                    variable[lower] = variable[upper]
            self._constrain(gaps, variable)
            # Long runs can hold each other off like the steps of a stair: rather a bend here and there.
            if self._least_width() <= WIDENING * packed + NODE_GAP:
                break
        return variable

    def _least_width(self) -> float:
        least = [0.0] * len(self.right_of)
        for v in self.order:
            for u, gap in self.right_of[v]:
                least[u] = max(least[u], least[v] + gap)
        return max(least)

    def _with_sides(self, row: list[int]) -> list[int]:
        """A row with the sides of frames between its vertices; they are numbered after these."""
        net, found = self.net, []
        inside: tuple[int, ...] = ()
        for v in [*row, -1]:
            path = net.path(net.frame[v]) if v >= 0 else ()
            same = common(inside, path)
            found += [self.count + 2 * frame + 1 for frame in reversed(inside[same:])]
            found += [self.count + 2 * frame for frame in path[same:]]
            inside = path
            found.append(v)
        return found[:-1]

    def _constrain(self, gaps: list[tuple[int, int, float]], variable: list[int]) -> None:
        most: dict[tuple[int, int], float] = {}
        for left, right, gap in gaps:
            pair = variable[left], variable[right]
            if gap > most.get(pair, -1.0):
                most[pair] = gap
        self.right_of: list[list[tuple[int, float]]] = [[] for _ in variable]
        self.left_of: list[list[tuple[int, float]]] = [[] for _ in variable]
        for (left, right), gap in most.items():
            self.right_of[left].append((right, gap))
            self.left_of[right].append((left, gap))
        order = topological([[right for right, _ in after] for after in self.right_of])
        assert order is not None, "straight runs do not cross"
        self.order = order

    def _gap(self, left: int, right: int) -> float:
        count, widths = self.count, self.net.widths
        if left >= count and right >= count:
            closes, opens = (left - count) % 2, (right - count) % 2 == 0
            return FRAME_GAP if closes and opens else FRAME_ROOM
        if left >= count:
            return widths[right] / 2 + FRAME_ROOM
        if right >= count:
            return widths[left] / 2 + FRAME_ROOM
        half = (widths[left] + widths[right]) / 2
        return half + (NODE_GAP if widths[left] and widths[right] else DUMMY_GAP)

    def _pull(self, variable: list[int]) -> None:
        net = self.net
        pulls: list[dict[int, float]] = [{} for _ in variable]
        for v in range(self.count):
            for u in net.below[v]:
                a, b = variable[v], variable[u]
                if a != b:
                    weight = WEIGHTS[(not net.widths[v]) + (not net.widths[u])]
                    pulls[a][b] = pulls[a].get(b, 0) + weight
                    pulls[b][a] = pulls[b].get(a, 0) + weight
            if net.frame[v] >= 0 and net.widths[v]:
                # What is in a frame stays together, or frames become as wide as the graph.
                for frame in net.path(net.frame[v]):
                    for side in (self.count + 2 * frame, self.count + 2 * frame + 1):
                        a = variable[v]
                        pulls[a][side] = pulls[a].get(side, 0) + FRAME_WEIGHT
        self.pulls: Pulls = [(v, list(pull.items()), sum(pull.values())) for v, pull in enumerate(pulls) if pull]
        self.own: Pulls = []
        for v in range(len(net.nodes)):
            only = [u for u in net.below[v] if len(net.above[u]) == 1]
            only += [u for u in net.above[v] if len(net.below[u]) == 1]
            others = [(variable[u], 1.0) for u in only if variable[u] != variable[v]]
            if len(others) > 1:
                self.own.append((variable[v], others, len(others)))

    def _start(self) -> list[float]:
        """Half way between everything as far to the left and as far to the right as it can be."""
        left, right = [0.0] * len(self.right_of), [0.0] * len(self.right_of)
        for v in self.order:
            for u, gap in self.right_of[v]:
                left[u] = max(left[u], left[v] + gap)
        for v in reversed(self.order):
            for u, gap in self.right_of[v]:
                right[v] = min(right[v], right[u] - gap)
        return [(a + b) / 2 for a, b in zip(left, right, strict=True)]

    def _spread(self, wanted: list[float]) -> list[float]:
        """What is nearest to the wishes that the constraints allow, more or less."""
        right, left = list(wanted), list(wanted)
        left_of, right_of = self.left_of, self.right_of
        for v in self.order:
            for u, gap in left_of[v]:
                if right[u] + gap > right[v]:
                    right[v] = right[u] + gap
        for v in reversed(self.order):
            for u, gap in right_of[v]:
                if left[u] - gap < left[v]:
                    left[v] = left[u] - gap
        return [(a + b) / 2 for a, b in zip(left, right, strict=True)]

    def _settle(self, x: list[float]) -> list[float]:
        rounds = max(8, min(ROUNDS_MAX, EFFORT // self.count))
        for _ in range(rounds // 4 if self.net.frames else rounds):
            wanted = list(x)
            for v, pull, weight in self.pulls:
                total = 0.0
                for u, pulls in pull:
                    total += x[u] * pulls
                # Half way only: two that want each other's place would swap for ever.
                wanted[v] = (x[v] + total / weight) / 2
            moved = self._spread(wanted)
            still = max(abs(a - b) for a, b in zip(x, moved, strict=True)) < 0.3
            x = moved
            if still:
                break
        x = self._tightened(x)
        for n in range(rounds // 2 if self.net.frames else 2):
            x = self._tightened(self._drawn_in(x, self.pulls, -1 if n % 2 else 1))
        for n in range(CENTRINGS):
            x = self._tightened(self._drawn_in(x, self.own, -1 if n % 2 else 1))
        return x

    def _tightened(self, x: list[float]) -> list[float]:
        """Sides of frames as near to what is inside as they can be, the innermost first."""
        for v in self.order:
            if v >= self.count and (v - self.count) % 2:
                x[v] = max(x[u] + gap for u, gap in self.left_of[v])
        for v in reversed(self.order):
            if v >= self.count and not (v - self.count) % 2:
                x[v] = min(x[u] - gap for u, gap in self.right_of[v])
        return x

    def _drawn_in(self, x: list[float], wishes: Pulls, way: int) -> list[float]:
        """Let each coordinate go where it wants as far as there is room; sides of frames give way as far as they can.

        Parameters
        ----------
        x : list of float
        wishes : list of (int, list of (int, float), float)
        way : int
            1: from left to right, -1: the other way.
        """
        order, before, after = self.order, self.left_of, self.right_of
        if way < 0:
            order, before, after = order[::-1], after, before
        x = [way * at for at in x]
        first_side, last_side = self.count, self.count + 2 * len(self.net.frames)
        pulls: dict[int, tuple[list[tuple[int, float]], float]] = {v: (pull, weight) for v, pull, weight in wishes}
        furthest = list(x)
        for v in reversed(order):
            if first_side <= v < last_side and after[v]:
                furthest[v] = min(furthest[u] - gap for u, gap in after[v])
        for v in order:
            side = first_side <= v < last_side
            if not side and v not in pulls:
                continue
            least, most = -math.inf, math.inf
            for u, gap in before[v]:
                if x[u] + gap > least:
                    least = x[u] + gap
            if side:
                x[v] = least if before[v] else x[v]
            else:
                for u, gap in after[v]:
                    if furthest[u] - gap < most:
                        most = furthest[u] - gap
                pull, weight = pulls[v]
                at = sum([x[u] * share for u, share in pull]) / weight
                x[v] = max(min(at, most), least)
            furthest[v] = x[v]
        return [way * at for at in x]


def _straight(net: Net, rows: list[list[int]]) -> list[tuple[int, int]]:
    """Pairs of vertices, one below the other, that share a coordinate: they cross no other such pair, and no frame."""
    count = len(net.row)
    found: list[tuple[int, int]] = []
    for row, below in pairwise(rows):
        place = {v: n for n, v in enumerate(below)}
        kept = [(n, place[v]) for n, v in enumerate(row) if v >= count and v in place]
        passing, simple = [], []
        for n, v in enumerate(row):
            for u in net.below[v] if v < count else ():
                if net.frame[u] != net.frame[v]:
                    continue
                if not net.widths[v] and not net.widths[u]:
                    passing.append((n, place[u]))
                elif len(net.below[v]) == 1 and len(net.above[u]) == 1:
                    simple.append((n, place[u]))
        kept = sorted(kept + _longest_rising([pair for pair in passing if _fits(kept, pair)]))
        for pair in simple:
            if _fits(kept, pair):
                kept.insert(bisect_left(kept, pair), pair)
        found += [(row[a], below[b]) for a, b in kept if row[a] < count]
    return found


def _fits(kept: list[tuple[int, int]], pair: tuple[int, int]) -> bool:
    n = bisect_left(kept, pair)
    return (n == 0 or kept[n - 1][1] < pair[1]) and (n == len(kept) or kept[n][1] > pair[1])


def _longest_rising(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """As many of the pairs (whose first numbers rise) as possible, so that their second numbers rise too."""
    tails: list[int] = []
    ends: list[int] = []
    before: list[int] = []
    for n, (_, end) in enumerate(pairs):
        at = bisect_left(tails, end)
        before.append(ends[at - 1] if at else -1)
        tails[at : at + 1] = [end]
        ends[at : at + 1] = [n]
    found = []
    n = ends[-1] if ends else -1
    while n >= 0:
        found.append(pairs[n])
        n = before[n]
    return found[::-1]
