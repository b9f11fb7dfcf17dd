"""What the file of a report holds, and what it never holds."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from rain import RainException, Session, TaskState, blob, remote
from rain.client.core.records import ObjectRecord, TaskRecord
from rain.common.protocol.messages import TaskUpdate
from rain.common.spec import TaskError, TaskInfo
from rain.notebook.details import object_facts
from rain.notebook.graph_model import View
from rain.notebook.protocol.data import (
    Column,
    DirectoryPage,
    Entry,
    HexPage,
    HexRow,
    InspectionAnswer,
    TablePage,
    TextPage,
    TreeNode,
    TreePage,
)
from rain.notebook.protocol.details import Output
from rain.notebook.report import previews
from rain.notebook.report.gathering import encoded, gathered
from rain.notebook.report.lives import Lives
from rain.notebook.report.page import page
from rain.notebook.report.previews import ROWS_MAX, TEXT_CHARS_MAX, shortened
from rain.notebook.report.redaction import CHARS_MIN, HIDDEN, Secrets
from rain.notebook.report.scenes import Scenes

GOVERNOR = "127.0.0.1:7001"


@remote()
def split(ctx: Any, x: Any) -> Any:
    return x


@remote()
def join(ctx: Any, *xs: Any) -> Any:
    return xs


class Run:
    """A detached session whose tasks are said to have run."""

    def __init__(self) -> None:
        self.session = Session(None, 7, "run")
        self.mirror = self.session._inside.mirror

    def submit(self) -> None:
        self.mirror.submitting(list(self.mirror.pending))
        self.mirror.pending.clear()

    def say(
        self, task: Any, state: TaskState, start: float | None = None, seconds: float | None = None, **error: Any
    ) -> None:
        info = None if start is None else TaskInfo(start_time=start, duration=seconds, governor=GOVERNOR, attempts=1)
        told = TaskError(**error) if error else None
        self.mirror.fold([TaskUpdate(task.id, state, info, told)], [])

    def view(self, nodes_max: int = 500, now: float = 200.0) -> View:
        view = View(7, "run", nodes_max)
        records = list(self.mirror.records.values())
        view.fold(
            [r for r in records if isinstance(r, TaskRecord)], [r for r in records if isinstance(r, ObjectRecord)], now
        )
        return view


def test_lives_tell_who_waited_for_whom() -> None:
    run = Run()
    with run.session.bind_only():
        text = blob("text", "text")
        first, bad = split(text), split(text)
        last, never, new = join(first), join(bad), None
        run.submit()
        new = join(last)
    run.say(first, TaskState.FINISHED, 100.0, 2.0)
    run.say(bad, TaskState.FAILED, 101.0, 4.0, kind="exception", message="ValueError: no")
    run.say(last, TaskState.RUNNING)
    run.say(never, TaskState.FAILED, kind="dependency", message="not run", cause=bad.id)
    found = Lives(run.view(now=110.0), 110.0)
    lives = {key: (life.first, [tuple(change) for change in map(_pair, life.changes)]) for key, life in found.all()}
    assert (found.began, found.ended) == (100.0, 110.0)
    assert lives[f"t{first.id.id}"] == ("waiting", [(0, "ready"), (0, "running"), (2_000_000, "finished")])
    assert lives[f"o{first.output.id.id}"][0] == "unfinished"
    assert lives[f"t{bad.id.id}"][1][-1] == (5_000_000, "failed")
    assert lives[f"t{last.id.id}"] == ("waiting", [(2_000_000, "ready"), (10_000_000, "running")])
    assert lives[f"t{never.id.id}"][1][-1][0] == 5_000_000, "it is settled when the task failed that it needs"
    assert lives[f"t{new.id.id}"] == ("new", [])


def _pair(change: Any) -> tuple[int, str]:
    return change.at, change.state


def test_lives_of_clocks_that_disagree_go_forward_and_end_well() -> None:
    run = Run()
    with run.session.bind_only():
        first = split(blob("x", "x"))
        last = join(first)
        run.submit()
    run.say(first, TaskState.FINISHED, 100.0, 5.0)
    run.say(last, TaskState.FINISHED, 99.0, 1.0)  # by the clock of another host it began before its input was there
    for _, life in Lives(run.view(), 200.0).all():
        ats = [change.at for change in life.changes]
        assert ats == sorted(ats)
        assert min(ats, default=0) >= 0
    found = dict(Lives(run.view(), 200.0).all())
    assert found[f"t{last.id.id}"].changes[-1].state == "finished"


def test_each_group_is_laid_out_opened_until_the_bounds() -> None:
    run = Run()
    with run.session.bind_only():
        for n in range(40):
            split(blob("x", "x"), name=f"{n % 4}/{n}")
        run.submit()
    view = run.view(nodes_max=0)
    before = view.snapshot(200.0).topology
    found = Scenes(view, 200.0)
    assert found.left_out == 0
    closed = [node for node in before.nodes if node.kind == "group"]
    assert {node.key for node in closed} <= {scene.opened for scene in found.scenes}
    assert {scene.above for scene in found.scenes if scene.opened} <= {scene.opened for scene in found.scenes}
    numbers = [scene.topology.number for scene in found.scenes]
    assert len(set(numbers)) == len(numbers)
    for scene in found.scenes:
        assert set(scene.geometry.nodes) == {node.key for node in scene.topology.nodes} <= set(found.status)
    tasks = {f"t{number}" for number in view.tree.tasks}
    assert {key for keys in found.members.values() for key in keys} >= tasks
    assert [node.key for node in view.snapshot(200.0).topology.nodes] == [node.key for node in before.nodes]


def packed(text: str) -> Any:
    (data,) = re.findall(r'id="rain-data">([^<]*)</script>', text)
    return json.loads(gzip.decompress(base64.b64decode(data)))


def test_the_page_lets_nothing_in_but_itself() -> None:
    run = Run()
    with run.session.bind_only():
        split(blob("x", "x"), name="<script>alert(1)</script>")
        run.submit()
    report, secrets = gathered(run.session, ["msgspec", "no-such-thing"], 1.0)
    text = page(report, encoded(report, secrets), "shows();", secrets.hide_all)
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert policy.startswith("default-src 'none';")
    assert not re.search("unsafe|http", policy)
    digest = base64.b64encode(hashlib.sha256(b"shows();").digest()).decode()
    assert f"script-src 'sha256-{digest}';" in policy
    assert text.count("<script") == 2
    assert text.index("Content-Security-Policy") < text.index("<style>")
    assert not re.search(r"""\s(on\w+|style|src|href)=""", text.partition("<svg")[0] + text.partition("</svg>")[2])
    told = packed(text)
    assert [one["name"] for one in told["versions"]][-2:] == ["msgspec", "no-such-thing"]
    assert "not installed" in told["versions"][-1]["version"]
    assert any("detached" in note for note in told["notes"])
    with pytest.raises(RainException, match="markup"):
        page(report, b"{}", "'</script>'", secrets.hide_all)


def test_a_secret_with_markup_in_it_is_in_no_picture() -> None:
    run, secret = Run(), "sv=2024&sig=<abc>"
    with run.session.bind_only():
        split(blob("x", "x"), name=f"get {secret}", env={"URL": secret})
        run.submit()
    report, secrets = gathered(run.session, [], 1.0)
    text = page(report, encoded(report, secrets), "shows();", secrets.hide_all)
    assert f"get {HIDDEN}" in text
    assert "sig=" not in text


def test_secrets_are_taken_out_of_texts_only() -> None:
    environment = {"API_TOKEN": "planted-token", "HOME": "/home/somebody", "SHORT_SECRET": "1", "PASSWORD": "finished"}
    secrets = Secrets(environment, [{"ANYTHING": "given to a task"}], ["rain1-abc"])
    text = "planted-token, /home/somebody, 1, given to a task, rain1-abc"
    assert secrets.hide(text) == f"{HIDDEN}, /home/somebody, 1, {HIDDEN}, {HIDDEN}"
    run = Run()
    with run.session.bind_only():
        task = split(blob("x", "x"), name="planted-token", env={"ANYTHING": "given to a task"})
        run.submit()
    run.say(task, TaskState.FINISHED, 100.0, 1.0)
    report, _ = gathered(run.session, [], 1.0)
    report.outputs[f"t{task.id.id}"] = Output("it is planted-token", 'of "given to a task"')
    data = encoded(report, secrets).decode()
    assert not re.search("planted-token|given to a task", data)
    told = json.loads(data)
    assert told["outputs"][f"t{task.id.id}"] == {"stdout": f"it is {HIDDEN}", "stderr": f'of "{HIDDEN}"'}
    assert told["rows"][0]["state"] == "finished", "a word of the report is not a secret's"
    assert told["details"][f"t{task.id.id}"]["options"]["env"] == {"ANYTHING": HIDDEN}


def test_folders_of_this_process_are_no_secrets() -> None:
    secrets = Secrets({"PWD": "/home/me/project", "OLDPWD": "/home/me", "DB_PWD": "hunter22"}, [])
    assert secrets.hide("/home/me/project/a.py hunter22") == f"/home/me/project/a.py {HIDDEN}"


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("secretive-word", HIDDEN),
        ("a secretive-word, secretive-word", f"a {HIDDEN}, {HIDDEN}"),
        ("secretive-", "secretive-"),  # nothing says that it was cut
        ("a secretive-…", f"a {HIDDEN}…"),
        ("a secret… and more", f"a {HIDDEN}… and more"),
        ("a secre…", "a secre…"),  # too little is left
        ("…etive-word, b", f"…{HIDDEN}, b"),
        ("… 17 characters left out\nsecretive-word", f"… 17 characters left out\n{HIDDEN}"),
        ("…cretive…", f"…{HIDDEN}…"),
        ("…cretive, and", "…cretive, and"),  # not as it goes on in the secret
        ("…retive-word/…", f"…{HIDDEN}/…"),
        ("sesecretive-word", f"se{HIDDEN}"),
        ("secretsecretive-word", f"secret{HIDDEN}"),
        ("line-two…", f"{HIDDEN}…"),
    ],
)
def test_what_is_left_of_secrets_in_texts_that_were_cut_is_hidden(text: str, hidden: str) -> None:
    secrets = Secrets({}, [{"A": "secretive-word"}, {"B": "first\nline-two-of-it"}])
    assert secrets.hide(text) == hidden


def test_no_cut_leaves_a_part_of_a_secret() -> None:
    """Wherever a secret stands in a name, an error or an output, and wherever these are cut."""
    run, secret = Run(), "planted-in-a-variable"
    with run.session.bind_only():
        made = [split(blob("x", "x"), name="n" * before + secret + "n" * 30, env={"A": secret}) for before in range(40)]
        run.submit()
    for before, task in enumerate(made):
        run.say(task, TaskState.FAILED, 100.0, 1.0, kind="exception", message="E" * (180 + before) + secret + "e" * 40)
    report, secrets = gathered(run.session, [], 1.0)
    data = encoded(report, secrets).decode()
    text = page(report, data.encode(), "shows();", secrets.hide_all)
    for start in range(len(secret) - CHARS_MIN + 1):
        assert secret[start : start + CHARS_MIN] not in data
        assert secret[start : start + CHARS_MIN] not in text


def test_each_task_may_have_secrets_of_its_own() -> None:
    secrets = Secrets({}, [{"RUN": f"run-{n:06d}", "TEXT": f'"{n:06d}"\x1bä'} for n in range(3000)])
    assert secrets.hide('it is run-000017, "002999"\x1bä and run-009999') == f"it is {HIDDEN}, {HIDDEN} and run-009999"
    assert secrets.hide("it …n-000017 and run-00…") == f"it …{HIDDEN} and {HIDDEN}…"
    assert secrets.may_be_in(json.dumps('of "000001"\x1bä', ensure_ascii=False).encode())
    assert not secrets.may_be_in(b'"nothing of them"')


def test_odd_texts_can_be_written() -> None:
    run = Run()
    with run.session.bind_only():
        split(blob("x", "x"), name="a")
    report, secrets = gathered(run.session, [], 1.0)
    report.notes.append("\ud800")
    assert json.loads(encoded(report, secrets))["notes"][-1] == "\\ud800"


@pytest.mark.parametrize(
    ("whole", "kept"),
    [
        (TextPage(encoding="utf-8", offset=0, end=9000, size=9000, size_text="9 kB", text="ä" * 4500), TEXT_CHARS_MAX),
        (
            HexPage(
                offset=0,
                end=4096,
                size=9000,
                size_text="9 kB",
                rows=[HexRow(16 * n, "00 " * 15 + "00", ".") for n in range(256)],
            ),
            ROWS_MAX,
        ),
        (
            TablePage(
                columns=[Column("a", "int")],
                column=0,
                width=1,
                index=["0"] * 100,
                rows=[["1"]] * 100,
                offset=0,
                total=5000,
                summary=[],
            ),
            ROWS_MAX,
        ),
        (DirectoryPage(entries=[Entry(str(n), "file") for n in range(100)], offset=0, total=100), 40),
        (
            TreePage(
                at=[],
                node=TreeNode("", "array", "", 100, 0, [TreeNode(str(n), "number", "1", None) for n in range(100)]),
            ),
            40,
        ),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, int) else str(value),
)
def test_previews_are_beginnings_that_say_so(whole: Any, kept: int) -> None:
    begin = shortened(whole)
    assert "beginning" in begin.note
    items = (
        next(
            value for value in (getattr(begin, name, None) for name in ("text", "rows", "entries")) if value is not None
        )
        if not isinstance(begin, TreePage)
        else begin.node.children
    )
    assert len(items) == kept
    size = getattr(begin, "size", None) or getattr(begin, "total", None)
    assert size is None or size == getattr(begin, "end", kept), "no view asks for more"
    small = DirectoryPage(entries=[], offset=0, total=0)
    assert shortened(small) == small


def test_a_result_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    run, never = Run(), threading.Event()
    with run.session.bind_only():
        made = [split(blob("x", "x")) for _ in range(3)]
        for task in made:
            task.output.keep()
    asked: list[int] = []

    class Looks:
        def __init__(self, number: int) -> None:
            self.number = number

        def page(self, _: Any) -> Any:
            asked.append(self.number)
            if len(asked) == 2:
                never.wait()
            text = TextPage(encoding="utf-8", offset=0, end=1, size=1, size_text="1 B", text="a")
            return InspectionAnswer(object_facts(run.mirror.records[self.number]), ["text"], text), []  # type: ignore[arg-type]

    monkeypatch.setattr(previews, "inspection_of", lambda obj, seconds: Looks(obj.id.id))
    monkeypatch.setattr(previews, "why_not_open", lambda session, record: None)
    shown, note = previews.previews_of(run.session, run.view(), time.monotonic() + 0.2, str)
    assert (len(made), len(shown), note) == (3, 1, "2 results are not shown.")
    never.set()


def test_only_reports_are_replaced(tmp_path: Path) -> None:
    run = Run()
    mine = tmp_path / "data.csv"
    mine.write_text("1,2,3")
    with pytest.raises(RainException, match="is no report of Rain"):
        run.session.report(mine)
    assert mine.read_text() == "1,2,3"
    with pytest.raises(RainException, match="is a folder"):
        run.session.report(tmp_path)
    with pytest.raises(RainException, match="there is no folder"):
        run.session.report(tmp_path / "none" / "run.html")
    with pytest.raises(RainException, match="packages is a list of names"):
        run.session.report(tmp_path / "run.html", packages="numpy")
    with pytest.raises(RainException, match="the path of a file"):
        run.session.report(3)  # type: ignore[arg-type]
    assert [path.name for path in tmp_path.iterdir()] == ["data.csv"]
    first = run.session.report(tmp_path / "run.html")
    assert first == str(tmp_path / "run.html")
    before = Path(first).read_text()
    with run.session.bind_only():
        split(blob("x", "x"))
    assert run.session.report(first) == first
    assert Path(first).read_text() != before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.csv", "run.html"]


def test_the_seeds_of_the_session_are_told() -> None:
    def told(session: Session) -> dict[str, str]:
        return {one.name: one.version for one in gathered(session, [], 1.0)[0].versions}

    run = Run()
    with run.session.bind_only():
        split(blob(b"1"))
        assert "Seed of rain.rng()" not in told(run.session)
        run.session.seed = 42
        assert told(run.session)["Seed of rain.rng()"] == "42"
        split(blob(b"2"))
        assert told(run.session)["Seed of rain.rng()"] == "42"
        run.session.seed = 43
        join(split(blob(b"3")), blob(b"4"))
        assert told(run.session)["Seed of rain.rng()"] == "42 (1 task), 43 (2 tasks)"
        report, secrets = gathered(run.session, [], 1.0)
        assert "42 (1 task), 43 (2 tasks)" in page(report, encoded(report, secrets), "", secrets.hide_all)
