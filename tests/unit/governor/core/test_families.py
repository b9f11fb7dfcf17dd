"""Members of families at a governor."""

from __future__ import annotations

from rain.common.ids import ID
from rain.common.protocol import messages as m
from rain.common.spec import ObjectSpec, TaskSpec
from tests.unit.governor.core.rig import Rig


def family(count: int, first: int = 10, **options: object) -> m.FamilyAssignment:
    """Members first, first + 2, … of session 1, with one output each."""
    spec = TaskSpec(ID(1, first), "py/", [b""], outputs=[ID(1, first + 1)], resources={"cpus": 1})
    args = [bytes([place % 256]) for place in range(count)]
    return m.FamilyAssignment(spec, 1, [ObjectSpec(ID(1, first + 1))], args, [0.0, float(first)])


def test_the_first_member_starts_at_once() -> None:
    rig = Rig()
    lines = rig.server(m.Assign([], [], [family(3)]))
    assert [line for line in lines if line.startswith("run")] == ["run e1: 1/10#1"]
