"""A session's graph as one SVG that needs nothing else: for saved notebooks, nbconvert and GitHub.

Looks are presentation attributes only (GitHub drops ``<style>``), inherited from groups of elements that look the same.
There are no scripts, links or references. All text passes through `markup`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby

from rain.common.formatting import duration_text
from rain.common.state_styles import LOOKS, NEW, NOT_MADE, NOT_RUN, Look
from rain.notebook.drawing.text_metrics import (
    FONT,
    FONT_SIZE,
    ROOM,
    SMALL_SIZE,
    markup,
    shortened,
    text_width,
)
from rain.notebook.protocol.graph import AnyNode, SessionInfo, Status, Summary, Topology
from rain.notebook.protocol.layout import Box, Curve, Geometry

PICTURE_BYTES_MAX = 180_000
"""Larger pictures leave out labels of arcs, then what is shown on hovering, then arcs."""
WIDTH_MAX, HEIGHT_MAX = 1120, 1400
"""Pixels; larger graphs are scaled down."""
WIDTH_MIN = 420
TITLE_CHARS_MAX = 60
ERROR_CHARS_MAX = 200

MARGIN = 14
HEAD_HEIGHT = 62
LEGEND_LINE = 20
CHIP_GAP = 12
HEAD_ROOM = 150
"""Beside the name: for the state and the time."""
BOLD = 1.16
"""Bold letters are wider by so much."""
SCALE_MIN = 0.4
"""Smaller letters cannot be read: the groups of such a graph are drawn instead."""
GROUND, EDGE, INK, QUIET, ARC = "#ffffff", "#d0d7de", "#1f2328", "#59636e", "#8c959f"
BAR_HEIGHT = 5
STACK = 4
"""How far the box behind a group looks out."""
FRAME_FILL, FRAME_LINE = "#f6f8fa", "#d0d7de"
"""Of frames."""

# How the parts of a picture are left out, one after the other, and what is said then.
_OMISSIONS: tuple[tuple[frozenset[str], str], ...] = (
    (frozenset(), ""),
    (frozenset({"labels"}), "labels of arcs are left out"),
    (frozenset({"labels", "tips"}), "labels of arcs are left out"),
    (frozenset({"labels", "tips", "arcs"}), "arcs are left out"),
    (frozenset({"labels", "tips", "arcs", "texts"}), "arcs and labels are left out"),
    (frozenset({"labels", "tips", "arcs", "texts", "nodes"}), "too large to be drawn"),
)
_ORDER = (
    "finished", "failed", NOT_RUN, "cancelled", "running", "ready", "waiting", "unfinished", NEW, "removed", NOT_MADE,
)  # fmt: skip
"""States as they are told, and drawn, one after the other."""
_UNKNOWN = Status(NEW)
_NUMBER = re.compile(r"-?\d+")


def picture(
    topology: Topology, status: Mapping[str, Status], summary: Summary, session: SessionInfo, geometry: Geometry
) -> str:
    """The graph of a session as SVG.

    Parameters
    ----------
    topology : Topology
    status : dict of str to Status
    summary : Summary
    session : SessionInfo
    geometry : Geometry
        What is not in it is not drawn.

    Returns
    -------
    str
        At most `PICTURE_BYTES_MAX` bytes in UTF-8.
    """
    drawing = _Drawing(topology, status, summary, session, geometry)
    for left_out, note in _OMISSIONS:
        svg = drawing.svg(left_out, note)
        if len(svg.encode()) <= PICTURE_BYTES_MAX:
            break
    return svg


def text_line(session: SessionInfo, summary: Summary) -> str:
    """A session on one line, for what shows text only: the same for the same run.

    Examples
    --------
    >>> summary = Summary({"finished": 7, "failed": 1}, 9, elapsed=1.5, remaining=None, ticking=False)
    >>> text_line(SessionInfo(3, "words", "closed"), summary)
    "<Session 'words' closed, 8 tasks: 7 finished, 1 failed; 9 objects>"
    """
    counts = {state: summary.tasks.get(state, 0) for state in _ORDER}
    total = sum(counts.values())
    states = ", ".join(f"{count} {LOOKS[state].word}" for state, count in counts.items() if count)
    tasks = f"{_many(total, 'task')}: {states}" if total else "no tasks"
    stale = f", {summary.stale} stale" if summary.stale else ""
    name = shortened(session.name, TITLE_CHARS_MAX)
    return f"<Session {name!r} {session.state}, {tasks}{stale}; {_many(summary.objects, 'object')}>"


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def scale_of(geometry: Geometry) -> float:
    """How much smaller a graph of this size is drawn."""
    return min(1.0, (WIDTH_MAX - 2 * MARGIN) / max(geometry.width, 1), HEIGHT_MAX / max(geometry.height, 1))


class _Drawing:
    """What is drawn, and the pieces that it is drawn from."""

    def __init__(
        self,
        topology: Topology,
        status: Mapping[str, Status],
        summary: Summary,
        session: SessionInfo,
        geometry: Geometry,
    ) -> None:
        self.topology, self.status, self.summary, self.session = topology, status, summary, session
        self.geometry = geometry
        boxes = geometry.nodes
        self.nodes = [(node, boxes[node.key]) for node in topology.nodes if node.key in boxes]

    def svg(self, left_out: frozenset[str], note: str) -> str:
        """The picture, without some of its parts."""
        wide, high = self.geometry.width, self.geometry.height
        drawn = bool(self.nodes) and "nodes" not in left_out
        scale = scale_of(self.geometry)
        width = round(max(WIDTH_MIN, wide * scale + 2 * MARGIN)) if drawn else WIDTH_MIN
        graph_height = round(high * scale) if drawn else 0
        legend, legend_height = self._legend(width, HEAD_HEIGHT + graph_height + 8)
        height = HEAD_HEIGHT + graph_height + legend_height + 12
        out = [
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}" font-family="{FONT}" font-size="{FONT_SIZE}" fill="{INK}">',
            f"<title>{markup(self._title())}</title><desc>{markup(text_line(self.session, self.summary))}</desc>",
            f'<rect x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="8" fill="{GROUND}" stroke="{EDGE}"/>',
            *self._head(width, note),
        ]
        if drawn:
            at = round((width - wide * scale) / 2)
            turn = f" scale({scale:.4g})" if scale < 1 else ""
            out.append(f'<g transform="translate({at} {HEAD_HEIGHT}){turn}">')
            out += self._graph(left_out)
            out.append("</g>")
        return "".join([*out, *legend, "</svg>\n"])

    # -- above and below the graph ----------------------------------------------------------------
    def _title(self) -> str:
        return f"Session {shortened(self.session.name, TITLE_CHARS_MAX)}: {self.session.state}"

    def _head(self, width: int, note: str) -> Iterator[str]:
        """Name, state, time; how many tasks are in which state; a bar of the same."""
        room = (width - 2 * MARGIN - HEAD_ROOM) / BOLD
        name = _fitting(shortened(self.session.name, TITLE_CHARS_MAX), 14, room)
        # One text, because the width of the name in the reader's font is not known.
        yield (
            f'<text x="{MARGIN}" y="24" font-size="14"><tspan font-weight="bold">{markup(name)}</tspan>'
            f'<tspan font-size="11" fill="{QUIET}"> &#160; {markup(self.session.state)}</tspan></text>'
        )
        if self.summary.elapsed is not None:
            yield (
                f'<text x="{width - MARGIN}" y="24" fill="{QUIET}" text-anchor="end">'
                f"{markup(duration_text(self.summary.elapsed))}</text>"
            )
        yield from self._counts(width, note)

    def _counts(self, width: int, note: str) -> Iterator[str]:
        counts = [(state, self.summary.tasks.get(state, 0)) for state in _ORDER]
        counts = [(state, count) for state, count in counts if count]
        total = sum(count for _, count in counts)
        parts = [f"{_many(total, 'task')}, {_many(self.summary.objects, 'object')}"]
        parts += [note] if note else []
        yield f'<text x="{MARGIN}" y="42" fill="{QUIET}">{markup(" · ".join(parts))}</text>'
        words = [f"{_mark(LOOKS[state])} {count} {LOOKS[state].word}" for state, count in counts]
        room = width - 2 * MARGIN - text_width(" · ".join(parts)) * ROOM
        if sum(text_width(word) * ROOM + CHIP_GAP for word in words) > room:
            words = [f"{_mark(LOOKS[state])} {count}" for state, count in counts]
        chips = [
            f'<tspan fill="{LOOKS[state].line}">{word}</tspan>' for (state, _), word in zip(counts, words, strict=True)
        ]
        yield f'<text x="{width - MARGIN}" y="42" text-anchor="end">{" &#160; ".join(chips)}</text>'
        yield from _bar(counts, MARGIN, 50, width - 2 * MARGIN)

    def _legend(self, width: int, top: int) -> tuple[list[str], int]:
        """Shapes and states that occur, on as many lines as it takes; and the height."""
        entries = [*self._shapes(), *self._states()]
        out = []
        x, y = MARGIN, top + 8
        for shape, word in entries:
            size = round(27 + text_width(word, 10) * 1.1 + 12)
            if x > MARGIN and x + size > width - MARGIN:
                x, y = MARGIN, y + LEGEND_LINE
            out.append(f'<g transform="translate({x} {y})">{shape}<text x="27" y="3.5">{markup(word)}</text></g>')
            x += size
        if not out:
            return [], 0
        return [f'<g font-size="10" fill="{QUIET}">', *out, "</g>"], y + LEGEND_LINE - 8 - top

    def _shapes(self) -> Iterator[tuple[str, str]]:
        line = f'fill="{GROUND}" stroke="{QUIET}"'
        kinds = {node.kind for node, _ in self.nodes}
        if "task" in kinds:
            yield f'<ellipse cx="11" rx="11" ry="6" {line}/>', "task"
        if "object" in kinds:
            yield f'<rect y="-6" width="22" height="12" {line}/>', "object"
        if any(self._status(node).kept for node, _ in self.nodes):
            yield (
                f'<rect y="-7" width="22" height="14" {line}/><rect x="2.5" y="-4.5" width="17" height="9" {line}/>',
                "kept",
            )
        if "group" in kinds:
            yield f'<path d="M4 -4V-7H22V4H18" {line}/><rect y="-4" width="18" height="11" rx="2" {line}/>', "group"

    def _states(self) -> Iterator[tuple[str, str]]:
        seen = set()
        for node, _ in self.nodes:
            status = self._status(node)
            seen |= {state for state, _ in _shown_counts(status)} if node.kind == "group" else {_state(status)}
        alike: dict[tuple[str, str, str], list[str]] = {}
        for state in _ORDER:
            if state in seen:
                look = LOOKS[state]
                alike.setdefault((look.fill, look.line, _mark(look)), []).append(look.word)
        for (fill, line, mark), words in alike.items():
            yield (
                f'<rect x="2" y="-8" width="18" height="16" rx="3" fill="{fill}" stroke="{line}"/>'
                f'<text x="11" y="3.5" fill="{line}" text-anchor="middle">{mark}</text>',
                " or ".join(words),
            )

    # -- the graph --------------------------------------------------------------------------------
    def _graph(self, left_out: frozenset[str]) -> Iterator[str]:
        yield from self._frames()
        if "arcs" not in left_out:
            yield from self._arcs("labels" not in left_out)
        shapes = sorted(self.nodes, key=lambda item: _ORDER.index(_state(self._status(item[0]))))
        for state, items in groupby(shapes, lambda item: _state(self._status(item[0]))):
            look = LOOKS[state]
            bold = ' stroke-width="2"' if state == "failed" else ""
            yield f'<g fill="{look.fill}" stroke="{look.line}"{bold}>'
            for node, box in items:
                yield self._shape(node, box, "tips" not in left_out)
            yield "</g>"
        if "texts" not in left_out:
            yield '<g text-anchor="middle" pointer-events="none">'
            yield from self._texts()
            yield "</g>"
        yield from self._group_counts("texts" not in left_out)

    def _frames(self) -> Iterator[str]:
        boxes = self.geometry.frames
        frames = [(frame, boxes[frame.key]) for frame in self.topology.frames if frame.key in boxes]
        if not frames:
            return
        frames.sort(key=lambda item: -item[1].width * item[1].height)  # outer ones first
        yield f'<g fill="{FRAME_FILL}" stroke="{FRAME_LINE}">'
        for _, box in frames:
            yield f'<rect x="{box.x}" y="{box.y}" width="{box.width}" height="{box.height}" rx="6"/>'
        yield f'</g><g font-size="{SMALL_SIZE + 1}" font-weight="bold" fill="{QUIET}">'
        for frame, box in frames:
            label = _fitting(frame.written, SMALL_SIZE + 1, box.width - 12)
            yield f'<text x="{box.x + 8}" y="{box.y + 13}">{markup(label)}</text>'
        yield "</g>"

    def _arcs(self, labels: bool) -> Iterator[str]:
        drawn = [curve for curve in self.geometry.arcs if self._has(curve.tail) and self._has(curve.head)]
        if not drawn:
            return
        lines, heads = [], []
        for curve in drawn:
            points = [int(number) for number in _NUMBER.findall(curve.path)]
            lines.append(_short_path(points))
            heads.append(_arrow(*points[-4:]))
        yield f'<path d="{"".join(lines)}" fill="none" stroke="{ARC}"/><path d="{"".join(heads)}" fill="{ARC}"/>'
        if labels:
            yield (
                f'<g font-size="{SMALL_SIZE}" fill="{QUIET}" text-anchor="middle" stroke="{GROUND}" stroke-width="3" '
                'stroke-linejoin="round" paint-order="stroke" pointer-events="none">'
            )
            yield from self._arc_labels(drawn)
            yield "</g>"

    def _status(self, node: AnyNode) -> Status:
        return self.status.get(node.key, _UNKNOWN)

    def _has(self, key: str) -> bool:
        return key in self.geometry.nodes

    def _arc_labels(self, drawn: Iterable[Curve]) -> Iterator[str]:
        """Labels of the arcs; between the same nodes in the order of the topology."""
        waiting: dict[tuple[str, str], list[str]] = {}
        for arc in reversed(self.topology.arcs):
            waiting.setdefault((arc.tail, arc.head), []).append(arc.text)
        for curve in drawn:
            texts = waiting.get((curve.tail, curve.head))
            if texts and (text := texts.pop()):
                yield f'<text x="{curve.x}" y="{curve.y}">{markup(text)}</text>'

    def _shape(self, node: AnyNode, box: Box, tips: bool) -> str:
        x, y, width, height = box.x, box.y, box.width, box.height
        status = self._status(node)
        tip = f"<title>{markup(self._tip(node, status))}</title>" if tips else ""
        if node.kind == "task":
            shape, more = f'ellipse cx="{x}" cy="{y}" rx="{width // 2}" ry="{height // 2}"', ""
        else:
            left, top = x - width // 2, y - height // 2
            rx, more = "", ""
            if node.kind == "group":
                rx = ' rx="5"'
                more = f'<rect x="{left + STACK}" y="{top}" width="{width - STACK}" height="{height - STACK}"{rx}/>'
                top, width, height = top + STACK, width - STACK, height - STACK
            elif status.kept:
                more = _outline(left - 3, top - 3, width + 6, height + 6)
            shape = f'rect x="{left}" y="{top}" width="{width}" height="{height}"{rx}'
        return more + (f"<{shape}>{tip}</{shape.partition(' ')[0]}>" if tip else f"<{shape}/>")

    def _tip(self, node: AnyNode, status: Status) -> str:
        """What is shown on hovering: in full what the label only has room to shorten."""
        words = [shortened(node.label, ERROR_CHARS_MAX)]
        if node.kind == "group":
            words += [f"{count} {LOOKS[state].word}" for state, count in _shown_counts(status)]
        else:
            words.append(LOOKS[_state(status)].word)
        words += [
            "stale" if status.stale else "",
            status.took or "",
            status.size or "",
            shortened(status.error or "", ERROR_CHARS_MAX),
        ]
        return ", ".join(word for word in words if word)

    def _texts(self) -> Iterator[str]:
        for node, box in self.nodes:
            label = _fitting(node.written, FONT_SIZE, box.width - 24)
            if node.kind == "group":
                yield f'<text x="{box.x - STACK // 2}" y="{box.y - 6}" font-weight="bold">{markup(label)}</text>'
                continue
            look = LOOKS[_state(self._status(node))]
            mark = f'<tspan fill="{look.line}">{_mark(look)}</tspan>'
            yield f'<text x="{box.x}" y="{box.y + 4}">{mark} {markup(label)}</text>'

    def _group_counts(self, texts: bool) -> Iterator[str]:
        for node, box in self.nodes:
            if node.kind != "group":
                continue
            x, y, width, height = box.x - STACK // 2, box.y + STACK // 2, box.width - STACK, box.height - STACK
            shown = _shown_counts(self._status(node))
            yield from _bar(shown, x - width // 2 + 10, y + height // 2 - 11, width - 20)
            if texts:
                words = [
                    f'<tspan fill="{LOOKS[state].line}">{_mark(LOOKS[state])} {count}</tspan>' for state, count in shown
                ]
                text = " &#160;".join(words)
                yield f'<text x="{x}" y="{y + 7}" font-size="{SMALL_SIZE}" text-anchor="middle">{text}</text>'


# -- pieces ---------------------------------------------------------------------------------------
def _state(status: Status) -> str:
    return status.state if status.state in LOOKS else NEW


def _shown_counts(status: Status) -> list[tuple[str, int]]:
    """How many of a group are in which state."""
    counts = status.counts or {}
    return [(state, counts[state]) for state in _ORDER if counts.get(state)]


def _mark(look: Look) -> str:
    # Without the selector some systems draw it as a coloured picture.
    return look.mark + "\ufe0e" if look.mark == "▶" else look.mark


def _fitting(text: str, size: float, width: float) -> str:
    """As much of the text as there is room for; the middle is left out."""
    if text_width(text, size) <= width:
        return text
    chars = max(2, int(len(text) * width / text_width(text, size)))
    return shortened(text, chars)


def _outline(x: int, y: int, width: int, height: int) -> str:
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="none"/>'


def _bar(counts: list[tuple[str, int]], x: int, y: int, width: int) -> Iterator[str]:
    """How many are in which state, as shares of a line."""
    total = sum(count for _, count in counts)
    at = 0.0
    for state, count in counts:
        share = count / total * width
        left, right = x + round(at), x + round(at + share)
        at += share
        wide, fill = max(right - left, 1), LOOKS[state].line
        yield f'<rect x="{left}" y="{y}" width="{wide}" height="{BAR_HEIGHT}" fill="{fill}"/>'


def _short_path(points: list[int]) -> str:
    """A Bézier curve in few characters: steps instead of places, and straight lines where it is one."""
    x, y = points[:2]
    words = [f"M{x} {y}"]
    for n in range(2, len(points), 6):
        if points[n] == points[n + 2] == points[n + 4] == x:
            words.append(f"V{points[n + 5]}")
        else:
            steps = [number - (y if place % 2 else x) for place, number in enumerate(points[n : n + 6])]
            words.append("c" + " ".join(map(str, steps)).replace(" -", "-"))
        x, y = points[n + 4 : n + 6]
    return "".join(words)


def _arrow(from_x: int, from_y: int, x: int, y: int) -> str:
    """The head of an arc whose last handle and end are given."""
    dx, dy = x - from_x, y - from_y
    length = (dx * dx + dy * dy) ** 0.5 or 1
    back_x, back_y = -6 * dx / length, -6 * dy / length
    side_x, side_y = -2.8 * dy / length, 2.8 * dx / length
    if not dx and dy > 0:
        return f"M{x},{y}l-3-6h6z"
    return f"M{x},{y}l{back_x + side_x:.1f},{back_y + side_y:.1f} {-2 * side_x:.1f},{-2 * side_y:.1f}z"
