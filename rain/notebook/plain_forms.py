"""Sessions, clients, tasks and data as HTML and text: for saved notebooks, and for front ends that know no widgets."""

from __future__ import annotations

import base64
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rain.client.core.records import ObjectRecord, TaskRecord
from rain.client.handles import inside, record_of, session_of
from rain.client.report import failures
from rain.common.errors import RainException
from rain.common.formatting import duration_text
from rain.common.state_styles import LOOKS
from rain.notebook import stills
from rain.notebook.details import object_facts, why_not_open
from rain.notebook.drawing import svg
from rain.notebook.drawing.layout import layered
from rain.notebook.governor_loads import card_of
from rain.notebook.graph_model import View
from rain.notebook.graph_model.records import title
from rain.notebook.inspectors.static import first_page, text_of_page, title_of
from rain.notebook.places.asking import pools_now
from rain.notebook.protocol.lookups import Card
from rain.notebook.protocol.places import Pools

if TYPE_CHECKING:
    from rain.client.client import Client
    from rain.client.data import DataObject
    from rain.client.session import Session
    from rain.client.task import Task
    from rain.deploy.pools.pool import Pool
    from rain.objects.data_instance import DataInstance

ANSWER_S = 10.0
"""How long the server may take to answer."""
_OF_LATEX = ("image/png", "image/jpeg")
"""Images that stand beside the HTML too, for programs that take none."""
LISTED_MAX = 20
"""Inputs or outputs of a task that are listed."""


def viewed(session: Session, now: float) -> tuple[View, list[TaskRecord]]:
    """A view of all that there is, and its tasks."""
    mirror = inside(session).mirror
    records = list(mirror.records.values())
    tasks = [record for record in records if isinstance(record, TaskRecord)]
    view = View(session.session_id, session.name)
    view.fold(tasks, [record for record in records if isinstance(record, ObjectRecord)], now)
    view.note(mirror.stall.text)
    if mirror.ended is not None:
        view.end(mirror.ended.word, mirror.ended.text)
    return view, tasks


def html_of_session(session: Session) -> str:
    """The graph of a session as it is now."""
    now = time.time()
    view, _ = viewed(session, now)
    told = view.snapshot(now)
    picture = svg.picture(told.topology, told.status, told.summary, told.session, layered(told.topology))
    return stills.picture(picture, svg.text_line(told.session, told.summary), stills.as_of(now))


def html_of_client(client: Client) -> str:
    """Where a client is connected, its governors and sessions."""
    try:
        info = card_of(client, ANSWER_S)
    except (RainException, TimeoutError) as error:
        info = Card(client.address, "", "", str(error))
    return stills.card(info, stills.as_of(time.time()), pools_now(client.pools, ANSWER_S))


def html_of_pools(pools: Sequence[Pool]) -> str:
    """Pools on engines, and what their places are doing."""
    return stills.pools(pools_now(pools, ANSWER_S), stills.as_of(time.time()))


def text_of_pools(places: Pools) -> str:
    """Pools on engines in some lines."""
    lines = []
    for pool in places.pools:
        counts = ", ".join(f"{count} {places.looks[state].word}" for state, count in pool.counts.items())
        lines.append(f"places on {pool.name}: {counts or 'none'}{'; closed' if pool.closed else ''}")
        lines += [f"    {words}" for words in (pool.rules, pool.trouble) if words]
        for box in pool.boxes:
            told = [box.governor, f"until {stills.clock(box.ends_at)}" if box.ends_at else "", box.words, box.cause]
            words = " · ".join(filter(None, told))
            lines.append(f"    {box.number}: {places.looks[box.state].word}{f' ({words})' if words else ''}")
        for fold in pool.folds:
            words = f" ({fold.words})" if fold.words else ""
            lines.append(f"    {fold.count} more: {places.looks[fold.state].word}{words}")
    return "\n".join(lines) or "no pools"


# -- tasks -----------------------------------------------------------------------------------------


def html_of_task(task: Task) -> str:
    """A task: state, times, inputs and outputs, what went wrong."""
    record = record_of(task)
    info = record.info
    facts = [("task", f"{record.spec.id}, {record.spec.task_type}")]
    if info is not None and info.duration is not None:
        facts.append(("took", duration_text(info.duration)))
    if info is not None and info.governor:
        facts.append(("on", info.governor))
    if info is not None and info.attempts > 1:
        facts.append(("attempts", str(info.attempts)))
    for word, items in (("input", task.inputs), ("output", task.outputs)):
        listed = list(items.items())
        facts += [(f"{word} {label or n}", repr(item)) for n, (label, item) in enumerate(listed[:LISTED_MAX])]
        if len(listed) > LISTED_MAX:
            facts.append((f"{word}s", f"… and {len(listed) - LISTED_MAX} more"))
    said = "" if record.error is None else failures.reason(record.error).strip()
    return stills.facts(title(record), LOOKS[record.shown], facts, said)


def text_of_task(task: Task) -> str:
    """A task in some lines."""
    lines = [repr(task)]
    info = task.info
    if info is not None:
        parts = [
            f"{info.duration:.3g} s" if info.duration is not None else "",
            f"on {info.governor}" if info.governor else "",
            f"{info.attempts} attempts" if info.attempts > 1 else "",
        ]
        if any(parts):
            lines.append("    " + " ".join(part for part in parts if part))
    for word, items in (("in: ", task.inputs), ("out:", task.outputs)):
        lines += [f"    {word} {label or index}  {item!r}" for index, (label, item) in enumerate(items.items())]
    error = record_of(task).error
    if error is not None:
        lines.append("    " + failures.reason(error).strip().replace("\n", "\n    "))
    return "\n".join(lines)


# -- data ------------------------------------------------------------------------------------------


def html_of_object(obj: DataObject) -> str:
    """How the data of an object begin; what is known of it, if they are not there."""
    record = record_of(obj)
    why_not = why_not_open(session_of(obj), record)
    if why_not is None:
        try:
            return html_of_instance(session_of(obj)._peek(obj, ANSWER_S))
        except (RainException, TimeoutError) as error:
            why_not = str(error)
    known = object_facts(record)
    facts = [("object", known.id or ""), ("content", known.content_type or known.data_type or ""), ("size", known.size)]
    if known.maker is not None:
        facts.append(("made by", known.maker.title))
    facts = [(name, text) for name, text in facts if text]
    return stills.facts(known.title, LOOKS[record.shown], [*facts, ("", why_not)], "")


def html_of_instance(instance: DataInstance) -> str:
    """How a data instance begins."""
    html: str = still_of(instance)["text/html"]
    return html


def still_of(instance: DataInstance) -> dict[str, Any]:
    """How a data instance begins, as HTML and as text."""
    title, (page, pieces) = title_of(instance), first_page(instance)
    text = text_of_page(title, page)
    still = {"text/html": stills.instance(title, page, pieces, text), "text/plain": text}
    image = stills.image_of(page, pieces)
    if image is not None and image[0] in _OF_LATEX:
        still[image[0]] = base64.b64encode(image[1]).decode("ascii")
    return still
