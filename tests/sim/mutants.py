"""Bugs to plant in the cores: the simulator has to find each of them, or it is decoration."""

from __future__ import annotations

import importlib
import pathlib
import types
from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """One bug: in `module`, `old` (which stands there once) becomes `new`."""

    name: str
    module: str
    old: str
    new: str


def _server(name: str, module: str, old: str, new: str) -> Mutant:
    return Mutant(name, f"rain.server.core.{module}", old, new)


def _governor(name: str, module: str, old: str, new: str) -> Mutant:
    return Mutant(name, f"rain.governor.core.{module}", old, new)


def _client(name: str, module: str, old: str, new: str) -> Mutant:
    return Mutant(name, f"rain.client.core.{module}", old, new)


MUTANTS = [
    _server(
        "what was taken over and is not wanted stays",
        "lifecycle.succession",
        "            drop_at(governor, kept.id)\n",
        "            pass\n",
    ),
    _server(
        "what was taken over of sessions that ended stays",
        "lifecycle.succession",
        "    governor.ends += sorted(ended)\n",
        "",
    ),
    _server(
        "a governor with the objects of a session does not know of its end",
        "lifecycle.succession",
        "        open_session_on(state, session, governor)\n        obj = ",
        "        obj = ",
    ),
    _server(
        "those that wait for what is there again wait on",
        "lifecycle.succession",
        "        wake(state, obj)\n",
        "",
    ),
    _server(
        "what need not be made again is made all the same",
        "lifecycle.succession",
        "        _need_not_run(state, task, absences)\n",
        "        pass\n",
    ),
    _governor(
        "all stays in the store when the conversation is over",
        "given_up.forgetting",
        "    state.out.append(KeepNoted([id for session in followed.values() for id in session.objects]))\n",
        "",
    ),
    _governor(
        "what is said while there is no server is taken for told",
        "reporting.outbox",
        "    if state.away:\n        return\n",
        "",
    ),
    _governor(
        "what the server does not know to be there stays",
        "given_up.returning",
        "        _let_go(state, noted.union(unheard))\n",
        "        pass\n",
    ),
    _server(
        "what may run once is given to others while its governor may come back",
        "lifecycle.recovery",
        "                absence.held[task] = text\n",
        "",
    ),
    Mutant(
        "what a governor has when it registers again is not told",
        "tests.sim.governor",
        "for known, _, file in taken.objects])",
        "for known, _, file in taken.objects if not own or self.previews.random() < 0.5])",
    ),
    _governor(
        "what was taken over is not dropped before it was read",
        "objects",
        "    if obj.presence in IN_STORE or obj.unread:\n        if obj.ours",
        "    if obj.presence in IN_STORE:\n        if obj.ours",
    ),
    _governor(
        "what was taken over is given to tasks unread",
        "given_up.returning",
        "            obj.presence = Presence.KNOWN\n            obj.unread = True\n",
        "            obj.presence = Presence.PRESENT\n",
    ),
    _governor(
        "the server does not learn that what was taken over is damaged",
        "tasks",
        "    if obj.unread and not lose_unread(state, obj, event.reason):\n        return\n",
        "    if obj.unread:\n        return\n",
    ),
    _server(
        "results of cancelled tasks count",
        "lifecycle.attempts",
        "task is None or task.governor is not governor or task.attempt != result.attempt:\n            if governor",
        "task is None:\n            if governor",
    ),
    _server("what is kept is dropped", "lifecycle.attempts", "    if obj.kept or obj.needs:\n", "    if obj.needs:\n"),
    _server(
        "one retry too few", "lifecycle.attempts", "if count <= options.retries and", "if count < options.retries and"
    ),
    _server("one crash too many", "lifecycle.recovery", "if count < CRASHES_MAX and", "if count <= CRASHES_MAX and"),
    _server(
        "what may run once is made again",
        "lifecycle.recovery",
        '        if task.runs_once:\n            text = (\n                f"An output',
        '        if False:\n            text = (\n                f"An output',
    ),
    _server(
        "those that wait elsewhere are not told of new places",
        "objects",
        "            governor.resends.append(obj)\n",
        "            pass\n",
    ),
    _server(
        "a task given meanwhile counts on an old place",
        "lifecycle.recovery",
        "        if used_at(governor, obj):\n            # A task",
        "        if False:\n            # A task",
    ),
    _server(
        "objects are not sent again after their places changed",
        "reporting.updates",
        "if obj.state is OBJ_FINISHED and known.get(obj, STALE) is STALE:",
        "if obj.state is OBJ_FINISHED and obj not in known:",
    ),
    _server(
        "followers stay where nothing is made",
        "lifecycle.settle",
        "if consumer.governor is governor and consumer.placement is FOLLOWER:",
        "if False:",
    ),
    _server(
        "lineage is forgotten",
        "objects",
        "    if any(map(required, task.outputs)):\n        task.retention",
        "    if False:\n        task.retention",
    ),
    _server(
        "consumers of a lost object are not held back",
        "lifecycle.recovery",
        "        task.pending += 1\n",
        "        pass\n",
    ),
    _server("copies are not dropped", "objects", "        governor.drops.append(obj.id)\n", "        pass\n"),
    _server("a session's end is not told", "sessions", "        governor.ends.append(session.id)\n", "        pass\n"),
    _server(
        "a session's end leaves its tasks in the books",
        "sessions",
        "for task in [task for task in governor.assigned if task.session is session]:",
        "for task in ():",
    ),
    _server(
        "dependents do not fail",
        "lifecycle.settle",
        "            for task in obj.waiting():\n                if not task.unsettled:",
        "            for task in ():\n                if not task.unsettled:",
    ),
    _server(
        "news are told once",
        "reporting.updates",
        "        task.update_due = False\n    for obj in objects:\n        by_session",
        "    for obj in objects:\n        by_session",
    ),
    _server(
        "what failed is not held for a retry",
        "lifecycle.settle",
        "    if to is CANCELLED:\n        release_inputs",
        "    if True:\n        release_inputs",
    ),
    _server(
        "a task on several governors starts before all are ready",
        "lifecycle.gangs",
        "if len(gang.ready) == len(gang.members) and first is not None:",
        "if first is not None:",
    ),
    _server(
        "a task goes on without one of its governors",
        "lifecycle.gang_losses",
        "    for id, attempt in list(governor.hosting):",
        "    for id, attempt in ():",
    ),
    _server("ids are used twice", "lifecycle.cut", "or number in session.tasks or", "or"),
    Mutant(
        "governors get what they cannot hold",
        "rain.server.scheduling.estimates",
        "        if units > have:\n            return Room.NONE\n",
        "",
    ),
    Mutant(
        "what is parked and finds no room is forgotten",
        "rain.server.scheduling.locality",
        "        for entry in aside:\n            heapq.heappush(parked, entry)\n",
        "",
    ),
    Mutant(
        "followers follow anybody",
        "rain.server.scheduling.estimates",
        "obj.producer is None or obj.producer.governor is not governor):",
        "obj.producer is None or obj.producer.governor is None):",
    ),
    Mutant(
        "packets that come twice count twice",
        "rain.common.protocol.channel",
        "        if had:\n            del messages[:had]\n",
        "",
    ),
    Mutant(
        "packets that come early are acknowledged",
        "rain.common.protocol.channel",
        "                self._early[first] = messages\n",
        "                self.received = first + len(messages) - 1\n",
    ),
    _governor(
        "cancelled attempts that wait are not answered",
        "commands",
        "            state.stopped.append((task.id, task.attempt))\n        forget",
        "            pass\n        forget",
    ),
    _governor(
        "an input that cannot be had is not reported",
        "tasks",
        "        state.not_copied[obj.id] = event.reason\n    inputs_gone(state, obj, event.reason)\n",
        "        state.not_copied[obj.id] = event.reason\n",
    ),
    _governor(
        "what is in use is dropped",
        "objects",
        "        elif obj.uses:\n            obj.drop, obj.ours = True, False\n",
        "",
    ),
    _governor(
        "an executor stays in a preview for ever",
        "previews",
        "executor.preview_since + PREVIEW_LATE_S",
        "executor.preview_since + 1e9",
    ),
    _governor(
        "executors that run something make previews",
        "previews",
        "executor.idle_since + PREVIEW_REST_S if executor.state is ExecutorState.IDLE else inf",
        "executor.idle_since + PREVIEW_REST_S",
    ),
    _client(
        "a wait does not look again",
        "operations.waits",
        "            yield gate\n        except TimeoutError as error:\n            items",
        "            yield gate\n            return\n        except TimeoutError as error:\n            items",
    ),
    _client(
        "a task that runs again is not waited for",
        "session_mirror",
        "        self.unfinished += 1\n        self.finished -= 1\n",
        "        self.finished -= 1\n",
    ),
    _client(
        "what was submitted is submitted again",
        "operations.submits",
        "        mirror.pending.popleft()\n",
        "        pass\n",
    ),
    _client(
        "what was refused counts as submitted",
        "session_mirror",
        "                if not record.settled:\n                    self.unfinished -= 1\n",
        "",
    ),
    _client(
        "waits go on when their session has ended",
        "sessions",
        "    for gate in gates:\n        core.over(gate)\n",
        "",
    ),
    _client(
        "requests go on when the server is lost",
        "requests",
        "        core.over(request, None, error)\n",
        "        pass\n",
    ),
    _client(
        "what the server refused to keep counts as kept",
        "operations.keeps",
        "                record.kept = False\n            mirror.note(records)\n\n    try",
        "                pass\n            mirror.note(records)\n\n    try",
    ),
    _client(
        "a session that was given up stays open",
        "sessions",
        "    if core.connected:\n        ask_in_pieces",
        "    if False:\n        ask_in_pieces",
    ),
    _client("a reply that comes twice counts twice", "requests", "    del core.requests[message.request]\n", ""),
    _client(
        "failures are told twice",
        "operations.waits",
        "            mirror.untold.clear()\n            root",
        "            root",
    ),
    _client(
        "failures are not told",
        "session_mirror",
        "self.untold[update.id[1]] = self.wave.failed[update.id[1]] = task\n",
        "self.wave.failed[update.id[1]] = task\n",
    ),
    _client(
        "items that ended come again",
        "operations.completions",
        "self._waiting.pop(gate.done.popleft(), ())",
        "self._waiting.get(gate.done.popleft(), ())",
    ),
    _client(
        "a count of governors wakes nobody",
        "operations.governors",
        "    for waiting in ready:\n        core.over(waiting)\n",
        "",
    ),
    _client(
        "updates open no gates",
        "sessions",
        "    for gate in mirror.fold(message.tasks, message.objects):\n        core.over(gate)\n    if message.stalled",
        "    mirror.fold(message.tasks, message.objects)\n    if message.stalled",
    ),
    _client(
        "what an earlier client knew is not taken over",
        "restoring",
        "        mirror.fold(piece.states, piece.object_states)\n",
        "        pass\n",
    ),
    _client(
        "functions of a retry are submitted again",
        "operations.retries",
        "        mirror.pending.remove(record)\n",
        "        pass\n",
    ),
    _client(
        "the functions of a retry do not stay",
        "operations.retries",
        "            task.spec.function = id\n",
        "            pass\n",
    ),
    _client(
        "where lost data are is not asked again",
        "operations.locating",
        "data = found if found is not None else (yield from find_again(core, mirror, record))",
        "data = found",
    ),
    _client(
        "what could not be read is not looked for again",
        "operations.reading",
        "            data = yield from find_again(core, mirror, record, refused)\n",
        "            pass\n",
    ),
    _client(
        "items that are not finished are looked for again at once",
        "operations.locating",
        "        if state is not DataObjectState.FINISHED:\n            yield from wait(mirror, [record])\n",
        "        if state is not DataObjectState.FINISHED:\n            raise AssertionError(record)\n",
    ),
    _server(
        "departures are charged",
        "lifecycle.recovery",
        "    charged = governor.leaving is None\n",
        "    charged = True\n",
    ),
    _server(
        "what others hold that leave too counts as safe",
        "lifecycle.departure",
        "return all(holder.leaving is not None for holder in obj.holders())",
        "return len(obj.holders()) == 1",
    ),
    _server(
        "what may run once and was ended by a departure runs again",
        "lifecycle.attempts",
        "        elif task.runs_once and not never_started:\n            text = (\n",
        "        elif False:\n            text = (\n",
    ),
    _governor(
        "what has not begun stays with a leaver",
        "departure",
        "            if task.phase in NOT_STARTED:\n",
        "            if False:\n",
    ),
    _governor(
        "a copy is given up with the task that wanted the object too",
        "objects",
        "    elif obj.copy:\n        return\n",
        "",
    ),
    _governor(
        "what died of SIGTERM fails although its governor leaves",
        "departure",
        "        for task in list(state.held):\n            lose(state, task)\n",
        "",
    ),
    Mutant(
        "what members made unheard is told as what tasks made",
        "rain.governor.results",
        "            found.families = [*found.families, *message.families]\n",
        "            found.results += [one for family in message.families for one in results(family)]\n",
    ),
]


