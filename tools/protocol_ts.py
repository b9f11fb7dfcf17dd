"""Writes ``frontend/src/protocol.ts`` from `rain.notebook.protocol`.

Run without arguments it writes the file; `typescript` is the text, which a test compares with the file.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from msgspec import NODEFAULT
from msgspec import inspect as types

from rain.notebook.protocol.data import AnyPage
from rain.notebook.protocol.details import Details
from rain.notebook.protocol.graph import AnyNode
from rain.notebook.protocol.report import Report
from rain.notebook.protocol.requests import ANSWERS, UPDATES

OUT = Path(__file__).parent.parent / "frontend" / "src" / "protocol.ts"
HEAD = """\
// Everything that kernel and browser send each other, and what the file of a report holds.
//
// Written by tools/protocol_ts.py from rain/notebook/protocol (`make frontend`): change it there.
"""
UNIONS = {"Node": AnyNode, "Details": Details, "Page": AnyPage}
"""Unions that have a name of their own."""
_PLAIN = {
    types.StrType: "string",
    types.IntType: "number",
    types.FloatType: "number",
    types.BoolType: "boolean",
    types.NoneType: "null",
    types.AnyType: "unknown",
}
_ATTRIBUTE = re.compile(r"^(\w+(?:, \w+)*) : (.*?)\n((?:    .*(?:\n|$))*)", re.MULTILINE)


class Writer:
    """Collects the structs that types are made of, and writes all of them."""

    def __init__(self) -> None:
        self.written: dict[str, str] = {}

    def name(self, kind: types.Type) -> str:
        """`kind` as TypeScript writes it; structs in it are written too."""
        if type(kind) in _PLAIN:
            return _PLAIN[type(kind)]
        if isinstance(kind, types.StructType):
            return self.struct(kind)
        if isinstance(kind, types.UnionType):
            structs = frozenset(one.cls for one in kind.types if isinstance(one, types.StructType))
            rest = [one for one in kind.types if not isinstance(one, types.StructType)]
            for alias, union in UNIONS.items():
                if structs == frozenset(get_args(union)):
                    return " | ".join([self.union(alias, union), *map(self.name, rest)])
            names = dict.fromkeys(map(self.name, kind.types))
            return " | ".join(sorted(names, key=lambda name: name == "null"))
        if isinstance(kind, types.LiteralType):
            return " | ".join(f'"{value}"' for value in kind.values)
        if isinstance(kind, types.DictType):
            record = f"Record<{self.name(kind.key_type)}, {self.name(kind.value_type)}>"
            return f"Partial<{record}>" if isinstance(kind.key_type, types.LiteralType) else record
        if isinstance(kind, types.ListType):
            item = self.name(kind.item_type)
            return f"({item})[]" if "|" in item else f"{item}[]"
        if isinstance(kind, types.TupleType):
            return f"[{', '.join(map(self.name, kind.item_types))}]"
        raise TypeError(f"{kind} has no place in the protocol")

    def union(self, alias: str, union: Any) -> str:
        """The name of a union, which is written if it was not."""
        if alias not in self.written:
            self.written[alias] = ""
            names = [self.name(types.type_info(one)) for one in get_args(union)]
            self.written[alias] = f"export type {alias} = {' | '.join(names)};"
        return alias

    def struct(self, kind: types.StructType, asked: bool = False) -> str:
        """The name of a struct, which is written if it was not.

        Parameters
        ----------
        kind : StructType
        asked : bool
            Whether browsers send it, who may leave out what has a default.
        """
        name: str = kind.cls.__name__
        if name in self.written:
            return name
        self.written[name] = ""  # for those that hold themselves
        lines = [_comment(_first_line(kind.cls))]
        docs = dict(_attributes(kind.cls))
        fields = [field for field in kind.fields if field.name != "request"]
        if kind.array_like:
            inside = [f"{field.encode_name}: {self.name(field.type)}" for field in fields]
            lines.append(f"export type {name} = [{', '.join(inside)}];")
        elif not fields and (asked or kind.tag is None):
            lines.append(f"export type {name} = Record<string, never>;")
        else:
            lines.append(f"export interface {name} {{")
            if kind.tag_field is not None and not asked:
                lines.append(f'  {kind.tag_field}: "{kind.tag}";')
            omits = asked or kind.cls.__struct_config__.omit_defaults
            for field in fields:
                unset = not field.required and field.default is field.default_factory is NODEFAULT  # so it is UNSET
                optional = "?" if unset or (omits and not field.required) else ""
                lines += [f"  {line}" for line in _comment(docs.get(field.name, "")).splitlines()]
                lines.append(f"  {field.encode_name}{optional}: {self.name(field.type)};")
            lines.append("}")
        self.written[name] = "\n".join(line for line in lines if line)
        return name


def _first_line(cls: type) -> str:
    return inspect.getdoc(cls).partition("\n")[0] if cls.__doc__ else ""  # type: ignore[union-attr]


def _attributes(cls: type) -> Iterator[tuple[str, str]]:
    """What the docstrings of a struct and of those that it extends say of its attributes."""
    for base in reversed(cls.__mro__):
        text = inspect.cleandoc(base.__doc__ or "")
        _, _, section = text.partition("Attributes\n----------\n")
        for names, _, words in _ATTRIBUTE.findall(section + "\n"):
            for name in names.split(", "):
                yield name, " ".join(inspect.cleandoc(words).split())


def _comment(text: str) -> str:
    return f"// {text.replace('``', '`')}" if text else ""


def typescript() -> str:
    """The text of the file."""
    writer = Writer()
    requests, answers = [], []
    for request, answer in ANSWERS.items():
        kind = types.type_info(request)
        assert isinstance(kind, types.StructType)
        requests.append(f"  {kind.tag}: {writer.struct(kind, asked=True)};")
        answers.append(f"  {kind.tag}: {writer.name(types.type_info(answer))};")
    news = [f"  {event}: {writer.name(types.type_info(kind))};" for event, kind in UPDATES.items()]
    writer.name(types.type_info(Report))
    parts = [
        HEAD,
        "// What a browser may ask for: parameters by the name of the request.\nexport interface Requests {",
        *requests,
        "}\n\n// What each request gets.\nexport interface Answers {",
        *answers,
        "}\n\n// What the kernel tells unasked, by the name of the event.\nexport interface Updates {",
        *news,
        "}\n",
    ]
    return "\n".join(parts) + "\n" + "\n\n".join(writer.written.values()) + "\n"


if __name__ == "__main__":
    OUT.write_text(typescript(), encoding="utf-8")
