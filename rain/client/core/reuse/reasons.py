"""Why a result was not there: what is other than in the runs of which results are stored.

`History` is what is remembered of one function (or program): its code as it was, and its last calls. It is only read
to say why; whether a result is there is decided by keys.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from rain.client.core.reuse.keys import Call, Code, Part

CODES_MAX = 4
"""How many versions of a function's code are remembered."""
CALLS_MAX = 100
"""How many of its last calls."""
_SAID_MAX = 3
_LINE_CHARS_MAX = 60


class Noted(msgspec.Struct, array_like=True):
    """A call whose result was stored.

    Attributes
    ----------
    key : str
    call : Call
    """

    key: str
    call: Call


class History(msgspec.Struct, array_like=True):
    """What is remembered of one function or program; the newest last."""

    path: str
    codes: list[Code] = []
    calls: list[Noted] = []

    def note(self, code: Code, calls: Iterable[Noted]) -> None:
        """Remember these calls of this code."""
        self.codes = [*(known for known in self.codes if known.digest != code.digest), code][-CODES_MAX:]
        new = {noted.key: noted for noted in calls}
        self.calls = [*(noted for noted in self.calls if noted.key not in new), *new.values()][-CALLS_MAX:]


def why(
    history: History | None, code: Code, key: str, call: Call, folder: str, origins: Mapping[str, str] | None = None
) -> str:
    """How a task came to be computed, and what is other than in the calls that are remembered: ``"recomputed because
    …"``, or ``"computed for the first time …"``.

    Parameters
    ----------
    history : History or None
    code : Code
    key : str
    call : Call
    folder : str
        Where results are, for texts.
    origins : mapping of str to str, optional
        Of inputs that are made anew, by label: which task makes them and why.
    """
    if history is None or not history.calls:
        return f"computed for the first time: no result of {code.name} is in {folder}"
    if any(noted.key == key for noted in history.calls):
        return f"recomputed because its result is not in {folder} any more"
    alike = [noted for noted in history.calls if noted.call.code == call.code]
    if not alike:
        return f"recomputed because {_listed(_changes(history, code))}"
    nearest = max(reversed(alike), key=lambda noted: _likeness(noted.call, call))
    given = _other_arguments(nearest.call, call)
    if given:
        these = f"with this {' and this '.join(given)}"
        if len(history.calls) >= CALLS_MAX:  # there may have been one that was forgotten
            return f"computed: no result {these} is in {folder}"
        return f"computed for the first time {these}"
    return f"recomputed because {_listed(_of_call(nearest.call, call, origins or {}))}"


def _changes(history: History, code: Code) -> list[str]:
    """What changed since the version of the code that is most like it, of these the last one."""
    found = [list(changes(before, code)) for before in reversed(history.codes)]
    return min(found, key=len, default=[])


def changes(before: Code, now: Code) -> Iterator[str]:
    """What changed from one code to the other, as clauses.

    Examples
    --------
    >>> before = Code("m:f", "f", [Part("f", "1", 6, "", "def f(x):\\n    return x * 2\\n")])
    >>> now = Code("m:f", "f", [Part("f", "2", 6, "", "def f(x):\\n    return x * 3\\n")])
    >>> list(changes(before, now))
    ['line 7 of f changed (return x * 3, before: return x * 2)']
    """
    old = {part.name: part for part in before.parts}
    new = {part.name: part for part in now.parts}
    for name, part in new.items():
        known = old.get(name)
        if known is not None and known.digest != part.digest:
            yield changed(known, part)
    for name, part in new.items():
        if name not in old:
            yield f"{now.name} uses {name} now{_at(part)}"
    for name in old:
        if name not in new:
            yield f"{now.name} does not use {name} any more"


def changed(before: Part, now: Part) -> str:
    """How one part changed: the first line that is another one, where both have lines."""
    if not now.line:
        if before.source and now.source and before.source != now.source:
            return f"{now.name} changed ({_short(now.source)}, before: {_short(before.source)})"
        return f"{now.name} changed"
    found = first_changed(before.source.splitlines(), now.source.splitlines())
    if found is None:
        return f"{now.name} changed{_at(now)}"
    index, was, text = found
    if was and text:
        what = f"{_short(text)}, before: {_short(was)}"
    else:
        what = f"{_short(text)} is new" if text else f"{_short(was)} was removed"
    return f"line {now.line + index} of {now.name}{_in(now)} changed ({what})"


