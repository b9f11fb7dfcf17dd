"""What is tried of an installed Rain, in the environment where it was installed: python tools/smoke.py [--bare]

It finds nothing of a clone: it is copied into an empty folder first. ``--bare``: without the libraries of the extras.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import subprocess
import sys
import sysconfig
from pathlib import Path

import rain
from rain import Client, InputDir, Output, Program, blob, directory, pickled, task, tasks


@task
def square(x: int) -> int:
    return x * x


def cluster() -> None:
    """A function, a map, a program, a directory, a check and a report."""
    upper = Program(["tr", "a-z", "A-Z"], stdin="text", stdout=Output("loud", content_type="text"))
    count = Program(["ls", InputDir("folder")], stdout=Output("names", content_type="text"))
    Path("given").mkdir()
    Path("given", "a.txt").write_text("a")
    with Client.local(cpus=2) as client, client.new_session("smoke", seed=1) as session:
        assert session.check(square), session.check(square)
        assert session.run(square.map(range(50))) == [x * x for x in range(50)]
        assert session.run(upper(text=blob("rain"))) == "RAIN"
        assert session.run(count(folder=directory("given"))) == "a.txt\n"
        made = tasks.MakeDirectory([("in/b.txt", blob("b"))])
        made.keep_outputs()
        session.submit()
        made.output.fetch().write("taken")
        assert Path("taken", "in", "b.txt").read_text() == "b"
        assert "<html" in Path(session.report("run.html")).read_text(encoding="utf-8")


def libraries() -> None:
    """Arrays, tables and the live graph."""
    import numpy as np
    import pandas as pd

    from rain.notebook.assets import asset, loader
    from rain.notebook.widget import SessionWidget

    with Client.local(cpus=1) as client, client.new_session("values") as session:
        doubled = session.call(lambda x: x * 2, pickled(np.arange(100_000))).result()
        assert (doubled == 2 * np.arange(100_000)).all()
        table = session.run(session.call(lambda: pd.DataFrame({"a": [1, 2]})))
        assert list(table["a"]) == [1, 2]
        assert "<img" in SessionWidget(session).final(1.0)["text/html"]
    assert "render" in loader()
    assert len(asset("app.js")) > 100_000


def shipped() -> None:
    """Types, licences, and the command."""
    files = {str(path) for path in importlib.metadata.files("rain") or ()}
    assert "rain/py.typed" in files
    licences = [name for name in files if "dist-info/licenses/" in name]
    assert {Path(name).name for name in licences} == {"LICENSE", "LICENSES.txt"}, licences
    (told,) = (path.locate() for path in importlib.metadata.files("rain") or () if path.name == "LICENSES.txt")
    for what in ("Preact", "Graphviz", "hpcc-js", "Eclipse Public License", "Apache License", "MIT"):
        assert what in Path(str(told)).read_text(encoding="utf-8"), what
    command = str(Path(sysconfig.get_path("scripts"), "rain"))
    version = subprocess.run([command, "--version"], capture_output=True, text=True, check=True).stdout
    assert importlib.metadata.version("rain") == rain.__version__
    assert rain.__version__ in version
    looked = subprocess.run([command, "doctor"], capture_output=True, text=True, check=False)
    assert looked.returncode == 0, looked.stdout + looked.stderr
    assert "a task" in looked.stdout


def main() -> None:
    assert importlib.util.find_spec("tests") is None, "a clone is on the path"
    cluster()
    if "--bare" not in sys.argv[1:]:
        libraries()
    shipped()
    print(f"rain {rain.__version__} works on Python {sys.version.split()[0]}")


if __name__ == "__main__":
    main()
