"""`rain cache`: results that sessions have stored for reuse: which there are, what they depend on, and room."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from rain.cli.words.misuse import Misuse
from rain.cli.words.printing import count, printable, table
from rain.common.errors import RainException
from rain.common.formatting import duration_text, parse_bytes, size_text

if TYPE_CHECKING:
    from rain.client.core.reuse.entries import Entry
    from rain.client.core.reuse.reasons import History
    from rain.client.reuse.folder import Folder

app = typer.Typer(
    help="Results that sessions have stored for reuse (cache=).", no_args_is_help=True, add_completion=False
)

_KEY_CHARS = 12
_DAY_S = 86_400.0

FolderOption = Annotated[
    str,
    typer.Option("--folder", metavar="FOLDER", help="as new_session(cache=) names it (default: the user's own)"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON")]


def _opened(path: str) -> Folder:
    # All commands would load the client with it: a third of what they import.
    from rain.client.reuse.folder import Folder, default_folder

    chosen = path or default_folder()
    if not os.path.isdir(chosen):
        raise RainException(f"there is no folder {chosen}, so no results are in it")
    return Folder(chosen, make=False)


def _entries(folder: Folder) -> list[tuple[Entry, int, float]]:
    """All results that can be read, with their sizes and last uses; the one that was used last comes last."""
    from rain.client.core.reuse.entries import Entry

    found = []
    for kept in sorted(folder.kept(), key=lambda kept: kept.used):
        entry = folder.read(kept.key, use=False)
        if isinstance(entry, Entry):
            found.append((entry, kept.size, kept.used))
    return found


@app.command("list")
def list_results(
    folder: FolderOption = "",
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="how many, from the end; 0: all")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List results, those that were used last at the end."""
    opened = _opened(folder)
    entries = _entries(opened)
    shown = entries[-lines:] if lines else entries
    if as_json:
        rows: list[dict[str, Any]] = [
            {
                "key": entry.key, "function": entry.path, "call": entry.arguments, "bytes": size, "made": entry.made,
                "took": entry.took, "used": used,
            }
            for entry, size, used in shown
        ]  # fmt: skip
        print(json.dumps({"folder": opened.path, "results": rows}))
        return
    table(
        ["key", "call", "size", "took", "made", "last used"],
        [
            [
                entry.key[:_KEY_CHARS],
                entry.arguments or entry.name,
                size_text(size),
                "" if entry.took is None else duration_text(entry.took),
                _time(entry.made),
                _time(used),
            ]
            for entry, size, used in shown
        ],
        f"no results are in {opened.path}",
    )
    if entries:
        total = sum(size for _, size, _ in entries)
        print(f"{count(len(entries), 'result')}, {size_text(total)}, in {opened.path}")


@app.command()
def explain(
    what: Annotated[str, typer.Argument(metavar="KEY|FUNCTION", help="the beginning of a key, or a function's name")],
    folder: FolderOption = "",
    as_json: JsonOption = False,
) -> None:
    """Tell what a result depends on, or how a function changed from one run to the other."""
    opened = _opened(folder)
    entries = [entry for entry, _, _ in _entries(opened)]
    chosen = [entry for entry in entries if len(what) >= 4 and entry.key.startswith(what)]
    if chosen:
        _explain_result(opened, chosen[0], as_json)
        return
    histories = [found for found in opened.histories() if what in (found.path, found.path.rpartition(":")[2])]
    if not histories:
        known = sorted({entry.path for entry in entries})
        raise RainException(
            f"no result in {opened.path} has a key that begins with {what!r}, or is of a function with this name; "
            f"there are results of {', '.join(known[:10]) or 'none'}{' …' * (len(known) > 10)}"
        )
    for history in histories:
        _explain_function(history, sum(entry.path == history.path for entry in entries), as_json)


def _explain_result(folder: Folder, entry: Entry, as_json: bool) -> None:
    from rain.client.core.reuse.reasons import History

    history = folder.history(entry.path) or History(entry.path)
    noted = next((noted for noted in history.calls if noted.key == entry.key), None)
    code = next((code for code in history.codes if noted is not None and code.digest == noted.call.code), None)
    if as_json:
        told = {"entry": _plain(entry), "call": _plain(noted), "code": _plain(code)}
        print(json.dumps(told))
        return
    print(printable(f"{entry.arguments or entry.name}, key {entry.key}"))
    took = "" if entry.took is None else f", when it took {duration_text(entry.took)}"
    print(f"made {_time(entry.made)}{took}")
    for output in entry.outputs:
        kind = "directory" if output.data_type == "dir" else output.content_type or "bytes"
        print(printable(f"output {output.label or ''}: {kind}, {size_text(output.content_size)}"))
    if noted is None:
        print("What it depends on is not remembered any more: only that of the last calls of a function is.")
        return
    print("It depends on:")
    parts = code.parts if code is not None else []
    for part in parts:
        where = f"  line {part.line}{f' of {part.place}' if part.place else ''}" if part.line else f"  {part.source}"
        print(printable(f"  {part.name}{where.rstrip()}"))
    for kind, values in (("argument", noted.call.arguments), ("input", noted.call.inputs), ("", noted.call.options)):
        for name, value in values.items():
            print(printable(f"  {kind} {name}".rstrip() + f"  {value[:_KEY_CHARS] if kind == 'argument' else value}"))
    versions = ", ".join(f"{name} {version}" for name, version in sorted(noted.call.libraries.items()))
    print(f"  {noted.call.interpreter}" + (f", {versions}" if versions else ""))


def _plain(value: Any) -> Any:
    """A record for JSON, by the names of its fields; without the bytes of outputs."""
    if isinstance(value, msgspec.Struct):
        return {name: _plain(item) for name, item in msgspec.structs.asdict(value).items() if name != "data"}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _explain_function(history: History, results: int, as_json: bool) -> None:
    from rain.client.core.reuse.reasons import changes

    if as_json:
        print(json.dumps({"results": results, "history": _plain(history)}))
        return
    print(printable(f"{history.path}: {count(results, 'result')}, {count(len(history.codes), 'version')} of its code"))
    for before, now in zip(history.codes, history.codes[1:], strict=False):
        for clause in changes(before, now):
            print(printable(f"  {clause}"))
    for part in history.codes[-1].parts if history.codes else ():
        print(printable(f"  it uses {part.name}" + (f", line {part.line}" if part.line else f", {part.source}")))


@app.command()
def prune(
    folder: FolderOption = "",
    bytes_max: Annotated[
        str, typer.Option("--bytes", metavar="SIZE", help="leave at most so much, say 5G: what was used last")
    ] = "",
    days: Annotated[
        float | None, typer.Option("--unused-days", metavar="DAYS", min=0, help="remove what was not used for so long")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="remove all results")] = False,
) -> None:
    """Remove results. Sessions that run now compute what they miss."""
    opened = _opened(folder)
    if not (bytes_max or days is not None or everything):
        raise Misuse("say what is to go: --bytes SIZE, --unused-days DAYS, or --all")
    kept = opened.kept()
    gone = {one.key for one in kept if everything or (days is not None and one.used < time.time() - days * _DAY_S)}
    opened.remove(*gone)
    removed = len(gone)
    if bytes_max and not everything:
        removed += opened.evict(parse_bytes(bytes_max), 0.0)[0]
    left = opened.kept()
    total = size_text(sum(one.size for one in left))
    print(f"removed {count(removed, 'result')}; {count(len(left), 'result')}, {total}, are left in {opened.path}")


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
