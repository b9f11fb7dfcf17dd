"""What a seed asks for: graphs whose tasks say how they behave, what each should give, and what goes wrong when.

A task's script is ``[behaviour, salt, bytes, milliseconds]``: outputs are said to be files of so many bytes, with 0
they are small. It is the task's config; of Python tasks it stands for the pickled arguments (`script_of`). Values are
short digests of the config and the inputs' values, so that the serial run that `Graph` makes while it grows knows what
each object must be, wherever and however often it is made.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from random import Random
from typing import Any

import msgspec

from rain.common.ids import ID
from rain.common.location import Inline
from rain.common.protocol.messages import Constant
from rain.common.spec import ObjectSpec, TaskOptions, TaskSpec, TaskSpecInput
from rain.common.task_configs import CONCAT

OK, FAIL, FLAKY, CRASH, POISON, PASS, HANG = "ok", "fail", "flaky", "crash", "poison", "pass", "hang"
MB, GB = 1_000_000, 1_000_000_000
FOR_EVER_MS = 1e9
MEMBER = "member"
"""The name of tasks that may be members of a family."""


def digest(*parts: bytes) -> bytes:
    """A short value made of others."""
    joined = hashlib.blake2b(digest_size=8)
    for part in parts:
        joined.update(len(part).to_bytes(4, "little"))
        joined.update(part)
    return joined.digest()


def checksum(value: Any) -> int:
    """What stands for the checksum of a value."""
    return int.from_bytes(bytes(value[:7]), "little")


def script_of(config: Any) -> list[Any]:
    """How a task behaves: behaviour, salt, bytes, milliseconds."""
    script: list[Any] = config
    return _unpacked(config[0]) if isinstance(config[0], bytes) else script


@lru_cache(1000)
def _unpacked(packed: bytes) -> list[Any]:
    script: list[Any] = msgspec.msgpack.decode(packed)
    return script


def plain_task(id: ID) -> TaskSpec:
    """A task that does nothing in a millisecond."""
    return TaskSpec(id, "py/", config_of("py/", [OK, "", 0, 1.0]), resources={"cpus": 1})


def config_of(kind: str, script: list[Any]) -> list[Any]:
    """The config of a task with such a script."""
    return [msgspec.msgpack.encode(script), [], []] if kind == "py/" else script


def outputs_of(spec: TaskSpec, inputs: list[bytes]) -> list[bytes]:
    """The values of a task's outputs, as any honest executor computes them."""
    behaviour, salt = script_of(spec.config)[:2]
    if behaviour == PASS and inputs:
        return [inputs[0] for _ in spec.outputs]
    base = digest(salt.encode(), *inputs)
    return [digest(base, bytes([i])) for i in range(len(spec.outputs))]


