"""From what tasks need, and what governors have, to problems. Pure."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from rain.client.preflight.needs import EXECUTOR, FILE, MODULE, PATH, PROGRAM, Group, Tally
from rain.client.preflight.report import FAILURE, WARNING, Problem
from rain.common.protocol.surroundings import Surroundings, Wanted

if TYPE_CHECKING:
    from rain.client.session import Session

_NAMED_MAX = 3


class There(NamedTuple):
    """One governor.

    Attributes
    ----------
    id : str
    resources : mapping of str to float
    found : Surroundings or str
        What is around it; or why it could not be asked.
    """

    id: str
    resources: Mapping[str, float]
    found: Surroundings | str

    def holds(self, resources: Mapping[str, float]) -> bool:
        """Whether it could run a task that asks for these."""
        return all(amount <= self.resources.get(name, 0.0) for name, amount in resources.items())


class Cluster(NamedTuple):
    """The governors, and who asks.

    Attributes
    ----------
    governors : sequence of There
    python : str
        The version here, as 3.11.7.
    grows : bool
        Whether further governors are expected: of pools, or waited for.
    """

    governors: Sequence[There]
    python: str
    grows: bool


def wanted_of(groups: Iterable[Group]) -> Wanted:
    """What is to be asked."""
    keys = list(dict.fromkeys(key for group in groups for key in group.needs))
    return Wanted(
        [name for kind, name, _ in keys if kind == MODULE],
        [(name, path) for kind, name, path in keys if kind == PROGRAM],
        list(dict.fromkeys(name for kind, name, _ in keys if kind in (PATH, FILE))),
        [name for kind, name, _ in keys if kind == EXECUTOR],
    )


def problems_of(groups: Iterable[Group], cluster: Cluster | None, session: Session | None) -> list[Problem]:
    """All problems; without a cluster those that no governor need be asked for."""
    found = []
    for group in groups:
        for said, tally in group.said.items():
            found.append(_problem(group, tally, said.level, said.what, said.cure, session))
        if cluster is not None:
            found += _there(group, cluster, session)
    if cluster is not None:
        for governor in cluster.governors:
            if isinstance(governor.found, str):
                what = f"could not be asked: {governor.found}"
                found.append(Problem(WARNING, what, "check again; nothing is known of it", f"governor {governor.id}"))
    return found


def _problem(group: Group, tally: Tally, level: str, what: str, cure: str, session: Session | None) -> Problem:
    return Problem(level, what, cure, tally.name, group.made, max(1, tally.count), session, tally.first)


def _there(group: Group, cluster: Cluster, session: Session | None) -> list[Problem]:
    able = [governor for governor in cluster.governors if governor.holds(group.resources)]
    if len(able) < group.nodes:
        level = WARNING if cluster.grows else FAILURE
        what, cure = _unsatisfied(group, cluster, len(able))
        return [_problem(group, group.whole, level, what, cure, session)]
    asked = [governor for governor in able if isinstance(governor.found, Surroundings)]
    found = []
    for (kind, name, _), tally in group.needs.items():
        if kind == EXECUTOR and asked:  # tasks go only where their executor is
            having = [governor for governor in asked if not _lacks(governor, EXECUTOR, name, None)]
            if not having:
                what, cure = _no_executor(name, tally.why, asked)
                unsure = cluster.grows or len(asked) < len(able)
                return [_problem(group, tally, WARNING if unsure else FAILURE, what, cure, session)]
            asked = having
    if group.by_value:
        found += _other_pythons(group, asked, cluster, session)
    for (kind, name, path), tally in group.needs.items():
        lacks = _cannot_start if kind == EXECUTOR else _lacks
        without = [governor for governor in asked if lacks(governor, kind, name, path)]
        if without:
            where = _where(without, asked, len(cluster.governors))
            first = without[0].found
            assert isinstance(first, Surroundings)
            what, cure = _missing(kind, name, path, tally.why, where, first)
            found.append(_problem(group, tally, WARNING if kind == PATH else FAILURE, what, cure, session))
    return found


def _lacks(governor: There, kind: str, name: str, path: str | None) -> bool:
    assert isinstance(governor.found, Surroundings)
    without = governor.found.without
    if kind == MODULE:
        return name in without.modules
    if kind == PROGRAM:
        return any((name, path) == (one, where) for one, where in without.programs)
    if kind == EXECUTOR:
        return name in without.executors
    return name in without.paths


def _cannot_start(governor: There, kind: str, name: str, path: str | None) -> bool:
    return isinstance(governor.found, Surroundings) and name in governor.found.no_program


def _missing(kind: str, name: str, path: str | None, why: str, where: str, first: Surroundings) -> tuple[str, str]:
    if kind == MODULE:
        cure = f"install what brings it for the Python of the governors there ({first.python} on {first.host})"
        return f"{why} the module {name!r}, which is not on {where}", cure
    if kind == PROGRAM:
        if os.path.isabs(name):
            return f"{why} {name!r}, which is not on {where}, or cannot be run there", "install it there"
        searched = path if path is not None else first.path
        what = f"{why} {name!r}, which is not on {where}; PATH is {searched}"
        return what, 'install it there, or tell where it is: env={"PATH": ...}, or its absolute path'
    if kind == EXECUTOR:
        program = first.no_program[name]
        what = f"{why}, and {program!r}, the program of the executor {name!r}, is not on {where}"
        return what, f"install it there, or correct the command of [executors.{name}] in the governor's configuration"
    if kind == FILE:
        return f"{why} {name!r}, which is not on {where}", "load it here instead: rain.files(...), rain.directory(...)"
    what = f"{why} {name!r}, which is here but not on {where}"
    return what, "give the file itself, by rain.files(...) or rain.directory(...), or put it where all hosts see it"


def _no_executor(kind: str, why: str, asked: Sequence[There]) -> tuple[str, str]:
    types = sorted({name for one in asked if isinstance(one.found, Surroundings) for name in one.found.executors})
    offered = f"they offer {', '.join(map(repr, types))}" if types else "they offer none"
    what = f"{why}, and no governor that has its resources has an executor {kind!r} ({offered})"
    return what, f"correct TASK_TYPE, or start a governor with it: --config FILE with [executors.{kind}]"


def _where(without: Sequence[There], asked: Sequence[There], there: int) -> str:
    """The governors that lack something, as text.

    Parameters
    ----------
    asked : sequence of There
        Those on which the task can run.
    there : int
        How many governors there are.
    """
    if len(without) == len(asked):
        able = " that can run it" if len(asked) < there else ""
        return f"the only governor{able}" if len(asked) == 1 else f"any of the {len(asked)} governors{able}"
    named = ", ".join(_named(governor) for governor in without[:_NAMED_MAX])
    more = f" and {len(without) - _NAMED_MAX} more" if len(without) > _NAMED_MAX else ""
    return f"{'governor' if len(without) == 1 else 'governors'} {named}{more} ({len(without)} of {len(asked)})"


def _named(governor: There) -> str:
    host = governor.found.host if isinstance(governor.found, Surroundings) else ""
    return f"{governor.id} on {host}" if host else governor.id


def _other_pythons(group: Group, asked: Sequence[There], cluster: Cluster, session: Session | None) -> list[Problem]:
    python = cluster.python

    def minor(version: str) -> list[str]:
        return version.split(".")[:2]

    others = [
        governor
        for governor in asked
        if isinstance(governor.found, Surroundings) and minor(governor.found.python) != minor(python)
    ]
    if not others:
        return []
    first = others[0].found
    assert isinstance(first, Surroundings)
    where = _where(others, asked, len(cluster.governors))
    what = f"its code is sent as that of Python {python}; {where} has Python {first.python}"
    cure = "let both have the same version, or put the function into a module that is installed there"
    return [_problem(group, group.whole, FAILURE, what, cure, session)]


def _unsatisfied(group: Group, cluster: Cluster, able: int) -> tuple[str, str]:
    asks = ", ".join(f"{name}={amount:g}" for name, amount in group.resources.items())
    if not cluster.governors:
        what = "no governor is there"
    elif group.nodes > 1:
        what = f"it asks for {group.nodes} governors with {asks or 'no resources'}; {able} could run it"
    else:
        most = {
            name: max(governor.resources.get(name, 0.0) for governor in cluster.governors) for name in group.resources
        }
        has = ", ".join(f"{name}={amount:g}" for name, amount in most.items())
        what = f"it asks for {asks}, which no governor has; the most that one of them has is {has}"
    if cluster.grows:
        return what, "it waits for further governors; look whether those of your pools will have it"
    return what, "ask for less, or start governors that have it (client.pool, rain start); until then it fails"
