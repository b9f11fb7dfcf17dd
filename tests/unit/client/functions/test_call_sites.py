"""Where things were made, as people read it."""

from __future__ import annotations

import sys
import warnings
from types import SimpleNamespace
from typing import Any

import pytest

from rain import RainWarning, Session, blob, tasks
from rain.client.functions import call_sites
from rain.client.functions.notebook_name import notebook_name


def test_a_site_is_the_innermost_frame_outside_of_rain(detached: Session) -> None:
    first = tasks.Concat([blob("a")])
    assert call_sites.describe(first._record.made).startswith(f'File "{__file__}", line ')
    assert "first = tasks.Concat" in call_sites.stack(first._record.made)


def test_tasks_of_one_line_share_a_site(detached: Session) -> None:
    made = [tasks.Concat([]) for _ in range(3)]
    assert len({id(task._record.made) for task in made}) == 1
    other = tasks.Concat([])
    assert other._record.made != made[0]._record.made


def test_a_site_ends_at_the_script(detached: Session) -> None:
    space: dict[str, Any] = {"tasks": tasks}
    exec(compile("def make():\n  return tasks.Concat([])\ntask = make()", "script.py", "exec"), space)
    assert call_sites.stack(space["task"]._record.made).splitlines() == [
        '  File "script.py", line 3, in <module>',
        '  File "script.py", line 2, in make',
    ]


def test_cells_are_called_by_their_number(monkeypatch: pytest.MonkeyPatch, detached: Session) -> None:
    names = {"/tmp/ipykernel_1/2.py": ("Cell", "In[3]")}
    shell = SimpleNamespace(compile=SimpleNamespace(format_code_name=names.get))
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))  # type: ignore[arg-type]
    space: dict[str, Any] = {"tasks": tasks}
    exec(compile("\n\ntask = tasks.Concat([])", "/tmp/ipykernel_1/2.py", "exec"), space)
    assert call_sites.describe(space["task"]._record.made) == "Cell In[3], line 3"
    assert call_sites.name_of_file("/x/y.py") == 'File "/x/y.py"'
    monkeypatch.setenv("JPY_SESSION_NAME", "work/counts.ipynb")
    assert call_sites.describe(space["task"]._record.made) == "Cell In[3], line 3", "of this notebook"
    line, stack = call_sites.told(space["task"]._record.made)
    assert line == "Cell In[3] of counts.ipynb, line 3", "what another notebook reads says which one"
    assert stack.startswith("  Cell In[3] of counts.ipynb, line 3, in ")


@pytest.mark.parametrize(
    ("session_name", "vs_code", "name"),
    [
        ("a/b/counts.ipynb", None, "counts.ipynb"),
        ("console-1-5f0c", None, ""),
        ("", "/home/u/other.ipynb", "other.ipynb"),
        ("", 5, ""),
    ],
)
def test_the_name_of_the_notebook(monkeypatch: pytest.MonkeyPatch, session_name: str, vs_code: Any, name: str) -> None:
    assert notebook_name() == "", "this is no notebook"
    shell = SimpleNamespace(user_ns={} if vs_code is None else {"__vsc_ipynb_file__": vs_code})
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))  # type: ignore[arg-type]
    monkeypatch.setenv("JPY_SESSION_NAME", session_name)
    assert notebook_name() == name


def test_an_unknown_place() -> None:
    assert call_sites.describe(()) == "in an unknown place"
    assert call_sites.stack(()) == ""


def test_warnings_are_about_the_users_line() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call_sites.warn("careful")
    assert caught[0].category is RainWarning
    assert caught[0].filename == __file__
