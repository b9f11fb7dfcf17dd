"""The code of the user's modules, as it is in their files: that is what executors import.

A module that this process has imported may be older than its file, so nothing of the module is looked at. Of a module
count the definitions that are named, what these name in turn, also in other modules of the user's, and all that runs
when it is imported. Comments, docstrings, and annotations of functions do not count.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import xxhash

from rain.client.core.reuse.keys import Part
from rain.client.functions.modules import find
from rain.host.installed import stamp

_SOURCE_CHARS_MAX = 20_000
_DYNAMIC_NAMES = frozenset({"getattr", "vars", "eval", "exec", "globals", "__import__"})
_DYNAMIC_ATTRIBUTES = frozenset({"__dict__", "__subclasses__", "import_module"})
_HARMLESS = frozenset(
    {
        "abstractmethod", "cache", "cached_property", "contextmanager", "dataclass", "jit", "lru_cache", "njit",
        "overload", "remote", "singledispatch", "task", "total_ordering", "vectorize", "wraps",
    }
)  # fmt: skip
"""Decorators that do nothing but to the function or class itself; others may enter it into a table."""
_TOP = "what runs when it is imported"


class Names(NamedTuple):
    """What a piece of code names.

    Attributes
    ----------
    names : frozenset of str
        Variables.
    attributes : frozenset of str
        All attributes, of whatever.
    imports : tuple of (str, str, int)
        Modules that are imported inside of it, what from each, and how many packages up.
    """

    names: frozenset[str]
    attributes: frozenset[str]
    imports: tuple[tuple[str, str, int], ...]

    @property
    def dynamic(self) -> bool:
        """Whether it may use what it does not name."""
        named = self.names | self.attributes
        return bool(named & (_DYNAMIC_NAMES | _DYNAMIC_ATTRIBUTES))


class Piece(NamedTuple):
    """A statement at the top of a module."""

    digest: str
    names: Names
    line: int
    source: str


class Parsed(NamedTuple):
    """A module's file.

    Attributes
    ----------
    bindings : dict of str to list of Piece
        What defines each name.
    always : list of Piece
        What runs at import and may do more than to define a name.
    imports : dict of str to (str, str)
        Names that come from elsewhere: the module, and what of it (empty: the module itself).
    stars : list of str
        Modules of which everything was imported.
    """

    bindings: dict[str, list[Piece]]
    always: list[Piece]
    imports: dict[str, tuple[str, str]]
    stars: list[str]


class Sources:
    """Follows names through the user's modules.

    Parameters
    ----------
    library : callable
        Called with the name of each module that is not the user's.
    draw : callable
        Called when `rain.rng` is named.
    files : dict of str to any
        Takes the files that were looked at, with their stamps.

    Attributes
    ----------
    parts : dict of str to Part
    unclear : str
        Why the code cannot be told; empty if it can.
    """

    def __init__(self, library: Callable[[str], None], draw: Callable[[], None], files: dict[str, Any]) -> None:
        self._files = files
        self._library = library
        self._draw = draw
        self._seen: set[tuple[Any, ...]] = set()
        self.parts: dict[str, Part] = {}
        self.unclear = ""

    def need(self, module: str, names: Iterable[str] | None = None) -> bool:
        """These names of a module are used (None: it may be all of them); whether it is a module of the user's."""
        found = find(module)
        if found is None:
            self._library(module)
            if module.partition(".")[0] == "rain" and names is not None and "rng" in names:
                self._draw()
            return False
        parent = module.rpartition(".")[0]
        if parent:
            self.need(parent, ())  # its __init__ runs first
        listed = None if names is None else tuple(sorted(names))
        if not found.has_file:
            self._submodules(module, listed or (), listed)
            return True
        seen = self._files[found.path] = stamp(found.path)
        parsed = _parsed(found.path, seen, module if found.is_package else parent)
        if parsed is None:
            self.unclear = f"the source of module {module} cannot be read"
            return True
        if self._is_new(module):
            self._at_import(module, parsed)
        wanted = [*parsed.bindings, *parsed.imports] if listed is None else listed
        for name in wanted:
            self._name(module, parsed, name, listed)
        if found.is_package:
            self._submodules(module, [name for name in wanted if name not in parsed.bindings], listed)
        return True

    def _is_new(self, *what: Any) -> bool:
        new = what not in self._seen
        self._seen.add(what)
        return new

    def _at_import(self, module: str, parsed: Parsed) -> None:
        if parsed.always:
            digest = xxhash.xxh3_128_hexdigest("\n".join(piece.digest for piece in parsed.always).encode())
            text = "\n".join(piece.source for piece in parsed.always)
            name = f"{module}, {_TOP}"
            self.parts[name] = Part(name, digest, 0, "", text[:_SOURCE_CHARS_MAX])
        for piece in parsed.always:
            self.follow(module, piece.names)
        for star in parsed.stars:
            self.need(star, None)

    def _name(self, module: str, parsed: Parsed, name: str, attributes: tuple[str, ...] | None) -> None:
        pieces = parsed.bindings.get(name, ())
        if pieces and self._is_new(module, name):
            full = f"{module}.{name}"
            digest = xxhash.xxh3_128_hexdigest("\n".join(piece.digest for piece in pieces).encode())
            self.parts[full] = Part(full, digest, pieces[0].line, "", pieces[0].source)
            for piece in pieces:
                self.follow(module, piece.names)
        if name in parsed.imports:
            self._imported(*parsed.imports[name], attributes)

    def _submodules(self, module: str, names: Iterable[str], attributes: tuple[str, ...] | None) -> None:
        for name in names:
            if name.isidentifier() and self._is_new(module, name, attributes) and find(f"{module}.{name}") is not None:
                self.need(f"{module}.{name}", attributes)

    def _imported(self, origin: str, attribute: str, attributes: tuple[str, ...] | None) -> None:
        """A name that came from a module is used, and these attributes of it (None: perhaps all)."""
        if not self._is_new(origin, attribute, "imported", attributes):
            return
        if not attribute:
            self.need(origin, attributes)
        elif find(f"{origin}.{attribute}") is not None:
            self.need(f"{origin}.{attribute}", attributes)
        else:
            self.need(origin, (attribute,))

    def follow(self, module: str, used: Names) -> None:
        """What a piece of code in a module names."""
        found = find(module)
        if found is None:
            return
        package = module if found.is_package else module.rpartition(".")[0]
        parsed = _parsed(found.path, stamp(found.path), package)
        attributes = None if used.dynamic else tuple(sorted(used.attributes))
        if parsed is not None:
            for name in sorted(used.names):
                self._name(module, parsed, name, attributes)
        self.imported(used, package)

    def imported(self, used: Names, package: str) -> None:
        """What code imports inside of functions."""
        attributes = None if used.dynamic else tuple(sorted(used.attributes | used.names))
        for name, attribute, level in used.imports:
            origin = _absolute(name, level, package)
            if origin and attribute == "*":
                self.need(origin, None)
            elif origin:
                self._imported(origin, attribute, attributes)


