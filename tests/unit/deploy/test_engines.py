"""What batch systems say of their jobs' hosts."""

from __future__ import annotations

import pytest

from rain.cli.commands import _choose_governors
from rain.common.errors import RainException
from rain.deploy.engines import engine_of
from rain.deploy.engines.slurm import expand_nodes
from rain.deploy.start import StartOptions


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("n1", ["n1"]),
        ("n1,n2,n1", ["n1", "n2"]),
        ("n[1-3]", ["n1", "n2", "n3"]),
        ("n[08-10,12]-ib,login", ["n08-ib", "n09-ib", "n10-ib", "n12-ib", "login"]),
        ("r[1-2]n[1-2]", ["r1n1", "r1n2", "r2n1", "r2n2"]),
    ],
)
def test_slurm_lists(text, hosts):
    assert expand_nodes(text) == hosts


@pytest.mark.parametrize(
    "wrong", ["", "n[1-", "n[a]", "n[1-99999999]", "-oX", "n[1-9000],m[1-9000]", "n[1-900][1-900]", "a,,"]
)
def test_wrong_slurm_lists(wrong):
    with pytest.raises(RainException, match="node list"):
        expand_nodes(wrong)


def test_batch_systems(tmp_path):
    nodes = tmp_path / "nodes"
    nodes.write_text("n1\n\nn1\nn2\n")
    assert engine_of("pbs").hosts({"PBS_NODEFILE": str(nodes)}) == {"n1": 0, "n2": 2}
    assert engine_of("slurm").hosts({"SLURM_JOB_NODELIST": "n[1-2]"}) == {"n1": 0, "n2": 1}
    with pytest.raises(RainException, match="PBS_NODEFILE is not set"):
        engine_of("pbs").hosts({})
    with pytest.raises(RainException, match="cannot be read"):
        engine_of("pbs").hosts({"PBS_NODEFILE": str(tmp_path / "nothing")})
    with pytest.raises(RainException, match="SLURM_JOB_NODELIST is not set"):
        engine_of("slurm").hosts({})
    with pytest.raises(RainException, match="no engine 'lsf'; known are sge, pbs, slurm"):
        engine_of("lsf")


def test_rain_start_knows_hosts_by_the_numbers_of_the_engine(tmp_path, monkeypatch):
    """PBS counts lines, of which a host has one for each of its processes."""
    nodes = tmp_path / "nodes"
    nodes.write_text("n1\nn1\nn2\nn1\nn3\n")
    monkeypatch.setenv("PBS_NODEFILE", str(nodes))
    options = StartOptions()
    _choose_governors(options, None, None, None, "pbs", None)
    assert options.hosts == ["n1", "n2", "n3"]
    assert options.numbers == {"n1": 0, "n2": 2, "n3": 4}
