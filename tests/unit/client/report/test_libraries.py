"""Libraries that are other ones on other hosts: what the user is told, when, and how often."""

from __future__ import annotations

import warnings

import pytest

from rain import Session, TaskException, remote
from rain.client.report import libraries
from rain.client.report.libraries import (
    Difference,
    LibraryComparison,
    advice,
    differences,
    differing_hosts,
    named,
    table,
)
from rain.common.errors import RainWarning
from rain.common.limits import LIBRARIES_SHOWN_MAX
from rain.common.protocol.messages import GovernorLibraries, LibrariesThere
from rain.common.spec import TaskError
from rain.host.libraries import installed_versions
from rain.host.machine import host_id
from tests.unit.client.fake import FakeLink

FAR = GovernorLibraries("far:1", "far", {"pandas": "2.2.0", "numpy": "2.4.6"})
UNPICKLED = "The function f could not be unpickled in the executor."


@remote
def work(ctx):
    return b""


def test_what_is_the_same_is_no_difference() -> None:
    here = {"numpy": "2.4.6", "pandas": "3.1.1", "polars": "2.1", "torch": "2.1.0+cpu"}
    there = {"numpy": "2.4.6", "pandas": "2.2.0", "torch": "2.1.0+cu121", "scipy": "1.0"}
    assert differences(here, there) == [Difference("pandas", "3.1.1", "2.2.0"), Difference("polars", "2.1", "")]


def test_hosts_with_the_same_difference_share_a_line() -> None:
    governors = [GovernorLibraries(f"n{number}:1", f"n{number}", {"numpy": "1.0"}) for number in range(5)]
    governors += [GovernorLibraries("n0:2", "n0", {"numpy": "1.0"}), GovernorLibraries("m:1", "m", {})]
    assert table(differing_hosts({"numpy": "2.0"}, governors)).splitlines() == [
        "    library  here  there          hosts",
        "    numpy    2.0   not installed  m",
        "    numpy    2.0   1.0            n0, n1, n2 and 2 more",
    ]
    many = {Difference(f"lib{number}", "1", "2\x1b[31m"): ["n"] for number in range(100)}
    shown = table(many)
    assert shown.count("\n") == LIBRARIES_SHOWN_MAX + 1
    assert shown.endswith(f"and {100 - LIBRARIES_SHOWN_MAX} more")
    assert "\x1b" not in shown


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ModuleNotFoundError: No module named 'pandas'", ["pandas"]),
        ("ModuleNotFoundError: No module named 'sklearn.tree'", ["scikit-learn"]),
        ("AttributeError: module 'numpy._core' has no attribute 'multiarray2'", ["numpy"]),
        ("AttributeError: Can't get attribute 'Thing' on <module 'torch.nn' from '/x/torch/nn.py'>", ["torch"]),
        ("ImportError: cannot import name 'x' from 'jax' (/x)", ["jax"]),
        ('  File "/a/site-packages/pandas/_libs.py", line 1\nTypeError: 3 arguments\n' + UNPICKLED, ["pandas"]),
        ('  File "/a/site-packages/pandas/_libs.py", line 1\nTypeError: 3 arguments', []),
        ("ModuleNotFoundError: No module named 'tkinter'", []),
        ("ValueError: wrong", []),
    ],
)
def test_the_library_in_question(text: str, found: list[str]) -> None:
    assert named(TaskError("exception", text)) == found


def test_advice_names_both_versions_or_that_it_is_missing() -> None:
    def told(text: str, **here: str) -> str:
        return " ".join(advice(TaskError("exception", text), FAR, here))

    differs = told("No module named 'pandas.core.new'", pandas="3.1.1")
    assert "pandas is 3.1.1 here and 2.2.0 on far" in differs
    assert 'pip install "pandas==3.1.1"' in differs
    missing = told("No module named 'polars'", polars="2.1")
    assert "polars is not installed on far, where the task ran, and is 2.1 here" in missing
    assert 'pip install "polars==2.1"' in missing
    own = told("No module named 'my_module'")
    assert "my_module is not installed on far" in own
    assert "pip" not in own, "who knows what has that name there"
    assert told("No module named 'numpy.old'", numpy="2.4.6") == ""
    assert told("No module named 'installed.part'") == "", "a part is missing, and the rest may be there"


def _warned(session: Session) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        session.submit()
    assert all(one.category is RainWarning and one.filename == __file__ for one in caught if "versions" in str(one))
    return [str(one.message) for one in caught]


def test_each_difference_is_said_once(link: FakeLink, monkeypatch: pytest.MonkeyPatch) -> None:
    imported = {"numpy": object()}
    monkeypatch.setattr(libraries, "sys", type("sys", (), {"modules": imported}))
    session = link.client.new_session("test")
    here = installed_versions()
    link.client._connection.has_other_hosts = True
    link.say(LibrariesThere([GovernorLibraries("near:1", host_id(), {})]))
    assert _warned(session) == [], "executors on this host use this interpreter"
    link.say(LibrariesThere([GovernorLibraries("far:1", "far", {"numpy": "0.1"})]))
    (text,) = _warned(session)
    assert [line.split() for line in text.splitlines()[2:3]] == [["numpy", here["numpy"], "0.1", "far"]]
    assert "pandas" not in text, "it is not imported"
    assert _warned(session) == []
    link.say(LibrariesThere([GovernorLibraries("same:1", "same", {"numpy": "0.1"})]))
    assert _warned(session) == [], "another host of the same kind"
    imported["pandas"] = object()
    (text,) = _warned(session)
    assert "numpy" not in text
    assert f"pandas   {here['pandas']}" in text
    assert "not installed  far, same" in text


def test_nothing_is_said_where_all_governors_are_here(session: Session, link: FakeLink) -> None:
    link.say(LibrariesThere([GovernorLibraries("far:1", "far", {})]))
    assert _warned(session) == []


def test_a_failed_task_tells_of_the_versions(session: Session, link: FakeLink) -> None:
    link.say(LibrariesThere([GovernorLibraries("far:1", "far", {"numpy": "0.1"})]))
    task = work()
    session.submit()
    link.fail(task, TaskError("exception", "ModuleNotFoundError: No module named 'numpy._core'"), governor="far:1")
    with pytest.raises(TaskException, match=r"numpy is [\d.]+ here and 0.1 on far, where the task ran"):
        task.wait()


def test_folders_are_read_once_for_each_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each news of a governor compares again, with what is known of this process."""
    asked: list[list[str]] = []

    def installed(names: list[str]) -> dict[str, str]:
        asked.append(names)
        return {name: "1" for name in names if name != "numpy"}

    monkeypatch.setattr(libraries, "LIBRARIES", {"re": "re-lib", "sys": "numpy", "threading": "pandas"})
    monkeypatch.setattr(libraries, "installed_versions", installed)
    comparison = LibraryComparison()
    assert "pandas" in comparison.warning({"far:1": FAR})
    assert comparison.warning({"far:1": FAR, "far:2": FAR}) == ""
    assert asked == [["re-lib", "numpy", "pandas"], ["numpy"]], "what has no version may get one"
