"""From tasks, functions, programs and values to what they need: what is told by looking at them here."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import xxhash

from rain.client.core.families.family import Family
from rain.client.core.records import ObjectRecord, Record, TaskRecord
from rain.client.functions.call_sites import describe, name_of_file
from rain.client.functions.function import Source
from rain.client.functions.modules import folder
from rain.client.functions.pickling import collecting, dumps, why_nots, without_running
from rain.client.preflight.code import Uses
from rain.client.preflight.needs import EXECUTOR, FILE, MODULE, PATH, PROGRAM, Group
from rain.client.preflight.pickles import Named
from rain.client.preflight.report import FAILURE, WARNING
from rain.common.formatting import size_text
from rain.common.limits import (
    CHECK_MEMBERS_MAX,
    CHECK_REPEATED_BYTES_MIN,
    PICKLED_ARGUMENT_WARN_BYTES,
)
from rain.common.task_configs import IN_GOVERNOR, LOAD, LOAD_DIR, PYTHON, ExecuteConfig, PathConfig, PyConfig
from rain.objects.pickling.callables import by_reference

if TYPE_CHECKING:
    from rain.client.building.options import Options
    from rain.client.program import Program
    from rain.common.spec import TaskOptions

_PATH_CHARS_MAX = 1024
_OF_SHELL = frozenset(
    """alias bg break case cd command continue echo eval exec exit export false fc fg for getopts hash if jobs kill let
    local printf pwd read return set shift source test time times trap true type ulimit umask unalias unset until wait
    while . : [ { ( !""".split()  # noqa: SIM905
)
_PLAIN_WORD = re.compile(r"[\w./+@%:-]+")


class Gathering:
    """What everything that is looked at needs.

    Attributes
    ----------
    groups : list of Group
    tasks : int
        How many tasks were looked at.
    others : list of str
        What else was, as text.
    """

    def __init__(self) -> None:
        self.groups: list[Group] = []
        self.tasks = 0
        self.others: list[str] = []
        self._by_line: dict[Any, Group] = {}
        self._uses: dict[int, Uses] = {}
        self._constants: dict[tuple[int, int], list[ObjectRecord]] = {}
        self._users: dict[int, tuple[Group, int, str]] = {}  # number of an object -> the first task that uses it
        self._here = folder()
        self._exists: dict[str, str] = {}

    # -- tasks ----------------------------------------------------------------------------------

    def pending(self, records: Iterable[Record | Family]) -> None:
        """Look at what was not submitted yet."""
        for record in records:
            if isinstance(record, Family):
                self._family(record)
            elif isinstance(record, TaskRecord):
                self.task(record)
            else:
                self._constant(record)
        self._repeated()

    def task(self, record: TaskRecord) -> None:
        """Look at one task."""
        spec = record.spec
        group = self._group(record.made, spec.resources, spec.options, record.source, spec.name, spec.task_type)
        group.begin(spec.id.id, _name(spec.name, spec.id))
        self.tasks += 1
        for item in spec.inputs:
            self._users.setdefault(item.id.id, (group, spec.id.id, _name(spec.name, spec.id)))
        if record.source is not None:
            self._source(group, record.source)
        config = spec.config
        if isinstance(config, PyConfig):
            self._pickle(group, config.args, "its arguments name")
        elif isinstance(config, ExecuteConfig):
            self._program(group, config, spec.options)
        elif isinstance(config, PathConfig) and spec.task_type in (LOAD, LOAD_DIR):
            group.need(FILE, config.path, "it loads")
        elif spec.task_type not in IN_GOVERNOR:
            self._foreign(group, spec.task_type, config)

    def _foreign(self, group: Group, task_type: str, config: Any) -> None:
        """Look at a call of an executor in another language."""
        kind, slash, method = task_type.partition("/")
        if not (kind and slash and method):
            group.say(
                FAILURE,
                f"it is of type {task_type!r}",
                "a TASK_TYPE is of the form 'executor/method', with the executor's type as governors are told it",
            )
            return
        group.need(EXECUTOR, kind, f"it is of type {task_type!r}")
        for text in _texts_in(config):
            self._path(group, text, "its config names")

    def _family(self, family: Family) -> None:
        template = family.template
        group = self._group(family.made, template.resources, template.options, template.source, template.name)
        first = family.id_of(0)
        group.begin(first.id, _name(template.name, first), family.count)
        self.tasks += family.count
        if template.source is not None:
            self._source(group, template.source, family.count)
        for place, args in enumerate(family.args[:CHECK_MEMBERS_MAX]):
            number = family.id_of(place)
            group.begin(number.id, _name(template.name, number), 0)
            self._pickle(group, args, "its arguments name")

    def _group(
        self,
        made: Any,
        resources: Mapping[str, float],
        options: TaskOptions | None,
        source: Any,
        name: str | None,
        task_type: str = PYTHON,
    ) -> Group:
        nodes = 1 if options is None else options.nodes
        line = tuple([part if isinstance(part, int | str) else id(part) for part in made])
        function = None if source is None else id(source.function)
        key = (line, function, tuple(sorted(resources.items())), nodes, name, task_type)
        group = self._by_line.get(key)
        if group is None:
            group = self._by_line[key] = Group(describe(made), dict(resources), nodes)
            self.groups.append(group)
        return group

    # -- before there is a task -----------------------------------------------------------------

    def function(self, source: Source, options: Options | None) -> None:
        """Look at a function, and whether it can be sent."""
        code = getattr(source.function, "__code__", None)
        defined = "" if code is None else f"{name_of_file(code.co_filename)}, line {code.co_firstlineno}"
        group = self._before(f"function {source.name}", options, defined)
        bare = source.bare()
        failures = why_nots(bare, f"function {source.name}")
        for text in failures:
            group.say(FAILURE, text, "give it as an argument that can be pickled, or make it inside of the function")
        if not failures:
            with collecting():
                size = len(dumps(bare, without_running))
            if size > PICKLED_ARGUMENT_WARN_BYTES:
                group.say(
                    WARNING,
                    f"it takes {size_text(size)} along by its closure, globals or defaults",
                    "give large data as an argument made with pickled(...) or blob(...)",
                )
        self._source(group, source)

    def program(self, program: Program) -> None:
        """Look at a program with placeholders."""
        group = self._before(program._plan.owner, program._options)
        config = program._plan.config(program._plan.outputs)
        self._program(group, config, program._options.rare)

    def value(self, value: Any, place: int) -> None:
        """Look at what is to be an argument."""
        group = self._before(f"value {place} ({type(value).__name__})", None)
        failures = why_nots(value, f"value {place}")
        for text in failures:
            group.say(FAILURE, text, "leave that part out (__getstate__), or make it inside of the function")
        if not failures:
            with collecting():
                self._pickle(group, dumps(value, without_running), "it names")

    def _before(self, name: str, options: Options | None, made: str = "") -> Group:
        resources, rare = ({}, None) if options is None else (options.resources, options.rare)
        group = Group(made, resources, 1 if rare is None else rare.nodes)
        group.begin(None, name)
        self.groups.append(group)
        self.others.append(name)
        return group

    # -- code -----------------------------------------------------------------------------------

    def _source(self, group: Group, source: Source, count: int = 1) -> None:
        uses = self._uses.get(id(source.function))
        if uses is None:
            uses = self._uses[id(source.function)] = Uses.of(source.function)
        group.by_value = group.by_value or not by_reference(source.function)
        for name, user in uses.undefined.items():
            group.say(
                FAILURE,
                f"{user} uses the name {name!r}, which nothing defines",
                "define or import it before the task is made; or correct its spelling",
                count,
            )
        for module, user in uses.modules.items():
            group.need(MODULE, module, f"{user} needs", count=count)
        for text, user in uses.texts.items():
            self._path(group, text, f"the code of {user} names", count)

    def _pickle(self, group: Group, data: bytes, why: str) -> None:
        if b"/" not in data and data.find(b".", 0, len(data) - 1) < 0 and b"\x93" not in data:
            return  # no path (the dot at its end ends a pickle), no class
        named = Named(data)
        for text in named.texts:
            self._path(group, text, why)
        if named.modules:
            uses = Uses()
            for module in named.modules:
                uses.module(module, "")
            for module in uses.modules:
                group.need(MODULE, module, f"{why.rpartition(' ')[0]} need")

    def _path(self, group: Group, text: str, why: str, count: int = 1) -> None:
        """A text may be the path of a file that exists here."""
        kind = self._exists.get(text)
        if kind is None:
            kind = self._exists[text] = self._kind_of(text)
        if kind == "absolute":
            group.need(PATH, text, why, count=count)
        elif kind == "relative":
            group.say(
                WARNING,
                f"{why} {text!r}, a file of the current folder here; a task works in a folder of its own",
                "give the file itself, by rain.files(...), or its absolute path where all hosts have it",
                count,
            )

    def _kind_of(self, text: str) -> str:
        if not 1 < len(text) <= _PATH_CHARS_MAX or not text.isprintable():
            return ""
        try:
            if text.startswith("/"):
                return "absolute" if text.strip("/") and os.path.lexists(text) else ""
            name = os.path.basename(text)
            looks = "/" in text or "." in name.strip(".")
            return "relative" if looks and os.path.isfile(os.path.join(self._here, text)) else ""
        except (OSError, ValueError):
            return ""

    # -- programs -------------------------------------------------------------------------------

    def _program(self, group: Group, config: ExecuteConfig, options: TaskOptions | None) -> None:
        path = None if options is None else options.env.get("PATH")
        words: Sequence[str] = config.args
        if config.shell:
            try:
                words = shlex.split(config.args[0], comments=True)
            except ValueError:
                words = []
            while words and re.match(r"\w+=", words[0]):
                words = words[1:]
        inside = [item.path for item in config.inputs] + [item.path for item in config.outputs]
        if words and self._is_program(words[0], config.shell):
            self._command(group, words[0], path, inside)
        for word in words[1:]:
            if word not in inside:
                self._path(group, word, "its command names")

    @staticmethod
    def _is_program(word: str, shell: bool) -> bool:
        return not shell or (word not in _OF_SHELL and _PLAIN_WORD.fullmatch(word) is not None)

    @staticmethod
    def _command(group: Group, word: str, path: str | None, inside: Iterable[str]) -> None:
        if "/" not in word or word.startswith("/"):
            group.need(PROGRAM, word, "it runs", path)
            return
        wanted = os.path.normpath(word)
        if not any(wanted == item or wanted.startswith(f"{item}/") for item in map(os.path.normpath, inside)):
            group.say(
                FAILURE,
                f"it runs {word!r}, which is looked for in the task's own folder, and is none of its inputs",
                "give the program as an input with that path, or write its absolute path",
            )

    # -- constants ------------------------------------------------------------------------------

    def _constant(self, record: ObjectRecord) -> None:
        value = record.value
        if value is None or value.size < CHECK_REPEATED_BYTES_MIN:
            return
        digest = value.checksum
        if digest is None:
            digest = xxhash.xxh3_64_intdigest(value.view())
        self._constants.setdefault((value.size, digest), []).append(record)

    def _repeated(self) -> None:
        """Say which large constants are sent more than once."""
        for (size, _), records in self._constants.items():
            if len(records) < 2:
                continue
            users = [self._users[record.spec.id.id] for record in records if record.spec.id.id in self._users]
            if users:
                group, number, name = users[0]
                group.begin(number, name, 0)
            else:
                group = Group("", {})
                group.begin(None, f"the constant {records[0].spec.label or records[0].spec.id}")
                self.groups.append(group)
            group.say(
                WARNING,
                f"the same {size_text(size)} are sent {len(records)} times",
                "make one object of them, data = pickled(value), and give that to every task",
                len(users) or 1,
            )


def _texts_in(value: Any) -> Iterator[str]:
    """The texts of a config, which is as JSON."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts_in(item)


def _name(name: str | None, id: Any) -> str:
    return f"task {name!r}" if name is not None else f"task {id}"
