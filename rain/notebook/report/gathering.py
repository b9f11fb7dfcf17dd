"""All that a report holds, from a session: what its client knows, what tasks wrote, how its results begin."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable
from importlib import metadata
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from rain import __version__
from rain.client.handles import inside
from rain.client.report.call_text import HIDDEN
from rain.common.errors import RainException
from rain.common.protocol.encoding import safe
from rain.common.state_styles import LOOKS, SEVERITY
from rain.notebook.details import Code, code_of, object_details, task_details, task_link
from rain.notebook.governor_loads import governors_of
from rain.notebook.graph_model import View, queries
from rain.notebook.graph_model.table import ROWS_MAX, table
from rain.notebook.graph_model.timeline import PIXELS_MAX, timeline
from rain.notebook.plain_forms import viewed
from rain.notebook.protocol.details import Details, Link
from rain.notebook.protocol.lookups import Governors, TaskRow
from rain.notebook.protocol.report import Preview, Report, Version
from rain.notebook.report.lives import Lives
from rain.notebook.report.outputs import outputs_of
from rain.notebook.report.previews import previews_of
from rain.notebook.report.redaction import Secrets
from rain.notebook.report.scenes import Scenes

if TYPE_CHECKING:
    from rain.client.session import Session

LINKS_MAX = 50
"""Users of an object that are listed."""
ERROR_CHARS_MAX = 20_000
"""Of one task."""
_NO_DATA = "The data of this object are not in the report."


def gathered(session: Session, packages: Iterable[str], seconds: float) -> tuple[Report, Secrets]:
    """What the file of a report holds, and what must be hidden in its texts.

    Parameters
    ----------
    session : Session
    packages : iterable of str
        Names of distributions whose versions are told.
    seconds : float
        How long server and governors may take to answer.
    """
    now = time.time()
    view, tasks = viewed(session, now)
    deadline = time.monotonic() + seconds
    governors, notes = _governors(session, deadline)
    outputs, output_note = outputs_of(session, tasks, deadline) if not notes else ({}, "")
    previews, preview_note = previews_of(session, view, deadline) if not notes else ({}, "")
    whole = not notes and not output_note
    notes += filter(None, (output_note, preview_note))
    lives, scenes = Lives(view, now), Scenes(view, now)
    if scenes.left_out:
        notes.append(f"{scenes.left_out} groups are not drawn opened; the table lists their tasks.")
    report = Report(
        made=now,
        versions=_versions(packages),
        notes=notes,
        session=view.session,
        looks=LOOKS,
        severity=list(SEVERITY),
        summary=replace(scenes.summary, elapsed=lives.ended - lives.began, remaining=None, ticking=False),
        began=lives.began,
        length=max(1, round((lives.ended - lives.began) * 1e6)),
        lives=dict(lives.all()),
        scenes=scenes.scenes,
        status=scenes.status,
        members=scenes.members,
        rows=_rows(view),
        details=_details(session, view, previews),
        outputs=outputs,
        outputs_whole=whole,
        previews=previews,
        timeline=timeline(view, None, None, PIXELS_MAX, now),
        critical=queries.longest_chain(view, now),
        governors=governors,
    )
    given = [record.spec.options.env for record in tasks if record.spec.options is not None]
    return report, Secrets(os.environ, given, _tokens(session))


def encoded(report: Report, secrets: Secrets) -> bytes:
    """The report as JSON, without the secrets."""
    data = _json(report)
    if not secrets.are_in(data):
        return data
    parts: dict[str, Any] = {}
    for name in report.__struct_fields__:
        part = getattr(report, name)
        if isinstance(part, dict):
            parts[name] = {key: _without(one, secrets) for key, one in part.items()}
        elif isinstance(part, list):
            parts[name] = [_without(one, secrets) for one in part]
        else:
            parts[name] = _without(part, secrets)
    return msgspec.json.encode(parts)


def _without(part: Any, secrets: Secrets) -> msgspec.Raw:
    """A part as JSON; most have no secrets in them, and to look for one is quick."""
    data = _json(part)
    return msgspec.Raw(_json(secrets.hide_all(part)) if secrets.are_in(data) else data)


def _json(value: Any) -> bytes:
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:  # file names and outputs may have what no encoding has
        return msgspec.json.encode(safe(msgspec.to_builtins(value)))


def _governors(session: Session, deadline: float) -> tuple[Governors, list[str]]:
    """The server's governors, and what stands in the way of asking for more."""
    client = session.client
    if client is None:
        return Governors("", "", False, []), ["The session is detached: nothing has run, and there is no server."]
    if not session.active:
        text = "The session was over when the report was made: what tasks wrote and the data of objects were gone."
        return Governors(client.address, "", False, []), [text]
    try:
        return governors_of(client, max(0.0, deadline - time.monotonic())), []
    except (RainException, TimeoutError) as error:
        text = (
            f"The server did not answer ({error or 'timeout'}): what tasks wrote and the data of objects are left out."
        )
        return Governors(client.address, "", False, []), [text]


def _tokens(session: Session) -> list[str]:
    """What opens the server."""
    if session.client is None:
        return []
    credentials = inside(session).connection.link.credentials
    return [credentials.token("client"), credentials.token("client").partition("-")[2]]


def _versions(packages: Iterable[str]) -> list[Version]:
    """Rain's, Python's, the system's, and those of packages."""
    found = [
        Version("Rain", __version__),
        Version("Python", f"{platform.python_version()} ({platform.python_implementation()})"),
        Version("System", f"{platform.system()} {platform.release()}, {platform.machine()}"),
    ]
    for name in packages:
        try:
            found.append(Version(name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            found.append(Version(name, "not installed where the report was made"))
    return found


def _rows(view: View) -> list[TaskRow]:
    rows: list[TaskRow] = []
    while len(rows) < len(view.tree.tasks):
        rows += table(view, len(rows), ROWS_MAX).rows
    return rows


# -- details ---------------------------------------------------------------------------------------


def _details(session: Session, view: View, previews: dict[str, Preview]) -> dict[str, Details]:
    """What there is to say about each task and object; what would act on them, or says how, is left out."""
    users: dict[int, list[Link]] = {}
    found: dict[str, Details] = {}
    codes: dict[tuple[Any, int], Code] = {}  # the same for many tasks
    for leaf in view.tree.tasks.values():
        for item in leaf.record.spec.inputs:
            listed = users.setdefault(item.id[1], [])
            if len(listed) < LINKS_MAX:
                listed.append(task_link(leaf.record))
        record: Any = leaf.record
        place = (record.made, id(record.source and record.source.function))
        code = codes.get(place) or codes.setdefault(place, code_of(record))
        told = task_details(session, view, leaf, code)
        options = {**told.options, "env": dict.fromkeys(told.options["env"], HIDDEN)} if "env" in told.options else {}
        error = told.error if told.error is None else told.error[:ERROR_CHARS_MAX]
        found[leaf.key] = replace(
            told, options=options or told.options, error=error, hints=[], can_cancel=False, can_retry=False
        )
    for number, obj in view.objects.items():
        key = f"o{number}"
        about = object_details(session, view, obj, users.get(number, []))
        shown = key in previews
        found[key] = replace(about, can_inspect=shown, why_not=None if shown else about.why_not or _NO_DATA)
    return found
