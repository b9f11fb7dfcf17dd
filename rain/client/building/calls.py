"""Tasks of single calls: those of a loop, which differ by their arguments only, become one family."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rain.client.building.member import member_of
from rain.client.building.options import Options
from rain.client.core.families.family import Family, Template
from rain.client.functions import call_sites
from rain.client.functions.function import Payload, function_constant
from rain.client.functions.parameters import Parameters
from rain.client.handles import held, inside, record_of
from rain.client.io_spec import OutputBase
from rain.client.reuse.results import results_for
from rain.client.task import Task
from rain.common.ids import ID
from rain.common.spec import ObjectSpec
from rain.common.task_configs import PYTHON, PyConfig

if TYPE_CHECKING:
    from rain.client.core.records import ObjectRecord
    from rain.client.core.reuse.task import Reuse
    from rain.client.data import DataObject
    from rain.client.session import Session


class LastTemplate:
    """The template of the last call of a function; the next call has the same one, unless a part of it has changed."""

    __slots__ = ("_encode", "_function", "_options", "_outputs", "_payload", "_seed", "_session", "_template")

    def __init__(self) -> None:
        self._session: Session | None = None
        self._payload: Payload | None = None
        self._options: Options | None = None
        self._outputs: Sequence[OutputBase] | None = None
        self._encode: list[str | None] | None = None
        self._function: ObjectRecord | None = None
        self._seed: int | None = None
        self._template: Template | None = None

    def of(
        self,
        session: Session,
        payload: Payload,
        parameters: Parameters,
        outputs: Sequence[OutputBase],
        encode: list[str | None],
        options: Options,
        plain: bool = False,
    ) -> Template:
        """The template of calls with these outputs and options in a session, whose arguments hold no data objects."""
        own = inside(session)
        function = own.mirror.functions.get(payload.digest)
        if (
            self._template is None
            or self._session is not session
            or self._payload is not payload
            or self._options is not options
            or self._outputs is not outputs
            or self._encode is not encode
            or self._function is not function
            or self._seed != own.mirror.seed
        ):
            self._template = template_of(session, payload, parameters, outputs, encode, options, plain)
            self._session, self._payload, self._options = session, payload, options
            self._outputs, self._encode, self._seed = outputs, encode, own.mirror.seed
            self._function = own.mirror.functions.get(payload.digest)
        return self._template


def template_of(
    session: Session,
    payload: Payload,
    parameters: Parameters,
    outputs: Sequence[OutputBase],
    encode: list[str | None],
    options: Options,
    plain: bool,
) -> Template:
    """The template of calls of a function whose arguments hold no data objects."""
    specs = [
        ObjectSpec(ID(0, 0), output.label, output.declared_type, output.data_type.value, output.size_hint)
        for output in outputs
    ]
    config = PyConfig(b"", parameters.auto_load, encode, plain=plain, seed=inside(session).mirror.seed)
    results = results_for(session, options)
    return Template(
        config, specs, options.resources, options.name, options.user, function_constant(session, payload),
        options.rare, payload.source, None if results is None else results.function(payload, parameters, options),
    )  # fmt: skip


def add_call(session: Session, template: Template, args: bytes, kept: bool = False) -> Any:
    """The task of a call with these pickled arguments: the next member of the last family, if it has its template.

    Called by a function of this package that users call, or one below it.

    Parameters
    ----------
    kept : bool
        Whether its outputs are kept from the call on.
    """
    mirror = inside(session).mirror
    site = call_sites.capture(3)
    origin = None if call_sites.origin is None else call_sites.origin()
    pending = mirror.pending
    with mirror.records.lock:  # so that it is not submitted in between
        number = mirror.next_number()
        if template.stride != 2 or mirror.next_number() != number + 1:  # another thread made something in between
            number = mirror.take_numbers(template.stride)
        family: Any = pending[-1] if pending else None
        if (
            type(family) is Family
            and family.template is template
            and family.made is site
            and family.first + len(family.args) * family.stride == number
            and (family.origin is origin or family.origin == origin)
            and not (family.taken or family.listed or family.submitted)
        ):
            there: Any = family.args
            place = len(there)
            there.append(args)
            family.kept.append(kept or template.reuse is not None)
        else:
            family, place = Family(mirror.session_id, number, template, [args], site, origin), 0
            mirror.add_family(family)
            if kept or template.reuse is not None:
                family.keep(place)
            if place in family.taken:
                return member_of(session, family, place)
    return Task._new(session, family, place)


def add_packed(
    session: Session,
    payload: Payload,
    config: PyConfig,
    objects: dict[DataObject, str | None],
    outputs: Sequence[OutputBase],
    options: Options,
    *,
    kept: bool = False,
    remembered: bool = True,
    reuse: Reuse | None = None,
) -> Task[Any]:
    """The task of a call that fits no family: made of its config and the data objects in its arguments.

    Parameters
    ----------
    kept : bool
        Whether its outputs are kept as long as there is a handle of them.
    remembered : bool
        Whether the task keeps a reference to its function, to tell later whether that was edited.
    reuse : Reuse, optional
        What its result depends on, if that may come from an earlier run; then its outputs are kept as well.
    """
    config.seed = inside(session).mirror.seed
    for obj in payload.objects:
        objects.setdefault(obj, None)
    task: Task[Any] = Task.__new__(Task)
    task._create(
        session, PYTHON, config, list(objects.items()) if objects else (), outputs, options.name, options,
        function_constant(session, payload),
    )  # fmt: skip
    if remembered:
        record_of(task).source = payload.source
    record_of(task).reuse = reuse
    if kept or reuse is not None:
        for output in held(task):
            record_of(output).kept = True
    return task
