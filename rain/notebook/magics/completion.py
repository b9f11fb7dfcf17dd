"""Completion on the lines of the magics: options, content types, names of sessions, tasks and objects."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from rain.client.active_session import get_active_session
from rain.client.data import DataObject
from rain.client.handles import inside
from rain.client.task import Task
from rain.common.errors import RainException
from rain.deploy.pools.choice import SUPPLIES, options_of
from rain.notebook.magics import api
from rain.notebook.magics.remote_line_parser import LOAD, OPTIONS
from rain.objects.content_types.registry import names as names_of_types
from rain.objects.data_instance import DataInstance

_OPTIONS = {"rain_connect": ("--local", "--on", "--session"), "rain_remote": OPTIONS, "rain_tasks": ("--limit",)}
_LINE = re.compile(r"\s*(?:[\w.,\s]+=\s*)?%{1,2}(rain_\w+)\s+(.*)", re.DOTALL)
_ON = re.compile(r"--on[ =]+(\S+)\s")
_TOKEN = re.compile(r"[^\s:=,()]*$")
_NAMES_MAX = 200
_ASK_S = 1.0


def candidates(line: str, names: dict[str, Any]) -> tuple[str, list[str]] | None:
    """What the end of `line` may become.

    Parameters
    ----------
    line : str
        Up to the cursor.
    names : dict
        The notebook's variables.

    Returns
    -------
    (str, list of str) or None
        The beginning of the word, and what the whole word may be; None if this is no line of ours.
    """
    match = _LINE.fullmatch(line)
    if match is None:
        return None
    magic, rest = match[1], match[2]
    if magic in ("rain_fetch", "rain_inspect"):
        return rest, [name for name in [*_names_in_session(), *_variables(names)] if name.startswith(rest)]
    token = _TOKEN.search(rest)
    word = token[0] if token is not None else ""
    before = rest[: len(rest) - len(word)]
    return word, [choice for choice in _choices(magic, before, word, names) if choice.startswith(word)]


def _choices(magic: str, before: str, word: str, names: dict[str, Any]) -> Iterable[str]:
    options = _OPTIONS.get(magic, ())
    if before.rstrip(" =").endswith("--session"):
        return _sessions()
    if before.rstrip(" =").endswith("--auto-encode"):
        return names_of_types()
    if magic == "rain_remote":
        if before.rstrip().endswith(":"):
            return names_of_types() if "->" in before else [LOAD, *names_of_types()]
        if "--run" in before and before.endswith("="):
            return _variables(names)
        if "(" in before:
            return ()
    on = _ON.search(before)
    if before.rstrip(" =").endswith("--on"):
        return list(SUPPLIES)
    if word and not word.startswith("-"):
        return ()
    if on is not None and on[1] in SUPPLIES:
        known = [*api.ON, *options_of(on[1])] if " -- " not in before else []
        options = tuple(f"--{name.replace('_', '-')}" for name in known if name != "arguments")
    elif magic == "rain_connect" and "--local" in before:
        options = tuple(option for option in options if option != "--on")
    return [option for option in options if not re.search(rf"{option}(?![\w-])", before)]


def _variables(names: dict[str, Any]) -> list[str]:
    return sorted(
        name
        for name, value in names.items()
        if not name.startswith("_") and isinstance(value, Task | DataObject | DataInstance)
    )


def _names_in_session() -> list[str]:
    try:
        session = get_active_session()
    except RainException:
        return []
    records = [
        record for record in list(inside(session).mirror.records.values()) if not getattr(record, "hidden", False)
    ]
    found: dict[str, None] = {}
    for record in reversed(records):  # the newest ones first
        name = getattr(record.spec, "name", None) or getattr(record.spec, "label", None)
        if name:
            found[name] = None
        if len(found) == _NAMES_MAX:
            break
    return list(found)


def _sessions() -> list[str]:
    client = api.opened()
    if client is None:
        return []
    try:
        return sorted({summary.name for summary in client.sessions(timeout=_ASK_S)})
    except (RainException, TimeoutError):
        return []


def _matcher(shell: Any) -> Any:
    from IPython.core.completer import SimpleCompletion, context_matcher

    @context_matcher()  # type: ignore[untyped-decorator]
    def rain_matcher(context: Any) -> Any:
        found = candidates(context.text_until_cursor, shell.user_ns)
        if found is None:
            return {"completions": []}
        word, choices = found
        # The completer replaces the word as it sees it, which may begin later than ours.
        seen = context.token if word.endswith(context.token) else word
        cut = len(word) - len(seen)
        return {
            "completions": [SimpleCompletion(choice[cut:], type="param") for choice in choices],
            "matched_fragment": seen,
            "suppress": bool(choices),
        }

    return rain_matcher


_IDENTIFIER = "rain_matcher"


def install(shell: Any) -> None:
    """Let `shell` complete."""
    remove(shell)
    shell.Completer.custom_matchers.append(_matcher(shell))


def remove(shell: Any) -> None:
    """Undo `install`."""
    matchers = shell.Completer.custom_matchers
    matchers[:] = [matcher for matcher in matchers if getattr(matcher, "__name__", "") != _IDENTIFIER]