def first_changed(before: Sequence[str], now: Sequence[str]) -> tuple[int, str, str] | None:
    """The first line that counts and is another one: its index in `now`, the line before (empty if it is new) and now
    (empty if it was removed); None if only comments, blank lines and indentation differ."""
    old = [(index, text) for index, line in enumerate(before) if (text := _counts(line))]
    new = [(index, text) for index, line in enumerate(now) if (text := _counts(line))]
    matcher = difflib.SequenceMatcher(None, [text for _, text in old], [text for _, text in new], autojunk=False)
    for kind, start, _, at, _ in matcher.get_opcodes():
        if kind == "equal":
            continue
        was = old[start][1] if kind in ("replace", "delete") else ""
        text = new[at][1] if kind in ("replace", "insert") else ""
        index = new[at][0] if at < len(new) else max(0, len(now) - 1)
        return index, was, text
    return None


def _counts(line: str) -> str:
    """What of a line counts: not its indentation, and no comment that stands alone or behind two blanks."""
    text = line.strip()
    return "" if text.startswith("#") else text.partition("  # ")[0].rstrip()


def _likeness(one: Call, other: Call) -> int:
    same = sum(other.arguments.get(name) == value for name, value in one.arguments.items())
    same += sum(other.inputs.get(name) == value for name, value in one.inputs.items())
    return same + (one.interpreter == other.interpreter) + (one.libraries == other.libraries)


def _other_arguments(before: Call, now: Call) -> list[str]:
    """Which arguments are other ones, if nothing else is."""
    if msgspec.structs.replace(before, arguments=now.arguments) != now:
        return []
    return [name for name, value in now.arguments.items() if before.arguments.get(name) != value]


def _of_call(before: Call, now: Call, origins: Mapping[str, str]) -> Iterator[str]:
    """What of a call is other than in another one of the same code."""
    if before.interpreter != now.interpreter:
        yield f"Python is {now.interpreter}, before: {before.interpreter}"
    for name in sorted({*before.libraries, *now.libraries}):
        was, version = before.libraries.get(name), now.libraries.get(name)
        if was != version and was and version:
            yield f"{name} is {version}, before: {was}"
        elif was != version:
            yield f"{name} {version or was} is {'used now' if version else 'not used any more'}"
    yield from _differing(before.options, now.options, "")
    yield from _of_inputs(before.inputs, now.inputs, origins)
    yield from _differing(before.arguments, now.arguments, "argument ")


def _of_inputs(before: Mapping[str, str], now: Mapping[str, str], origins: Mapping[str, str]) -> Iterator[str]:
    anew: dict[str, list[str]] = {}
    for name, value in now.items():
        if name in origins and before.get(name, value) != value:
            anew.setdefault(origins[name], []).append(name)
    for origin, names in anew.items():
        which = f"inputs {names[0]} and {len(names) - 1} more are" if len(names) > 1 else f"input {names[0]} is"
        yield f"{which} made anew: {origin}"
    told = {name for names in anew.values() for name in names}
    was, rest = ({name: value for name, value in side.items() if name not in told} for side in (before, now))
    yield from _differing(was, rest, "input ")


def _differing(before: Mapping[str, str], now: Mapping[str, str], kind: str) -> Iterator[str]:
    for name in dict.fromkeys([*now, *before]):
        was, value = before.get(name), now.get(name)
        if was == value:
            continue
        if value is None:
            yield f"{kind}{name} is not given any more"
        elif was is None:
            yield f"{kind}{name} is new"
        else:
            yield f"{kind}{name} is another one"


def _listed(clauses: Iterable[str]) -> str:
    found = list(clauses)
    if not found:
        return "something that is not remembered is other than before"
    more = f"; and {len(found) - _SAID_MAX} more" if len(found) > _SAID_MAX else ""
    return "; ".join(found[:_SAID_MAX]) + more


def _at(part: Part) -> str:
    return f" (line {part.line}{_in(part)})" if part.line else ""


def _in(part: Part) -> str:
    return f" in {part.place}" if part.place else ""


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LINE_CHARS_MAX else line[: _LINE_CHARS_MAX - 1] + "…"
