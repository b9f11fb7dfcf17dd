"""Host files and node lists."""

from __future__ import annotations

import pytest

from rain.common.errors import RainException
from rain.deploy.nodes import batch_hosts, expand_nodes, parse_host_file, parse_local_governors


def test_local_governors():
    assert parse_local_governors("[4,4,2]") == [4, 4, 2]
    assert parse_local_governors("[]") == []
    for wrong in ("4", "[0]", "[-1]", '["a"]', "[true]", "4,4", "[1.5]", ""):
        with pytest.raises(RainException, match="is a list of cpus like"):
            parse_local_governors(wrong)


@pytest.mark.parametrize("wrong", ["-oProxyCommand=evil", "a b", "$(x)", "a;b"])
def test_a_host_cannot_be_an_option_or_a_command(wrong):
    with pytest.raises(RainException, match="is not a host"):
        parse_host_file(f"good\n{wrong}\n")


def test_an_empty_host_file():
    with pytest.raises(RainException, match="names no host"):
        parse_host_file("# nobody\n\n")


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
    nodes.write_text("n1\nn1\nn2\n")
    assert batch_hosts("pbs", {"PBS_NODEFILE": str(nodes)}) == ["n1", "n2"]
    assert batch_hosts("slurm", {"SLURM_JOB_NODELIST": "n[1-2]"}) == ["n1", "n2"]
    with pytest.raises(RainException, match="PBS_NODEFILE is not set"):
        batch_hosts("pbs", {})
    with pytest.raises(RainException, match="cannot be read"):
        batch_hosts("pbs", {"PBS_NODEFILE": str(tmp_path / "nothing")})
    with pytest.raises(RainException, match="SLURM_JOB_NODELIST is not set"):
        batch_hosts("slurm", {})
    with pytest.raises(RainException, match="knows pbs and slurm"):
        batch_hosts("lsf", {})
