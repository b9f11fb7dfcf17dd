"""Which changes of a function, and of what it uses, make its results others, and which part is told to have changed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rain.client.core.reuse.keys import Code
from rain.client.core.reuse.reasons import changes
from rain.client.reuse.code import code_of

CELL = """
LIMIT = 3
table = {"a": [1, 2]}

def helper(x):
    return x + 1

class Model:
    size = 2
    def grow(self):
        return self.size

def outer(rate):
    def fit(x, mode="a", *, step=2):
        "Fits."
        model = Model()
        return helper(x) * LIMIT * rate + model.grow() + table["a"][0]
    return fit

fit = outer(0.5)
"""


def defined(source: str, above: int = 0) -> Any:
    """`fit` as a cell defines it that stands so many lines lower."""
    home: dict[str, Any] = {"__name__": "__main__"}
    exec(compile("\n" * above + source, f"<cell {above}>", "exec"), home)
    return home["fit"]


def code(function: Any) -> Code:
    return code_of(function, "__main__:fit", "fit", {})


def test_the_same_code_in_another_place_is_the_same() -> None:
    other = CELL.replace('"Fits."', '"Fits well."').replace("return x + 1", "return x + 1  # one more")
    assert code(defined(CELL)).digest == code(defined("\n# above\n" + other, 7)).digest


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        ("helper(x) * LIMIT", "helper(x) + LIMIT", "outer.<locals>.fit changed"),
        ("return x + 1", "return x + 2", "helper changed"),
        ("return self.size", "return self.size + 1", "Model.grow changed"),
        ("size = 2", "size = 3", "Model.size (used by Model) changed (3, before: 2)"),
        ("LIMIT = 3", "LIMIT = 4", "LIMIT (used by outer.<locals>.fit) changed (4, before: 3)"),
        ('{"a": [1, 2]}', '{"a": [1, 3]}', "table (used by outer.<locals>.fit) changed"),
        ("outer(0.5)", "outer(0.6)", "rate (used by outer.<locals>.fit) changed (0.6, before: 0.5)"),
        ('mode="a"', 'mode="b"', "the default of mode (used by outer.<locals>.fit) changed ('b', before: 'a')"),
        ("step=2", "step=3", "the default of step (used by outer.<locals>.fit) changed (3, before: 2)"),
    ],
)
def test_what_counts(before: str, now: str, told: str) -> None:
    assert before in CELL
    old, new = code(defined(CELL)), code(defined(CELL.replace(before, now)))
    assert old.digest != new.digest
    found = list(changes(old, new))
    assert len(found) == 1
    assert found[0].startswith(told)


def test_a_set_has_no_order_and_a_dict_has_one() -> None:
    source = "def fit():\n    return words\nwords = {}\n"
    assert (
        code(defined(source.format('{"b", "a", "c"}'))).digest == code(defined(source.format('{"c", "a", "b"}'))).digest
    )
    ordered = [code(defined(source.format(text))).digest for text in ("{'a': 1, 'b': 2}", "{'b': 2, 'a': 1}")]
    assert ordered[0] != ordered[1]


def test_functions_that_call_each_other_come_to_an_end() -> None:
    source = "def fit(x):\n    return other(x)\ndef other(x):\n    return fit(x - {}) if x else 0\n"
    assert code(defined(source.format(1))).digest != code(defined(source.format(2))).digest


def test_libraries_are_named_with_their_versions() -> None:
    import numpy

    found = code(defined("import numpy as np\ndef fit(x):\n    import pandas\n    return np.sum(pandas.Series(x))\n"))
    assert found.libraries["numpy"] == numpy.__version__
    assert set(found.libraries) == {"numpy", "pandas"}


def test_random_numbers_are_noticed() -> None:
    assert code(defined("import rain\ndef fit():\n    return rain.rng().random()\n")).draws
    assert code(defined("from rain import rng\ndef fit():\n    return rng().random()\n")).draws
    assert code(defined("def fit():\n    from rain import rng\n    return rng().random()\n")).draws
    assert not code(defined("import rain\ndef fit():\n    return rain.current_task()\n")).draws


# -- the user's modules --------------------------------------------------------------------------------


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with modules of the user's, on the path."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    (tmp_path / "ways.py").write_text(WAYS)
    package = tmp_path / "toolkit"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "deep.py").write_text("from ways import twice\n\ndef thrice(x):\n    return twice(x) + x\n")
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


WAYS = '''"""Ways."""
import os
FACTOR = 2
unused = 5

def twice(x: int) -> int:
    """Doubles."""
    return x * FACTOR

def other(x):
    return x

class Kind:
    size = 1
    def grow(self):
        return twice(self.size)
'''


def edited(folder: Path, before: str, now: str) -> None:
    assert before in WAYS
    (folder / "ways.py").write_text(WAYS.replace(before, now) + " " * len(now))


@pytest.mark.parametrize(
    "source",
    [
        "import ways\ndef fit(x):\n    return ways.twice(x)\n",
        "from ways import twice\ndef fit(x):\n    return twice(x)\n",
        "def fit(x):\n    from ways import twice\n    return twice(x)\n",
        "def fit(x):\n    import ways\n    return ways.twice(x)\n",
        "from ways import Kind\ndef fit(x):\n    return Kind().grow()\n",
        "import toolkit.deep\ndef fit(x):\n    return toolkit.deep.thrice(x)\n",
        "def fit(x):\n    from toolkit import deep\n    return deep.thrice(x)\n",
        "import ways\ndef fit(x, name='twice'):\n    return getattr(ways, name)(x)\n",
    ],
)
def test_modules_count_as_their_files_are(modules: Path, source: str) -> None:
    before = code(defined(source))
    edited(modules, "x * FACTOR", "x ** FACTOR")
    now = code(defined(source))
    assert list(changes(before, now)) == [
        "line 8 of ways.twice changed (return x ** FACTOR, before: return x * FACTOR)"
    ]
    edited(modules, "FACTOR = 2", "FACTOR = 3")
    assert code(defined(source)).digest not in (before.digest, now.digest)


def test_comments_and_what_is_not_used_do_not_count(modules: Path) -> None:
    source = "from ways import twice\ndef fit(x):\n    return twice(x)\n"
    before = code(defined(source)).digest
    for old, new in (
        ('"""Doubles."""', '"""Makes twice as much."""'),
        ("x: int) -> int", "x)"),
        ("return x\n", "return x + 1\n"),
        ("unused = 5", "unused = 6"),
        ("import os", "import os  # for paths"),
    ):
        edited(modules, old, new)
        assert code(defined(source)).digest == before, new


def test_what_runs_at_import_counts(modules: Path) -> None:
    source = "from ways import twice\ndef fit(x):\n    return twice(x)\n"
    before = code(defined(source))
    edited(modules, "import os", "import os\nos.environ.setdefault('MODE', 'x')")
    assert list(changes(before, code(defined(source)))) == ["fit uses ways, what runs when it is imported now"]


def test_the_function_of_a_module_itself(modules: Path) -> None:
    import ways  # type: ignore[import-not-found]

    before = code_of(ways.twice, "ways:twice", "twice", {})
    edited(modules, "x * FACTOR", "x ** FACTOR")  # what this process has imported is older now
    now = code_of(ways.twice, "ways:twice", "twice", {})
    assert before.digest != now.digest
