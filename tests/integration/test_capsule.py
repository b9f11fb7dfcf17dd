"""Capsules: a task's inputs, code and error in a folder, and its repetition from there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import rain
from rain import Client, Input, Output, RainException, Session, blob, directory, remote, tasks
from rain.capsule.texts import harmless
from tests.integration.cells import Shell, shell
from tests.support.waiting import GUARD_S

__all__ = ["shell"]


ROOT = str(Path(rain.__file__).parent.parent)


def run(folder: Path, *args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run something in a fresh process, from elsewhere."""
    return subprocess.run(
        args,
        cwd="/",
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": ROOT},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=GUARD_S,
        check=False,
    )


def debug(folder: Path) -> subprocess.CompletedProcess[str]:
    return run(folder, sys.executable, str(folder / "debug.py"))


def failed(session: Session) -> None:
    session.submit()
    session.wait_all(raise_on_failure=False, timeout=GUARD_S)


@remote(auto_load=True, auto_encode="json")
def double(ctx: Any, x: int) -> int:
    return 2 * x


def test_a_failed_cell(shell: Shell, tmp_path: Path) -> None:
    shell.cell("def helper(x):\n    return 1 / x")
    shell.cell(
        """
        @remote(auto_encode="json", auto_load=True)
        def f(ctx, first, second, *, power=1):
            print("to stdout")
            return helper(first ** power - second)
        """
    )
    cell = shell.number
    shell.cell("task = f(f(1, 0), 1, power=2, env={'LEVEL': '7'})\nsession.submit()")
    text = shell.cell(f"session.wait_all(raise_on_failure=False)\nprint(task.capsule({str(tmp_path / 'box')!r}))")
    folder = tmp_path / "box"
    assert text == f"{folder}\n"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "inputs" / "00-first").read_text() == "1.0"
    assert f"# --- Cell In[{cell}] ---\n@remote" in (folder / "task.py").read_text()
    assert "def helper(x):" in (folder / "task.py").read_text()
    error = (folder / "error.txt").read_text()
    assert "ZeroDivisionError" in error
    assert "to stdout" in error
    readme = (folder / "README.txt").read_text()
    assert "Call:          (ctx, <inputs/00-first>, 1, power=2)" in readme
    assert f"made at Cell In[{cell + 1}], line 1" in readme
    environment = (folder / "environment.txt").read_text()
    assert "LEVEL=7" in environment
    assert "cloudpickle==" in environment

    done = debug(folder)
    assert done.returncode == 1
    assert f"  Cell In[{cell}], line 4, in f\n    return helper(first ** power - second)\n" in done.stderr
    assert "ZeroDivisionError" in done.stderr
    assert "rerun" not in done.stderr
    stepped = run(folder, sys.executable, "-m", "pdb", str(folder / "debug.py"), stdin="c\nup\nlist\np second\nq\n")
    assert "->\t    return helper(first ** power - second)" in stepped.stdout
    assert "(Pdb) 1" in stepped.stdout


def test_a_finished_function_with_its_modules(session: Session, tmp_path: Path) -> None:
    @remote(outputs=[Output("text"), Output("tree")], inputs={"source": Input(load=True)})
    def make(ctx: Any, source: dict, name: str) -> Any:
        import os

        from tests.support.waiting import GUARD_S

        os.mkdir("tree")
        with open("tree/file", "w") as file:
            file.write(name)
        return [f"{source['x']} {GUARD_S}", ctx.stage_file("tree/file")]

    task = make(blob({"x": 5}, encode="json"), "written")
    session.submit()
    session.wait_all(timeout=GUARD_S)
    task.capsule(tmp_path / "box")
    done = debug(tmp_path / "box")
    assert done.returncode == 0, done.stderr
    assert f"'5 {GUARD_S}'" in done.stdout
    assert (tmp_path / "box/outputs/01").read_text() == "written"
    assert "output 'text'" in debug(tmp_path / "box").stdout, "it can be run again"


def test_a_program(session: Session, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "words").write_text("one two")
    task = tasks.Execute(
        ["sh", "-c", "cat tree/words - > made; echo $MODE; exit 3"],
        stdin=blob("from stdin"),
        input_paths=[rain.InputDir("d", path="tree", dataobj=directory(tmp_path / "tree"))],
        output_paths=["made"],
        stdout="printed",
        env={"MODE": "it's quiet"},
    )
    failed(session)
    folder = Path(task.capsule(tmp_path / "box"))
    assert (folder / "run.sh").stat().st_mode & 0o777 == 0o700
    assert not (folder / "debug.py").exists()
    done = run(folder, "sh", str(folder / "run.sh"))
    assert done.returncode == 3
    outputs = {path.name: path.read_text() for path in (folder / "outputs").iterdir()}
    assert sorted(outputs.values()) == ["it's quiet\n", "one twofrom stdin"]
    assert any(name.endswith("-made") for name in outputs)
    assert run(folder, "sh", str(folder / "run.sh")).returncode == 3, "it can be run again"


