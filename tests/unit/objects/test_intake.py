"""New objects on their way to a store."""

from __future__ import annotations

from pathlib import Path

from rain.common.limits import BATCH_BYTES_TARGET, INLINE_BYTES_MAX
from rain.common.location import Inline
from rain.objects.intake import Folders, Intake


def test_many_small_outputs_do_not_all_travel_with_the_result(tmp_path: Path) -> None:
    """Together they would be larger than a result may be."""
    intake = Intake(Folders(str(tmp_path), str(tmp_path)), "task")
    values = [bytes([number]) * INLINE_BYTES_MAX for number in range(40)]
    made = tmp_path / "made"
    results = []
    for index, value in enumerate(values):
        if index % 2:
            results.append(intake.put(value))
        else:
            made.write_bytes(value)
            results.append(intake.take_file(str(made)))
            made.unlink(missing_ok=True)
    assert sum(one.size for one in results if isinstance(one, Inline)) <= BATCH_BYTES_TARGET
    assert sum(isinstance(one, Inline) for one in results) >= 10
    found = [one.data if isinstance(one, Inline) else Path(one.path).read_bytes() for one in results]
    assert found == values
