"""The check itself: look, ask the governors, judge."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rain.client.core.operations import questions
from rain.client.core.records import ObjectRecord, TaskRecord
from rain.client.functions.function import Source
from rain.client.functions.function_snapshot import HoldsFunction
from rain.client.handles import Handle, inside, record_of
from rain.client.operations.operation import Operation
from rain.client.preflight.asking import ask
from rain.client.preflight.gathering import Gathering
from rain.client.preflight.judging import Cluster, There, problems_of, wanted_of
from rain.client.preflight.report import CheckReport
from rain.client.program import Program
from rain.common.limits import CHECK_GOVERNORS_MAX
from rain.common.protocol.messages import ServerBrief

if TYPE_CHECKING:
    from rain.client.session import Session


def check(session: Session, items: Sequence[Any], raise_on_failure: bool) -> Operation[CheckReport]:
    """Look at items, or at all that is built and not submitted."""
    gathering = Gathering()
    if items:
        for place, item in enumerate(items, 1):
            _look(session, gathering, item, place)
    else:
        gathering.pending(list(inside(session).mirror.pending))
    cluster, asked = None, "no governor was asked, since the session is detached"
    if session.client is not None:
        cluster, asked = yield from _cluster(session, gathering)
    tasks = f"{gathering.tasks} task{'s' * (gathering.tasks != 1)}"
    looked = ", ".join([*([tasks] if gathering.tasks or not gathering.others else []), *gathering.others])
    report = CheckReport(problems_of(gathering.groups, cluster, session), f"{looked} ({asked})")
    if raise_on_failure:
        report.raise_failures()
    return report


def _look(session: Session, gathering: Gathering, item: Any, place: int) -> None:
    if isinstance(item, list | tuple) and item and all(isinstance(one, Handle) for one in item):
        for one in item:
            _look(session, gathering, one, place)
    elif isinstance(item, Handle):
        record = record_of(item)
        if isinstance(record, ObjectRecord):
            record = record.task
        if isinstance(record, TaskRecord):
            gathering.task(record)
    elif isinstance(item, Program):
        gathering.program(item)
    elif isinstance(item, HoldsFunction):
        held: Any = item
        gathering.function(held._source, held._options)
    elif callable(item):
        gathering.function(Source(item), None)
    else:
        gathering.value(item, place)


def _cluster(session: Session, gathering: Gathering) -> Operation[tuple[Cluster, str]]:
    own = inside(session)
    core = own.connection.core
    brief: ServerBrief = yield from own.connection.drive(questions.server_info(core, brief=True))
    staying = [governor for governor in brief.governors if not governor.leaves]
    chosen = [governor.id for governor in staying[:CHECK_GOVERNORS_MAX]]
    found = yield from ask(session, chosen, wanted_of(gathering.groups))
    governors = [There(one.id, one.resources, found.get(one.id, "it was not asked")) for one in staying[: len(chosen)]]
    grows = core.governors_met > len(staying) or bool(session.client is not None and session.client.pools)
    asked = f"{len(chosen)} of {len(staying)} governors asked" if len(chosen) < len(staying) else _asked(len(chosen))
    return Cluster(governors, platform.python_version(), grows), asked


def _asked(count: int) -> str:
    return "1 governor asked" if count == 1 else f"{count} governors asked"
