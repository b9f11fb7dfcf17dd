"""Writes one of each format that lasts, as the present version does: python -m tests.formats.write FOLDER

Each folder of `tests/formats` holds what the version that it is named after wrote; none is written anew. A version that
changes a format adds one. The journal, its images, and reused results have theirs beside their own tests.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import nbformat

import rain
from rain import Client, TaskException, blob, tasks
from rain.common.ids import ID
from rain.common.location import LocalFile
from rain.common.protocol.encoding import encode
from rain.common.spec import ObjectInfo, ObjectSpec
from rain.deploy.pools.on_disk import records
from rain.governor.core.effects import Known
from rain.governor.inheritance.index_file import IndexFile
from rain.governor.inheritance.index_format import About
from rain.net.auth import KEY_BYTES, Credentials
from rain.notebook.widget import SessionWidget
from rain.objects.held import Held
from rain.processes import connection_files
from rain.server.event_log.batches import EventRecord

CREDENTIALS = Credentials({role: role[:1].encode() * KEY_BYTES for role in ("client", "governor")}, b"f" * 32)
"""No secrets: they open nothing."""


def small_files(folder: Path) -> None:
    """The index of a store, a token, a connection file, the record of a pool."""
    index = IndexFile(str(folder), About("cluster", "host", True, "own", ["earlier"], "/disk"), "/disk/objects")
    spec, info = ObjectSpec(ID(1, 2), "label", user={"a": [1]}), ObjectInfo(size=7, content_type="json")
    index.note(Known(spec, info), Held(LocalFile("/memory/objects/2", 12, 7, 123456789, 99), is_dir=False))
    index.flush()
    (folder / "index").rename(folder / "store.index")
    (folder / "token.txt").write_text(CREDENTIALS.token("client") + "\n")
    described = connection_files.describe_server("127.0.0.1:7210", CREDENTIALS, http="127.0.0.1:7222", pid=1)
    connection_files.write(described, folder / "connection.json")
    os.environ["XDG_STATE_HOME"] = str(folder / "state")
    record = records.new_record("nights", "slurm", "127.0.0.1:7210")
    record.wanted, record.places = 2, [records.PlaceRecord(number=1, job="77", state="UP", governor="n1:1")]
    record.host, record.pid, record.started, record.closed = "another", 1, "1", True
    records.write(record)
    record.path.rename(folder / "pool.json")
    shutil.rmtree(folder / "state")


def event_logs(folder: Path, present: Path) -> None:
    """The log of a server, as it is now; and one of the format before, whose batches are lists of records."""
    target = folder / "events-2.sqlite"
    with closing(sqlite3.connect(present)) as source, closing(sqlite3.connect(target)) as copy:
        source.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")
    with closing(sqlite3.connect(folder / "events-1.sqlite")) as log:
        log.execute("PRAGMA user_version=1")
        log.execute("CREATE TABLE batches (first_id INTEGER PRIMARY KEY, last_id INTEGER, records BLOB)")
        events = [EventRecord(1, 1.5, "SessionNew", 1, None, {"name": "old"}), EventRecord(2, 2.5, "TaskNew", 1, 3, {})]
        log.execute("INSERT INTO batches VALUES (1, 2, ?)", (encode(events),))
        log.commit()


def run_of_tasks(folder: Path) -> None:
    """A report, capsules, and a saved display."""
    with Client.local(cpus=1) as client, client.new_session("formats", seed=1) as session:

        def total(numbers: list[int]) -> int:
            print("adding")
            return sum(numbers) // numbers[0]

        good = session.call(total, [1, 2, 3])
        bad = session.call(total, [0, 1])
        program = tasks.Execute(["tr", "a-z", "A-Z"], stdin=blob("rain"), stdout=True)
        program.keep_outputs()
        assert good.result() == 6
        try:
            bad.result()
        except TaskException:
            pass
        session.report(folder / "report.html")
        bad.capsule(folder / "capsule-function")
        program.capsule(folder / "capsule-program")
        widget = SessionWidget(session)
        client.get_server_info()
        (log,) = Path(client._cluster.folder).rglob("events.sqlite")
        event_logs(folder, log)
        bundles = [widget.bundle(widget.final(1.0)), widget.final(1.0)]
    outputs = [nbformat.v4.new_output("display_data", bundle) for bundle in bundles]
    cell = nbformat.v4.new_code_cell("session", outputs=outputs)
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), folder / "saved.ipynb")


def main() -> None:
    folder = Path(sys.argv[1]) / rain.__version__
    folder.mkdir(parents=True)
    small_files(folder)
    run_of_tasks(folder)


if __name__ == "__main__":
    main()
