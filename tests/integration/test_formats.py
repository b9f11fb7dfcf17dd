"""What each version wrote that changed a format is read by the present one: `tests/formats`."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

import rain
from rain import Client, RainException
from rain.common.ids import ID
from rain.deploy.pools.on_disk import records
from rain.governor.inheritance.index_format import About, read
from rain.net.auth import KEY_BYTES, Credentials
from rain.notebook.widget_base import VIEW
from rain.processes import connection_files
from rain.server.event_log.event_log import EventLog
from rain.server.event_log.queries import Query

FORMATS = Path(__file__).resolve().parent.parent / "formats"
VERSIONS = [path for path in sorted(FORMATS.iterdir()) if path.is_dir() and path.name[0].isdigit()]
ROOT = Path(rain.__file__).parent.parent

each_version = pytest.mark.parametrize("written", VERSIONS, ids=lambda path: path.name)


def test_there_is_what_the_first_version_wrote() -> None:
    assert "0.1.0" in [path.name for path in VERSIONS]


@each_version
def test_index_of_a_store(written: Path) -> None:
    index = read((written / "store.index").read_bytes())
    assert index is not None
    assert index.about == About("cluster", "host", True, "own", ["earlier"], "/disk")
    (noted,) = index.objects.values()
    assert (noted.id, noted.name, noted.size, noted.checksum) == (ID(1, 2), "2", 7, 99)
    assert (noted.spec.label, noted.spec.user, noted.info.content_type) == ("label", {"a": [1]}, "json")
    assert index.problem == ""


@each_version
def test_token(written: Path) -> None:
    credentials = Credentials.from_token((written / "token.txt").read_text())
    assert credentials.keys == {"client": b"c" * KEY_BYTES}
    assert credentials.fingerprint == b"f" * 32


@each_version
def test_connection_file(written: Path, tmp_path: Path) -> None:
    path = tmp_path / "7210.json"
    path.write_bytes((written / "connection.json").read_bytes())
    path.chmod(0o600)
    file = connection_files.read(path)
    assert (file.address, file.http, file.pid, file.version) == ("127.0.0.1:7210", "127.0.0.1:7222", 1, written.name)
    assert file.credentials.key("governor") == b"g" * KEY_BYTES
    later = json.loads(path.read_text()) | {"of_a_later_version": [1]}
    path.write_text(json.dumps(later))
    assert connection_files.read(path).address == "127.0.0.1:7210"


@each_version
def test_record_of_a_pool(written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    id = json.loads((written / "pool.json").read_text())["id"]
    records.write(records.new_record("other", "slurm", "127.0.0.1:1"))
    (other,) = records.records()
    shutil.copy(written / "pool.json", other.path.with_name(f"{id}.json"))
    other.path.unlink()
    (record,) = records.records()
    assert (record.name, record.engine, record.wanted, record.closed) == ("nights", "slurm", 2, True)
    assert [(place.number, place.job, place.state) for place in record.places] == [(1, "77", "UP")]


@each_version
def test_event_logs(written: Path, tmp_path: Path) -> None:
    """Each is read and continued."""
    for path in sorted(written.glob("events-*.sqlite")):
        copy = tmp_path / path.name
        shutil.copy(path, copy)
        log = EventLog(str(copy))
        try:
            found = list(log.query(Query()))
            assert log.next == found[-1].id + 1
        finally:
            log.close()
        types = [record.type for record in found]
        if path.name == "events-1.sqlite":
            assert types == ["SessionNew", "TaskNew"]
        else:
            assert {"SessionNew", "TaskFinished"} <= set(types), types


@each_version
@pytest.mark.parametrize(("name", "said"), [("function", "ZeroDivisionError"), ("program", "RAIN")])
def test_capsules(written: Path, tmp_path: Path, name: str, said: str) -> None:
    """A function of the same Python, and a program, are repeated."""
    folder = tmp_path / name
    shutil.copytree(written / f"capsule-{name}", folder)
    if name == "function":
        made_by = re.search(r"(?<=python )3\.\d+", (folder / "environment.txt").read_text())
        assert made_by is not None
        if made_by[0] != "{}.{}".format(*sys.version_info):
            pytest.skip(f"the function is pickled by value, for Python {made_by[0]}")
    command = ["sh", "run.sh"] if name == "program" else [sys.executable, "debug.py"]
    env = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    told = done.stdout + done.stderr + "".join(path.read_text() for path in folder.glob("outputs/*"))
    assert said in told, told


@each_version
def test_report(written: Path, tmp_path: Path, client: Client) -> None:
    """It needs nothing but itself, and is known for a report that may be replaced."""
    page = (written / "report.html").read_text(encoding="utf-8")
    assert not re.findall(r"""(?:src|href)=["']?(?:https?:)?//""", page)
    assert "on purpose" not in page
    assert "ZeroDivisionError" in page
    path = tmp_path / "report.html"
    path.write_text(page, encoding="utf-8")
    with client.new_session("new") as session:
        session.report(path)
        assert "new" in path.read_text(encoding="utf-8")
        path.write_text("mine")
        with pytest.raises(RainException, match="no report"):
            session.report(path)


@each_version
def test_saved_displays(written: Path) -> None:
    """A present page knows the live one's type, and any page has a picture and a text."""
    notebook = nbformat.read(written / "saved.ipynb", as_version=4)
    nbformat.validate(notebook)
    live, ended = (output["data"] for output in notebook.cells[0].outputs)
    assert set(live[VIEW]) == {"model_id"}
    assert VIEW not in ended
    for bundle in (live, ended):
        assert "<svg" in bundle["text/html"] or "<img" in bundle["text/html"]
        assert "formats" in bundle["text/plain"]
