"""Bugs to plant in what the server does with families, as those of `tests.sim.mutants`."""

from __future__ import annotations

from tests.sim.mutants import Mutant


def _server(name: str, module: str, old: str, new: str) -> Mutant:
    return Mutant(name, f"rain.server.{module}", old, new)


FAMILY_MUTANTS = [
    _server(
        "a member has the arguments of its neighbour",
        "records.family",
        "spec = member_spec(self.spec, place, self.args[place])",
        "spec = member_spec(self.spec, place, self.args[place - 1])",
    ),
    _server(
        "a range has the arguments of another",
        "core.reporting.updates",
        "family.args[start : members.stop], rank",
        "family.args[: members.stop - start], rank",
    ),
    _server(
        "what members made stands at the wrong place",
        "core.lifecycle.families",
        "family.keep_data(at, start, data, column.checksums, column.info)",
        "family.keep_data(at, 0, data, column.checksums, column.info)",
    ),
    _server(
        "a member's data are those of the first",
        "records.family",
        "location = Inline(self.data[at][place], ",
        "location = Inline(self.data[at][0], ",
    ),
    _server(
        "what has a record of its own is taken by the run",
        "core.lifecycle.families",
        "    if states.startswith(bytes((code,)) * count, start):\n",
        "    if states[start] == code:\n",
    ),
    _server(
        "what is given back stays where it was",
        "core.lifecycle.families",
        "            family.states[members.start : members.stop] = bytes((FREE,)) * (members.stop - members.start)\n",
        "",
    ),
    _server(
        "members of a lost governor stay there",
        "core.lifecycle.recovery",
        "    graph.take_members(governor)\n",
        "",
    ),
    _server(
        "what is given back is not offered again",
        "core.lifecycle.families",
        "            state.offer_members(members)\n",
        "",
    ),
    _server(
        "inputs are needed by one member alone",
        "core.lifecycle.submit",
        "        obj.needs += family.waiting\n",
        "        obj.needs += 1\n",
    ),
    _server(
        "inputs are never let go",
        "core.lifecycle.families",
        "        obj.needs -= count\n",
        "",
    ),
    _server(
        "what is kept of members is let go",
        "core.lifecycle.families",
        "        if at in kept:\n",
        "        if at not in kept:\n",
    ),
    _server(
        "of the members of a run that have finished the last is not told",
        "core.lifecycle.families",
        "FamilyUpdate(told.first, stride, count, FINISHED,",
        "FamilyUpdate(told.first, stride, count - 1, FINISHED,",
    ),
    _server(
        "a client that is behind is told nothing of members",
        "core.reporting.updates",
        "            client.held_families += [(session, one) for one in families[place:]]\n",
        "",
    ),
    _server(
        "queued members are passed over",
        "records.family",
        "        self.start = end\n        return None if free < 0 else free\n",
        "        self.start = end + 1\n        return None if free < 0 else free\n",
    ),
    _server(
        "a ready member with a record is never given",
        "records.family",
        "            if task is not None and task.placement is QUEUED:\n",
        "            if False:\n",
    ),
    _server(
        "members of a session that ended stay queued",
        "core.sessions",
        "        family.estimate.queued -= free\n",
        "",
    ),
    _server(
        "a share of a session that ended stays",
        "core.sessions",
        "        graph.unassign_members(family, governor, family.states.count(code))\n",
        "",
    ),
    _server(
        "numbers of finished members may be used again",
        "core.lifecycle.families",
        "    session.release_run(first, stride, count, RELEASED_TASK)\n",
        "",
    ),
    _server(
        "a member that was looked up is lost",
        "records.items",
        "        self.tasks.own[task.id[1]] = task\n",
        "",
    ),
    _server(
        "the books of a governor forget a member that was looked up",
        "records.family",
        "            task.load = self.leave(governor, 1)\n",
        "            self.leave(governor, 1)\n",
    ),
    _server(
        "what is let go of a run is let go of all behind it",
        "records.family",
        '        self.unkept[start:stop] = b"\\1" * (stop - start)\n',
        '        self.unkept[start:] = b"\\1" * (self.count - start)\n',
    ),
]