class Graph:
    """The items of one session as its client makes them, and what they should become."""

    def __init__(self, session_id: int, random: Random, first: list[dict[str, float]] | None = None) -> None:
        self.session_id = session_id
        self.first = first or []
        self.gangs = Random(session_id + len(self.first))  # so that histories without gangs are what they were
        self.families = Random(session_id + 1_000_003)  # dice of their own
        self.hangs = Random(session_id + 2_000_003)  # dice of their own
        self.chains = Random(session_id + 3_000_003)  # dice of their own
        self.short: tuple[dict[str, float], ID] | None = None  # what short tasks ask for, and their function
        self.random = random
        self.next = 0
        self.tasks: dict[ID, TaskSpec] = {}
        self.objects: dict[ID, ObjectSpec] = {}
        self.producer: dict[ID, ID] = {}
        self.values: dict[ID, bytes] = {}
        self.kept: dict[ID, None] = {}
        self.constants: list[ID] = []
        self.functions: list[ID] = []
        self.ephemeral: list[ID] = []
        self.cancelled: dict[ID, None] = {}
        self.behaves: dict[ID, tuple[str, int]] = {}

    def _id(self) -> ID:
        self.next += 1
        return ID(self.session_id, self.next)

    def _constant(self, constants: list[Constant], objects: list[ObjectSpec]) -> ID:
        id = self._id()
        value = digest(b"constant", str(id).encode())
        spec = ObjectSpec(id, label="const")
        constants.append(Constant(id, Inline(value, checksum(value))))
        objects.append(spec)
        self.objects[id] = spec
        self.values[id] = value
        return id

    def grow(self, count: int, resources: list[dict[str, float]]) -> dict[str, Any]:
        """More tasks: the fields of a `Submit`. Inputs are constants, new outputs, and kept ones of before."""
        random = self.random
        tasks: list[TaskSpec] = []
        objects: list[ObjectSpec] = []
        constants: list[Constant] = []
        for _ in range(1 + (random.random() < 0.5)):
            self.constants.append(self._constant(constants, objects))
        if not self.functions or random.random() < 0.3:
            self.functions.append(self._constant(constants, objects))
        usable = [*self.constants, *(id for id in self.kept if id in self.producer)]
        if random.random() < 0.3:
            usable.append(self._constant(constants, objects))
            constants[-1].ephemeral = True
            self.ephemeral.append(usable[-1])
        made: list[ID] = []
        keep: list[ID] = []
        style = random.choice(["random", "chain", "wide", "tree"])
        place, members = -1, 0
        self.short = None
        if self.chains.random() < 0.4:
            self.short = self.chains.choice(resources), self.chains.choice(self.functions)
            style = self.chains.choice([style, "chain", "chain", "tree"])
        if self.families.random() < 0.4:
            members = self.families.choice([2, 3, 4, 8])
            count = max(2, count - members)
            place = self.families.randrange(count)
        for number in range(count):
            if number == place:
                self._family(members, usable, resources, tasks, objects, made, keep)
            inputs = self._inputs(style, number, usable, made)
            spec, outputs = self._task(inputs, random.choice(resources))
            tasks.append(spec)
            objects.extend(outputs)
            made.extend(output.id for output in outputs)
            for output in outputs:
                if random.random() < 0.25 or (number == count - 1 and output is outputs[-1]):
                    keep.append(output.id)
                    self.kept[output.id] = None
        return {"tasks": tasks, "objects": objects, "constants": constants, "keep": keep}

    def _inputs(self, style: str, number: int, usable: list[ID], made: list[ID]) -> list[ID]:
        random = self.random
        if style == "chain" and made:
            return [made[-1]]
        if style == "tree" and len(made) >= 2 and number % 2:
            return [made[-1], made[-2]]
        if style == "wide" and made and random.random() < 0.2:
            return made[-5:]
        pool = usable + (made if style == "random" else [])
        return [random.choice(pool) for _ in range(random.choice([0, 1, 1, 2, 3]))] if pool else []

    def _task(self, inputs: list[ID], resources: dict[str, float]) -> tuple[TaskSpec, list[ObjectSpec]]:
        random = self.random
        id = self._id()
        outputs = [ObjectSpec(self._id(), label=f"out{i}") for i in range(random.choice([1, 1, 1, 1, 2, 0]))]
        roll = random.random()
        behaviour, times = OK, 0
        if roll < 0.04:
            behaviour = FAIL
        elif roll < 0.10:
            behaviour, times = FLAKY, random.randint(1, 3)
        elif roll < 0.14:
            behaviour, times = CRASH, random.randint(1, 2)
        elif roll < 0.15:
            behaviour, times = POISON, 99
        elif roll < 0.20 and inputs:
            behaviour = PASS
        options = None
        if random.random() < 0.25 or behaviour == FLAKY:
            options = TaskOptions(
                retries=times if behaviour == FLAKY and random.random() < 0.8 else random.choice([0, 1]),
                rerun="never" if random.random() < 0.2 else "",
                priority=random.choice([0, 0, 1, -1]),
                fresh=random.random() < 0.1,
            )
        roll = random.random()
        kind, function = "py/", None
        if roll < 0.1:
            kind = CONCAT
            behaviour = OK if behaviour in (CRASH, POISON) else behaviour  # these have no process to crash
        elif roll < 0.2:
            kind = "builtin/execute"
        else:
            function = random.choice(self.functions)
        able = sum(all(amount <= has.get(name, 0.0) for name, amount in resources.items()) for has in self.first)
        if self.gangs.random() < 0.08 and kind in ("py/", "builtin/execute") and able > 1:
            nodes = self.gangs.randint(2, min(able, 3))
            options = msgspec.structs.replace(options or TaskOptions(), nodes=nodes)
        milliseconds, size = random.choice([0.1, 0.1, 1.0, 10.0, 100.0, 1500.0]), random.choice([0, 0, 0, MB, MB, GB])
        on_several = options is not None and options.nodes
        if self.short is not None and kind == "py/" and not on_several and self.chains.random() < 0.9:
            resources, function = self.short
            milliseconds, size = 0.1, 0
        if behaviour == OK and self.hangs.random() < 0.06:
            hangs = self.hangs.random() < 0.5
            timeout = self.hangs.choice([0.2, 0.6]) if hangs else 60.0
            options = msgspec.structs.replace(options or TaskOptions(), timeout=timeout)
            if hangs:
                behaviour, milliseconds = HANG, FOR_EVER_MS
        spec = TaskSpec(
            id,
            kind,
            config_of(kind, [behaviour, str(id), size, milliseconds]),
            [TaskSpecInput(input, f"in{i}") for i, input in enumerate(inputs)],
            [output.id for output in outputs],
            dict(resources),
            name=f"{behaviour}{id.id}",
            function=function,
            options=options,
        )
        self._note(spec, outputs, behaviour, times)
        return spec, outputs

    def _family(
        self,
        members: int,
        usable: list[ID],
        resources: list[dict[str, float]],
        tasks: list[TaskSpec],
        objects: list[ObjectSpec],
        made: list[ID],
        keep: list[ID],
    ) -> None:
        """Some tasks that differ by their arguments only."""
        dice = self.families
        outputs = dice.choice([1, 1, 1, 1, 2, 0])
        pool = [id for id in usable if id not in self.producer or dice.random() < 0.2]
        inputs = [TaskSpecInput(dice.choice(pool), f"in{i}") for i in range(dice.choice([0, 0, 0, 1, 2])) if pool]
        options = None
        if dice.random() < 0.4:
            never = "never" if dice.random() < 0.3 else ""
            options = TaskOptions(retries=dice.choice([0, 1, 2]), rerun=never, priority=dice.choice([0, 1, -1]))
        asked, function = dice.choice(resources), dice.choice(self.functions)
        kept = [place for place in range(outputs) if dice.random() < 0.5]
        size, used = dice.choice([0, 0, 0, MB]), dice.random() < 0.4
        for _ in range(members):
            id = self._id()
            ids = [self._id() for _ in range(outputs)]
            roll = dice.random()
            behaviour, times = OK, 0
            if roll < 0.04:
                behaviour = FAIL
            elif roll < 0.10:
                behaviour, times = FLAKY, dice.randint(1, 2)
            elif roll < 0.14:
                behaviour, times = CRASH, dice.randint(1, 2)
            script = [behaviour, str(id), size, dice.choice([0.1, 0.1, 1.0, 10.0, 200.0])]
            config = config_of("py/", script)
            spec = TaskSpec(id, "py/", config, list(inputs), ids, dict(asked), MEMBER, {}, function, options)
            specs = [ObjectSpec(output, label=f"out{i}") for i, output in enumerate(ids)]
            tasks.append(spec)
            objects.extend(specs)
            if used:
                made.extend(ids)
            for i in kept:
                keep.append(ids[i])
                self.kept[ids[i]] = None
            self._note(spec, specs, behaviour, times)

    def _note(self, spec: TaskSpec, outputs: list[ObjectSpec], behaviour: str, times: int) -> None:
        """Take a new task into the books, with what its outputs must be."""
        self.tasks[spec.id] = spec
        self.behaves[spec.id] = (behaviour, times)
        for output in outputs:
            self.objects[output.id] = output
            self.producer[output.id] = spec.id
        for output, value in zip(outputs, outputs_of(spec, [self.values[i.id] for i in spec.inputs]), strict=True):
            self.values[output.id] = value

    def needs(self, id: ID) -> list[ID]:
        """The tasks whose outputs a task has as inputs."""
        return [self.producer[i.id] for i in self.tasks[id].inputs if i.id in self.producer]
