"""`rain cache`: what is listed, explained and removed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rain import Client
from rain.cli import main
from tests.integration.test_reuse import CELL, cell


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """The exit status of `rain cache`, and what it wrote."""
    with pytest.raises(SystemExit) as ended:
        main(["cache", *words])
    written = capsys.readouterr()
    return int(ended.value.code or 0), written.out + written.err


def test_results_are_listed_explained_and_removed(
    client: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(tmp_path / "results")
    here = ("--folder", folder)
    status, text = run(capsys, "list", *here)
    assert (status, text) == (1, f"rain cache: there is no folder {folder}, so no results are in it\n")
    log = str(tmp_path / "log")
    for source in (CELL, CELL.replace("x + LIMIT", "x - LIMIT")):
        with client.new_session("stored", cache=folder) as session:
            session.run([cell(source)["fit"](x, log) for x in range(3)])
    status, text = run(capsys, "list", *here, "-n", "2")
    assert status == 0
    assert [line.split()[1].partition("=")[0] for line in text.splitlines()[1:-1]] == ["fit(x"] * 2
    assert text.splitlines()[-1].startswith("6 results, ")
    found = json.loads(run(capsys, "list", *here, "--json", "-n", "0")[1])
    assert [one["function"] for one in found["results"]] == ["__main__:fit"] * 6

    status, text = run(capsys, "explain", "fit", *here)
    assert status == 0
    assert "__main__:fit: 6 results, 2 versions of its code" in text
    assert "line 7 of helper changed (return x - LIMIT, before: return x + LIMIT)" in text
    key = found["results"][0]["key"]
    text = run(capsys, "explain", key[:10], *here)[1]
    assert f"key {key}" in text
    assert "  helper  line 6" in text
    assert "  LIMIT (used by helper)  3" in text
    assert json.loads(run(capsys, "explain", key, *here, "--json")[1])["entry"]["key"] == key
    assert json.loads(run(capsys, "explain", "fit", *here, "--json")[1])["results"] == 6
    status, text = run(capsys, "explain", "nothing", *here)
    assert (status, "there are results of __main__:fit" in text) == (1, True)

    assert run(capsys, "prune", *here)[0] == 2
    assert "say what is to go" in run(capsys, "prune", *here)[1]
    size = sum(one["bytes"] for one in found["results"])
    assert run(capsys, "prune", *here, "--bytes", str(size - 1))[1].startswith("removed 1 result; 5 results, ")
    assert run(capsys, "prune", *here, "--unused-days", "1")[1].startswith("removed 0 results; 5 results, ")
    assert run(capsys, "prune", *here, "--unused-days", "0")[1].startswith("removed 5 results; 0 results, ")
    assert run(capsys, "list", *here) == (0, f"no results are in {folder}\n")
    with client.new_session("after", cache=folder) as session:
        task = cell()["fit"](1, log)
        assert session.run(task) == 4
        assert task.reuse == f"recomputed because its result is not in {folder} any more"
    assert run(capsys, "prune", *here, "--all")[1].startswith("removed 1 result;")