def test_builtin_tasks(session: Session, tmp_path: Path) -> None:
    concat = tasks.Concat([blob("a"), blob("b" * 100_000)])
    tree = tasks.MakeDirectory([("x/y", blob("inside"))])
    missing = tasks.SliceDirectory(tree, "nothing")
    failed(session)
    done = debug(Path(concat.capsule(tmp_path / "concat")))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "concat/outputs/00").stat().st_size == 100_001
    assert debug(Path(tree.capsule(tmp_path / "tree"))).returncode == 0
    assert (tmp_path / "tree/outputs/00/x/y").read_text() == "inside"
    done = debug(Path(missing.capsule(tmp_path / "slice")))
    assert (tmp_path / "slice/inputs").is_dir()
    assert "there is no 'nothing' in the directory; it holds 'x'" in done.stderr


def test_before_it_has_run(client: Client, session: Session, tmp_path: Path) -> None:
    task = double(blob(4, encode="json"), resources={"unobtainium": 1})
    after = double(task)
    with pytest.raises(RainException, match="was not submitted"):
        task.capsule(tmp_path / "box")
    client.wait_for_governors(1)
    session.submit()
    session.wait_all(raise_on_failure=False, timeout=GUARD_S)
    assert "    8" in debug(Path(task.capsule(tmp_path / "box"))).stdout
    with pytest.raises(RainException, match=r"its input .* is gone"):
        after.capsule(tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_inputs_that_are_gone(session: Session, tmp_path: Path) -> None:
    first = double(1)
    second = double(first)
    session.submit()
    session.wait_all(timeout=GUARD_S)
    with pytest.raises(RainException, match=r"is gone.*keep\(\)"):
        second.capsule(tmp_path / "box")


def test_paths_that_are_taken(session: Session, tmp_path: Path) -> None:
    task = double("x")
    failed(session)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    with pytest.raises(RainException, match="is not empty"):
        task.capsule(tmp_path / "full")
    with pytest.raises(RainException, match="not a folder"):
        task.capsule(tmp_path / "full/file")
    with pytest.raises(RainException, match="not int"):
        task.capsule(5)  # type: ignore[arg-type]
    (tmp_path / "empty").mkdir()
    assert task.capsule(str(tmp_path / "empty")) == str(tmp_path / "empty")
    assert task.capsule(tmp_path / "new/place") == str(tmp_path / "new/place")
    assert {path.name for path in tmp_path.iterdir()} == {"full", "empty", "new"}


def test_labels_do_not_leave_the_folder(session: Session, tmp_path: Path) -> None:
    names = ["../../../evil", "$(touch evil); -rf"]
    program = tasks.Execute(
        ["sh", "-c", "echo made; exit 1", "\n$(touch evil)\n"],
        stdin=blob("x", label=names[0]),
        stdout=Output(names[1]),
        name="a name\n$(touch evil)",
    )
    joined = tasks.Concat([blob("x", label=name) for name in names], name='"""\nimport os; os.abort()')
    failed(session)
    folder = Path(joined.capsule(tmp_path / "joined"))
    assert sorted(path.name for path in (folder / "inputs").iterdir()) == ["00-evil", "01-touch_evil_-rf"]
    assert debug(folder).returncode == 0
    folder = Path(program.capsule(tmp_path / "program"))
    assert run(folder, "sh", str(folder / "run.sh")).returncode == 1
    assert [path.name for path in (folder / "outputs").iterdir()] == ["00-touch_evil_-rf"]
    assert {path.name for path in tmp_path.rglob("*evil*")} == {"00-evil", "01-touch_evil_-rf", "00-touch_evil_-rf"}


def test_harmless_names() -> None:
    assert harmless(None) == harmless("") == harmless("..") == harmless("///") == ""
    assert harmless("a/../b c") == "-a_.._b_c"
    assert len(harmless("x" * 1000)) < 70


@pytest.mark.parametrize("kind", ["asyncio"])
def test_awaited(session: Session, tmp_path: Path, kind: str) -> None:
    import asyncio

    task = double("x")
    failed(session)
    assert asyncio.run(task.capsule_async(tmp_path / kind)) == str(tmp_path / kind)