def mutated(mutant: Mutant) -> str:
    """The module's source with the bug.

    Raises
    ------
    ValueError
        If the text to be changed is not there exactly once.
    """
    module = importlib.import_module(mutant.module)
    assert module.__file__ is not None
    source = pathlib.Path(module.__file__).read_text()
    if source.count(mutant.old) != 1:
        raise ValueError(f"{mutant.name}: the text is {source.count(mutant.old)} times in {mutant.module}")
    return source.replace(mutant.old, mutant.new)


def plant(mutant: Mutant) -> None:
    """Change the code of this process, for good.

    The functions stay the same objects, so that whoever imported one has the bug too.
    """
    module = importlib.import_module(mutant.module)
    changed = types.ModuleType(mutant.module)
    changed.__file__ = module.__file__
    exec(compile(mutated(mutant), str(module.__file__), "exec"), changed.__dict__)
    _take_code(module.__dict__, changed.__dict__, mutant.module)


def _take_code(old: dict[str, object], new: dict[str, object], module: str) -> None:
    for name, value in list(new.items()):
        before = old.get(name)
        if isinstance(value, types.FunctionType) and isinstance(before, types.FunctionType):
            if value.__module__ == module:
                before.__code__ = value.__code__
        elif isinstance(value, type) and isinstance(before, type) and value.__module__ == module:
            _take_code(dict(vars(before)), dict(vars(value)), module)
