"""Outputs on their way to the store."""

from __future__ import annotations

from pathlib import Path

from rain.common.ids import ID
from rain.common.limits import BATCH_BYTES_TARGET, INLINE_BYTES_MAX
from rain.common.location import Inline
from rain.common.protocol.messages import ExecutorSetup
from rain.common.spec import ObjectSpec
from rain.objects.outputs import Outgoing


def test_many_small_outputs_do_not_all_travel_with_the_result(tmp_path: Path) -> None:
    """Together they would be larger than a result may be."""
    setup = ExecutorSetup(1, 1, "h:1", str(tmp_path), str(tmp_path), str(tmp_path), 1 << 40, None, None, {}, {})
    outgoing = Outgoing(setup, "task")
    values = [bytes([number]) * INLINE_BYTES_MAX for number in range(40)]
    made = tmp_path / "made"
    results = []
    for index, value in enumerate(values):
        spec = ObjectSpec(ID(1, index))
        if index % 2:
            results.append(outgoing.data(value, index, spec))
        else:
            made.write_bytes(value)
            results.append(outgoing.file(str(made), index, spec))
            made.unlink(missing_ok=True)
    assert sum(result.location.size for result in results if isinstance(result.location, Inline)) <= BATCH_BYTES_TARGET
    assert sum(isinstance(result.location, Inline) for result in results) >= 10
    found = [
        one.data if isinstance(one, Inline) else Path(one.path).read_bytes()
        for one in (result.location for result in results)
    ]
    assert found == values
