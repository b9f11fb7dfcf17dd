"""All that a report holds, from a session: what its client knows, what tasks wrote, how its results begin."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterable
from importlib import metadata
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from rain import __version__
from rain.client.handles import inside
from rain.client.report.call_text import HIDDEN
from rain.common.errors import RainException
from rain.common.protocol.encoding import encode_json
from rain.common.state_styles import LOOKS, SEVERITY
from rain.common.task_configs import PYTHON, PyConfig, read_config
from rain.notebook.details import code_of, object_details, task_details, task_link
from rain.notebook.governor_loads import governors_of
from rain.notebook.graph_model import View, queries
from rain.notebook.graph_model.table import ROWS_MAX, table
from rain.notebook.graph_model.timeline import PIXELS_MAX, timeline
from rain.notebook.graph_model.tree import TaskLeaf
from rain.notebook.plain_forms import viewed
from rain.notebook.protocol.details import Code, Details, Link
from rain.notebook.protocol.lookups import Governors, TaskRow
from rain.notebook.protocol.report import Preview, Report, Version
from rain.notebook.report.lives import Lives
from rain.notebook.report.outputs import outputs_of
from rain.notebook.report.previews import previews_of
from rain.notebook.report.redaction import Secrets
from rain.notebook.report.scenes import Scenes

if TYPE_CHECKING:
    from rain.client.core.records import TaskRecord
    from rain.client.session import Session

LINKS_MAX = 50
"""Users of an object that are listed."""
ERROR_CHARS_MAX = 20_000
"""Of one task."""
_LINES = msgspec.json.Encoder()
_NO_CODE = Code("", "", None)
"""Stands in the details of a task: many tasks have the same."""
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
    given = [record.spec.options.env for record in tasks if record.spec.options is not None]
    secrets = Secrets(os.environ, given, _tokens(session))
    deadline = time.monotonic() + seconds
    governors, notes = _governors(session, deadline)
    outputs, output_note = outputs_of(session, tasks, deadline, secrets.hide) if not notes else ({}, "")
    previews, preview_note = previews_of(session, view, deadline, secrets.hide) if not notes else ({}, "")
    whole = not notes and not output_note
    notes += filter(None, (output_note, preview_note))
    lives, scenes = Lives(view, now), Scenes(view, now)
    described = _Described(session, view, previews, secrets.hide)
    if scenes.left_out:
        notes.append(f"{scenes.left_out} groups are not drawn opened; the table lists their tasks.")
    report = Report(
        made=now,
        versions=_versions(packages, _seeds(session, tasks)),
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
        details=described.details,
        codes=described.codes,
        code_of=described.code_of,
        outputs=outputs,
        outputs_whole=whole,
        previews=previews,
        timeline=timeline(view, None, None, PIXELS_MAX, now),
        critical=queries.longest_chain(view, now),
        governors=governors,
    )
    return report, secrets


def encoded(report: Report, secrets: Secrets) -> bytes:
    """The report as JSON, without the secrets."""
    parts: dict[str, msgspec.Raw] = {}
    for name in report.__struct_fields__:
        part = getattr(report, name)
        data = encode_json(part)
        if secrets.may_be_in(data):
            data = _looked_through(part, secrets)
        parts[name] = msgspec.Raw(data)
    return msgspec.json.encode(parts)


def _looked_through(part: Any, secrets: Secrets) -> bytes:
    """A part of a report as JSON, without secrets; what has none in it is only encoded."""
    if not isinstance(part, dict | list) or not part:
        return encode_json(secrets.hide_all(part))
    items = list(part.values()) if isinstance(part, dict) else part
    # A line of its own for each, as JSON has no line breaks in texts.
    try:
        lines = _LINES.encode_lines(items).splitlines()
    except UnicodeEncodeError:
        lines = list(map(encode_json, items))
    for number, line in enumerate(lines):
        if secrets.may_be_in(line):
            lines[number] = encode_json(secrets.hide_all(items[number]))
    if isinstance(part, list):
        return b"[" + b",".join(lines) + b"]"
    names = (encode_json(secrets.hide(name)) for name in part)
    return b"{" + b",".join(name + b":" + line for name, line in zip(names, lines, strict=True)) + b"}"


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


def _seeds(session: Session, tasks: Iterable[TaskRecord]) -> str:
    """The seeds with which tasks draw from `rain.rng`, as text; empty if the session was given none."""
    counts: dict[int, int] = {}
    for record in tasks:
        seed = read_config(record.spec.config, PyConfig).seed if record.spec.task_type.startswith(PYTHON) else None
        if seed is not None:
            counts[seed] = counts.get(seed, 0) + 1
    if len(counts) > 1:
        return ", ".join(f"{seed} ({number} task{'s' * (number != 1)})" for seed, number in counts.items())
    return "".join(map(str, counts)) or ("" if session.seed is None else str(session.seed))


def _versions(packages: Iterable[str], seeds: str) -> list[Version]:
    """Rain's, Python's, the system's, and those of packages; and the session's seed: what the same results take."""
    found = [
        Version("Rain", __version__),
        Version("Python", f"{platform.python_version()} ({platform.python_implementation()})"),
        Version("System", f"{platform.system()} {platform.release()}, {platform.machine()}"),
    ]
    if seeds:
        found.append(Version("Seed of rain.rng()", seeds))
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


class _Described:
    """What there is to say about each task and object; what would act on them, or says how, is left out.

    Attributes
    ----------
    details : dict of str to Details
    codes : list of Code
    code_of : dict of str to int
        See `Report`.
    """

    def __init__(self, session: Session, view: View, previews: dict[str, Preview], hide: Callable[[str], str]) -> None:
        self._session, self._view, self._hide = session, view, hide
        self.details: dict[str, Details] = {}
        self.codes: list[Code] = []
        self.code_of: dict[str, int] = {}
        self._numbers: dict[tuple[Any, int], int] = {}
        users: dict[int, list[Link]] = {}
        for leaf in view.tree.tasks.values():
            for item in leaf.record.spec.inputs:
                listed = users.setdefault(item.id[1], [])
                if len(listed) < LINKS_MAX:
                    listed.append(task_link(leaf.record))
            self._task(leaf)
        for number, obj in view.objects.items():
            key = f"o{number}"
            about = object_details(session, view, obj, users.get(number, []))
            shown = key in previews
            self.details[key] = replace(about, can_inspect=shown, why_not=None if shown else about.why_not or _NO_DATA)

    def _task(self, leaf: TaskLeaf) -> None:
        record: Any = leaf.record
        place = (record.made, id(record.source and record.source.function))
        number = self._numbers.get(place)
        if number is None:
            number = self._numbers[place] = len(self.codes)
            self.codes.append(code_of(record))
        self.code_of[leaf.key] = number
        told = task_details(self._session, self._view, leaf, _NO_CODE)
        options = {**told.options, "env": dict.fromkeys(told.options["env"], HIDDEN)} if "env" in told.options else {}
        error = told.error if told.error is None else _cut(self._hide(told.error), ERROR_CHARS_MAX)
        self.details[leaf.key] = replace(
            told, options=options or told.options, error=error, hints=[], can_cancel=False, can_retry=False
        )


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}\n… {len(text) - most} characters left out"
