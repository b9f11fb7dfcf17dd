"""Scripts show what tasks print, unasked and within bounds; libraries, pytest and those that said no do not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rain.common.limits import ECHO_UNASKED_TASKS_MAX

ROOT = Path(__file__).resolve().parent.parent.parent

SCRIPT = """
import sys
import rain

@rain.task
def work(n):
    print("working on", n)
    print("careful", file=sys.stderr)
    return n

@rain.task
def more(n):
    print("more of", n)

with rain.Client.local(cpus=2) as client:
    with client.new_session("first") as session:
        assert work(3).result() == 3
        print("it was 3")
        session.submit()
    with client.new_session("silent", echo=False) as session:
        work(4).result()
    with client.new_session("many") as session:
        session.run(more.map(range({many})))
    with client.new_session("asked") as session:
        more(-1).result()
        session.echo = True
        session.run(more.map(range({many}, 2 * {many})))
"""


def run(folder: Path, text: str, **variables: str) -> subprocess.CompletedProcess[str]:
    (folder / "script.py").write_text(text)
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    environment |= {"PYTHONPATH": os.pathsep.join([str(ROOT), str(folder / "libraries")]), **variables}
    done = subprocess.run([sys.executable, "script.py"], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done


def test_a_script_shows_what_its_first_tasks_print(tmp_path: Path) -> None:
    many = ECHO_UNASKED_TASKS_MAX + 50
    done = run(tmp_path, SCRIPT.replace("{many}", str(many)))
    lines = done.stdout.splitlines()
    assert lines[:2] == ["[work] working on 3", "it was 3"]
    assert "[work] careful" in done.stderr.splitlines()
    assert not any("working on 4" in line for line in lines)
    numbers = [int(line.rpartition(" ")[2]) for line in lines[2:] if line.startswith("[more] more of")]
    unasked = [number for number in numbers if 0 <= number < many]
    assert 1 <= len(unasked) <= ECHO_UNASKED_TASKS_MAX
    assert f"what more than ECHO_UNASKED_TASKS_MAX ({ECHO_UNASKED_TASKS_MAX}) tasks print" in done.stderr
    assert sorted(number for number in numbers if number >= many) == list(range(many, 2 * many))
    assert numbers.count(-1) == 1


INTERFACES = """
import dask, joblib, rain

def work(n):
    print("working on", n)
    return n

with rain.Client.local(cpus=2) as client:
    with client.executor() as pool:
        assert list(pool.map(work, [1, 2])) == [1, 2]
    print("the executor has ended")
    with joblib.parallel_config("rain"):
        assert joblib.Parallel()(joblib.delayed(work)(n) for n in [3, 4]) == [3, 4]
    print("joblib has returned")
    assert dask.delayed(work)(5).compute(scheduler=rain.dask_get) == 5
    print("dask has returned")
"""


def test_a_script_shows_what_calls_by_an_interface_print(tmp_path: Path) -> None:
    shown = [line.rpartition("] ")[2] for line in run(tmp_path, INTERFACES).stdout.splitlines()]
    assert sorted(shown[:2]) == ["working on 1", "working on 2"]
    assert shown[2] == "the executor has ended"
    assert sorted(shown[3:5]) == ["working on 3", "working on 4"]
    assert shown[5:] == ["joblib has returned", "working on 5", "dask has returned"]


ONE = """
import rain

def work(n):
    print("working on", n)

with rain.Client.local(cpus=1) as client, client.new_session("one") as session:
    session.call(work, 5).result()
"""


def test_a_script_shows_prints_where_rain_is_an_installed_package(tmp_path: Path) -> None:
    """Here a sitecustomize says that the folder of Rain holds installed packages."""
    (tmp_path / "libraries").mkdir()
    named = "import site\nbefore = site.getsitepackages()\nsite.getsitepackages = lambda: [*before, {!r}]\n"
    (tmp_path / "libraries" / "sitecustomize.py").write_text(named.format(str(ROOT)))
    assert run(tmp_path, ONE).stdout == "[work] working on 5\n"


LIBRARY = """
import rain

def work(n):
    print("working on", n)
    return n

def all_of_it(client):
    with client.new_session("inside") as session:
        return session.call(work, 5).result()
"""
USER = """
import rain, sysconfig
from site_library import all_of_it
with rain.Client.local(cpus=1) as client:
    print(all_of_it(client))
"""


@pytest.mark.parametrize("variable", ["", "0"])
def test_silence(tmp_path: Path, variable: str) -> None:
    """By the switch; and in an installed package, here one that a sitecustomize says is one."""
    (tmp_path / "libraries").mkdir()
    (tmp_path / "libraries" / "site_library.py").write_text(LIBRARY)
    if not variable:
        named = "import site\nbefore = site.getsitepackages()\nsite.getsitepackages = lambda: [*before, {!r}]\n"
        (tmp_path / "libraries" / "sitecustomize.py").write_text(named.format(str(tmp_path / "libraries")))
    done = run(tmp_path, USER, RAIN_ECHO=variable)
    assert done.stdout == "5\n"
