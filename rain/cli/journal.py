"""`rain journal`: look at what a server recorded, and cut off what is damaged."""

from __future__ import annotations

from collections import deque
from typing import Annotated, Any

import msgspec
import typer

from rain.cli.words.printing import count, printable, table
from rain.common.errors import RainException
from rain.common.formatting import one_line, size_text

app = typer.Typer(
    help="Look at the journal from which a server comes back.", no_args_is_help=True, add_completion=False
)

Folder = Annotated[str, typer.Argument(metavar="FOLDER", help="of the journal, as `rain start --journal` names it")]


@app.command()
def check(folder: Folder) -> None:
    """Read all of a journal, and say whether a server could come back from it. Nothing is changed."""
    from rain.server.journal.checking import survey
    from rain.server.recovery.records import KINDS

    found = survey(folder, KINDS.values())
    rows = [
        [
            file.name,
            size_text(file.size),
            "an image" if file.records is None else count(file.records, "record"),
            f"Rain {file.rain}" if file.rain else "?",
            file.fingerprint[:12],
            file.state,
        ]
        for file in found.files
    ]
    table(["file", "size", "", "by", "code", ""], rows, f"there is no journal in {folder}")
    if found.damage is not None:
        raise RainException(str(found.damage))
    if found.torn_bytes:
        print(f"The last write was cut short: its {count(found.torn_bytes, 'byte')} are ignored; nothing is lost.")
    if rows:
        print("A server can come back from it.")


@app.command()
def repair(folder: Folder) -> None:
    """Cut a damaged journal where the damage begins. The part behind that is kept aside; no server reads it."""
    from rain.server.journal.checking import repair as cut

    try:
        done = cut(folder)
    except OSError as error:
        raise RainException(f"{folder} cannot be repaired: {error.strerror}") from None
    if not done.files:
        print("Nothing is damaged; nothing was changed.")
        return
    print(
        f"{size_text(done.lost_bytes)} were cut off. The files as they were are in {done.folder}: "
        + ", ".join(done.files)
    )
    print("A server that comes back from this journal knows nothing of what was cut off: governors begin anew.")


@app.command()
def show(
    folder: Folder,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="how many records, from the end; 0: all")] = 20,
) -> None:
    """List what was recorded: when (seconds), of which conversation, and which messages."""
    from rain.server.journal.checking import records
    from rain.server.recovery.records import decode_record

    rows: deque[list[str]] = deque(maxlen=lines or None)
    for name, record in records(folder):
        try:
            told = _told(decode_record(record.kind, record.payload))
        except RainException as error:
            told = ["?", "", str(error)]
        rows.append([name.partition(".")[0], str(record.offset), size_text(len(record.payload)), *told])
    table(["segment", "byte", "size", "second", "record", ""], list(rows), "nothing was recorded since the last image")


def _told(record: Any) -> list[str]:
    """When a record was made, what it is, and what is in it."""
    values = {name: getattr(record, name) for name in record.__struct_fields__ if name != "now"}
    packets = values.pop("packets", ())
    words = [f"{name} {_short(value)}" for name, value in values.items() if value not in ("", [], 0)]
    if packets:
        words.append(", ".join(f"{name} × {number}" for name, number in _messages(packets).items()))
    return [f"{record.now:.3f}", type(record).__name__, "; ".join(words)]


def _messages(packets: list[bytes]) -> dict[str, int]:
    """What kinds of messages are in packets of a conversation, and how many of each."""
    found: dict[str, int] = {}
    for packet in packets:
        for message in msgspec.msgpack.decode(packet)[-1]:
            name = printable(str(message[0]))
            found[name] = found.get(name, 0) + 1
    return found


def _short(value: object) -> str:
    text = printable(one_line(str(value)))
    return text if len(text) <= 100 else text[:99] + "…"
