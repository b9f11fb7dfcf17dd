"""`rain pool`: places of engines for a server that `rain start` started, and what is known of all pools of the user."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rain.cli.words.misuse import Misuse
from rain.cli.words.printing import count, table
from rain.common.errors import RainException

if TYPE_CHECKING:
    from rain.deploy.pools.on_disk.records import PoolRecord

app = typer.Typer(
    name="pool", help="Places of a batch system, or of another engine, for a server.", no_args_is_help=True
)

Name = Annotated[str, typer.Argument(metavar="POOL", help="its id or its name, as `rain pool list` tells")]


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def add(
    context: typer.Context,
    engine: Annotated[str, typer.Argument(metavar="ENGINE", help="slurm, …")],
    server: Annotated[str | None, typer.Option("--server", metavar="ADDR", help="default: the one here")] = None,
) -> None:
    """Ask an engine for places: --nodes N, --cpus N, --time TIME …; words after -- go to the engine as they are.

    A process holds the pool until it is removed, or until its server ends.
    """
    from rain.deploy.pools.adding import add_pool

    record = add_pool(server, engine, words(context))
    print(f"pool {record.id}: {count(record.wanted, 'place')} asked for on {engine}, for {record.server}")


@app.command("list")
def list_(
    every: Annotated[bool, typer.Option("--all", help="those that have ended, too")] = False,
) -> None:
    """List your pools, and those whose process has ended while jobs of theirs are still there."""
    from rain.deploy.pools.on_disk import orphans, records

    rows = []
    known = records.known()
    for record in known.records:
        held = records.is_held(record)
        trouble = orphans.settle(record) if held is False and not record.ended else ""
        if not record.ended or every or trouble:
            rows.append(_row(record, held, trouble))
    table(["pool", "engine", "server", "places", "core-hours", ""], rows, "no pools")
    for why in known.unread:
        print(f"rain pool list: {why}", file=sys.stderr)


def _row(record: PoolRecord, held: bool | None, trouble: str) -> list[str]:
    states: dict[str, int] = {}
    for place in record.places:
        states[place.state] = states.get(place.state, 0) + 1
    told = ", ".join(f"{number} {state}" for state, number in states.items()) or "none"
    why = next((place.told for place in record.places if place.state == "pending" and place.told), "")
    notes = [why] if why else []
    if record.ended:
        notes.append("ended")
    elif held is False:
        notes.append(f"its process has ended: `rain pool remove {record.id}` ends its jobs")
    elif held is None:
        notes.append(f"held on {record.host}")
    notes += [trouble] if trouble else []
    core_hours = f"{record.used_core_s / 3600:.2f}"
    return [record.id, record.engine, record.server, told, core_hours, "; ".join(notes)]


@app.command()
def scale(
    pool: Name, places: Annotated[int, typer.Argument(metavar="N", min=0, help="how many it is to have")]
) -> None:
    """Ask for more places, or give some up: first those that wait, then the youngest, whose governors drain."""
    from rain.deploy.pools.on_disk import records, requests

    record = records.record_called(pool)
    requests.ask(record, requests.Request(action="scale", count=places))
    print(f"pool {record.id} is to have {count(places, 'place')}")


@app.command()
def drain(
    pool: Name,
    places: Annotated[
        list[int] | None, typer.Argument(metavar="[PLACE…]", help="by number; without any: all places")
    ] = None,
) -> None:
    """Give up places: their governors finish what they run, hand over what only they hold, and end."""
    from rain.deploy.pools.on_disk import records, requests

    record = records.record_called(pool)
    requests.ask(record, requests.Request(action="drain", places=places or []))
    told = f"{count(len(places), 'place')} of pool {record.id}" if places else f"all places of pool {record.id}"
    print(f"{told} will leave")


@app.command()
def remove(
    pool: Name,
    ended: Annotated[
        bool,
        typer.Option("--ended", help="its process has ended, on another host: its jobs are ended from here"),
    ] = False,
) -> None:
    """Give up all places of a pool, and the pool; also of one whose process has ended."""
    from rain.deploy.pools.on_disk import orphans, records, requests

    record = records.record_called(pool)
    held = records.is_held(record)
    if ended and held:
        raise RainException(f"the process {record.pid} here holds pool {record.id}: remove it without --ended")
    if ended or held is False:
        orphans.end(record)
    else:
        requests.ask(record, requests.Request(action="remove"))
    print(f"pool {record.id} is removed")


def words(context: typer.Context) -> list[str]:
    """The words of a command line that describe a pool: options that the command lacks, and the words after ``--``."""
    return [*context.args, *(context.obj or [])]


def check(context: typer.Context, engine: str | None) -> None:
    """Check the options of a pool on a command line.

    Raises
    ------
    RainException
        If the engine does not take one of them.
    Misuse
        If there are some, but no engine.
    """
    from rain.deploy.pools.adding import check_pool
    from rain.deploy.pools.choice import SUPPLIES, options_of

    if engine is not None:
        check_pool(engine, words(context))
    elif rest := words(context):
        name = rest[0].removeprefix("--").partition("=")[0].replace("-", "_")
        known = {"nodes"}.union(*(options_of(one) for one in SUPPLIES))
        hint = ", but pools have it: name their engine, too" if rest[0].startswith("--") and name in known else ""
        raise Misuse(f"No such option: {rest[0]}{hint}")


def added_or_stopped(server: Path, engine: str, words: list[str]) -> PoolRecord:
    """A pool for a server that was started just now, which is stopped if there can be no pool."""
    from rain.deploy import stop
    from rain.deploy.pools.adding import add_pool
    from rain.processes import connection_files

    file = connection_files.read(server)
    try:
        return add_pool(file.address, engine, words)
    except BaseException:
        stop.stop((server, file))
        raise


def split_verbatim(words: list[str]) -> tuple[list[str], list[str]]:
    """The words before ``--``, and the rest with it, which is for the engine.

    Examples
    --------
    >>> split_verbatim(["pool", "add", "slurm", "--", "--account=abc"])
    (['pool', 'add', 'slurm'], ['--', '--account=abc'])
    """
    if "--" not in words:
        return words, []
    at = words.index("--")
    return words[:at], words[at:]