def _absolute(module: str, level: int, package: str) -> str:
    if not level:
        return module
    parts = package.split(".") if package else []
    if level > len(parts):
        return ""
    return ".".join([*parts[: len(parts) - level + 1], *([module] if module else [])])


@lru_cache(maxsize=1024)
def _parsed(path: str, seen: tuple[int, int] | None, package: str) -> Parsed | None:
    """A module's file, parsed; None if it cannot be read. `seen` is its stamp."""
    try:
        with open(path, "rb") as file:
            data = file.read()
        tree = ast.parse(data)
        lines = data.decode("utf-8", "replace").splitlines()
    except (OSError, SyntaxError, ValueError, RecursionError):
        return None
    parsed = Parsed({}, [], {}, [])
    for node in tree.body:
        _take(parsed, node, lines, package)
    return parsed


def _take(parsed: Parsed, node: ast.stmt, lines: list[str], package: str) -> None:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return
    for inner in ast.walk(node) if not isinstance(node, _DEFINITIONS) else ():
        _note_import(parsed, inner, package)
    if isinstance(node, ast.Import | ast.ImportFrom):
        return
    piece = piece_of(node, lines)
    if isinstance(node, _DEFINITIONS):
        parsed.bindings.setdefault(node.name, []).append(piece)
        if getattr(node, "keywords", None) or not all(map(_is_harmless, node.decorator_list)):
            parsed.always.append(piece)
        return
    targets = _targets(node)
    for name in targets:
        parsed.bindings.setdefault(name, []).append(piece)
    if not targets or any(isinstance(inner, ast.Call | ast.Await) for inner in ast.walk(node)):
        parsed.always.append(piece)


