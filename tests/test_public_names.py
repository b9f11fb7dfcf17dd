"""What users can import: all of it stays, looks as it is written down, and is used by a script that mypy checks."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.support import public_names

HERE = Path(__file__).resolve().parent
SNAPSHOT = HERE / "public_names.txt"
SCRIPT = HERE / "typing" / "user_script.py"


def test_public_names_and_signatures_are_as_written_down() -> None:
    """What changes on purpose is renewed by ``python -m tests.support.public_names > tests/public_names.txt``."""
    assert [*public_names.lines()] == SNAPSHOT.read_text().splitlines()


def test_the_users_script_uses_every_public_name() -> None:
    used = set()
    for node in ast.walk(ast.parse(SCRIPT.read_text())):
        if isinstance(node, ast.Attribute):
            used.add(node.attr)
        elif isinstance(node, ast.alias | ast.keyword):
            used |= {str(getattr(node, "name", "") or getattr(node, "arg", "")).rpartition(".")[2]}
        elif isinstance(node, ast.Name):
            used.add(node.id)
    wanted = {path.rpartition(".")[2] for path in (*public_names.functions(), *public_names.classes())}
    for kind in public_names.classes().values():
        wanted |= {name for name in public_names.members(kind) if name[0] != "_"}
    assert wanted - used == set()