_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def _is_harmless(decorator: ast.expr) -> bool:
    base = decorator.func if isinstance(decorator, ast.Call) else decorator
    return (base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "")) in _HARMLESS


def _targets(node: ast.stmt) -> list[str]:
    """The names that a simple assignment binds; empty if it is none."""
    if isinstance(node, ast.AnnAssign):
        return [node.target.id] if isinstance(node.target, ast.Name) else []
    if not isinstance(node, ast.Assign):
        return []
    found: list[str] = []
    for target in node.targets:
        items = target.elts if isinstance(target, ast.Tuple | ast.List) else [target]
        if not all(isinstance(item, ast.Name) for item in items):
            return []
        found += [item.id for item in items if isinstance(item, ast.Name)]
    return found


def _note_import(parsed: Parsed, node: ast.AST, package: str) -> None:
    if isinstance(node, ast.Import):
        for alias in node.names:
            bound = alias.asname or alias.name.partition(".")[0]
            parsed.imports[bound] = (alias.name if alias.asname else bound, "")
    elif isinstance(node, ast.ImportFrom):
        origin = _absolute(node.module or "", node.level, package)
        for alias in node.names if origin else ():
            if alias.name == "*":
                parsed.stars.append(origin)
            else:
                parsed.imports[alias.asname or alias.name] = (origin, alias.name)


def piece_of(node: ast.stmt, lines: list[str]) -> Piece:
    """A statement: what counts of it, and what it names."""
    decorators = getattr(node, "decorator_list", ())
    first = min([node.lineno, *(decorator.lineno for decorator in decorators)])
    source = "\n".join(lines[first - 1 : node.end_lineno])[:_SOURCE_CHARS_MAX]
    _strip(node)
    dump = ast.dump(node, annotate_fields=False)
    return Piece(xxhash.xxh3_128_hexdigest(dump.encode("utf-8", "surrogatepass")), _names(node), first, source)


def _strip(tree: ast.AST) -> None:
    """Take away what does not count."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(node, _DEFINITIONS) and isinstance(body, list):
            head = body[0]
            if (
                isinstance(head, ast.Expr)
                and isinstance(head.value, ast.Constant)
                and isinstance(head.value.value, str)
            ):
                body[:1] = [] if len(body) > 1 else [ast.Pass()]
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
            for argument in _arguments(node.args):
                argument.annotation = None


def _arguments(args: ast.arguments) -> Iterator[ast.arg]:
    yield from (*args.posonlyargs, *args.args, *args.kwonlyargs)
    for argument in (args.vararg, args.kwarg):
        if argument is not None:
            yield argument


def _names(tree: ast.AST) -> Names:
    names, attributes, imports = set(), set(), []
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.Attribute):
            attributes.add(node.attr)
        elif isinstance(node, ast.Import):
            imports += [(alias.name, "", 0) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            imports += [(node.module or "", alias.name, node.level) for alias in node.names]
        elif isinstance(node, ast.Global):
            names.update(node.names)
    return Names(frozenset(names), frozenset(attributes), tuple(imports))
