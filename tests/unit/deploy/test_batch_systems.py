"""The words of batch systems: what Grid Engine 8.1.9 printed, and what PBS prints by its documentation."""

from __future__ import annotations

import re
import time

import pytest

from rain.common.errors import RainException
from rain.deploy.engines.batch import BatchSystem, Order
from rain.deploy.engines.commands import engine_environment
from rain.deploy.engines.pbs import Pbs
from rain.deploy.engines.sge import GridEngine
from rain.deploy.engines.slurm import Slurm
from rain.deploy.pools.supplier import Job, JobState

P, R, E = JobState.PENDING, JobState.RUNNING, JobState.ENDED
SGE, PBS = GridEngine(), Pbs()


@pytest.mark.parametrize(
    ("system", "printed"),
    [
        (Slurm(), "slurm_load_jobs error\n"),
        (Slurm(), "1|RUNNING|None\n"),
        (SGE, "<a>"),
        (SGE, "error: commlib error"),
        (PBS, "{"),
        (PBS, "[]"),
        (PBS, '{"Jobs": {"1": 7}}'),
    ],
)
def test_what_is_no_list_of_jobs_is_told(system: BatchSystem, printed: str) -> None:
    with pytest.raises(RainException, match=r"^(qstat|squeue)"):
        system.shown(printed)


# qstat -xml -r of Grid Engine 8.1.9.
_SGE_LIST = """\
<?xml version='1.0'?>
<job_info  xmlns:xsd="http://arc.liv.ac.uk/repos/darcs/sge/source/dist/util/resources/schemas/qstat/qstat.xsd">
  <queue_info>
    <job_list state="running">
      <JB_job_number>3</JB_job_number>
      <JAT_prio>0.75000</JAT_prio>
      <JB_name>job.sh</JB_name>
      <JB_owner>root</JB_owner>
      <state>r</state>
      <JAT_start_time>{start}</JAT_start_time>
      <queue_name>main@n3</queue_name>
      <slots>2</slots>
      <full_job_name>job.sh</full_job_name>
      <requested_pe name="smp">2</requested_pe>
      <granted_pe name="smp">2</granted_pe>
      <hard_request name="h_rt" resource_contribution="0.000000">600</hard_request>
      <binding>NONE</binding>
    </job_list>
    <job_list state="running">
      <JB_job_number>4</JB_job_number>
      <JB_name>arr</JB_name>
      <state>dr</state>
      <JAT_start_time>{start}</JAT_start_time>
      <queue_name>main@n1</queue_name>
      <slots>1</slots>
      <tasks>1</tasks>
    </job_list>
  </queue_info>
  <job_info>
    <job_list state="pending">
      <JB_job_number>4</JB_job_number>
      <JB_name>arr</JB_name>
      <state>qw</state>
      <JB_submission_time>2026-11-27T20:22:07</JB_submission_time>
      <queue_name></queue_name>
      <slots>1</slots>
      <tasks>3-7:2,9</tasks>
    </job_list>
    <job_list state="pending">
      <JB_job_number>5</JB_job_number>
      <state>hqw</state>
    </job_list>
    <job_list state="pending">
      <JB_job_number>6</JB_job_number>
      <state>Eqw</state>
    </job_list>
  </job_info>
</job_info>
"""
# qstat -j of it; the lines between are left out.
_SGE_WAITS = """\
==============================================================
job_number:                 3
parallel environment:  each range: 3
job_type:                   NONE
scheduling info:            queue instance "main@n1" dropped because it is full
                            cannot run in PE "each" because it only offers 2 slots
"""
_SGE_FULL = """\
scheduling info:            All queues dropped because of overload or full
"""

# qstat -f -F json of PBS; the PBS Professional Reference Guide, "qstat", has the attributes. Most of them are left out.
_PBS_LIST = """\
{
    "timestamp":1664911414,
    "pbs_version":"19.0.0",
    "pbs_server":"pbs",
    "Jobs":{
        "12.pbs":{
            "Job_Name":"rain-1a2b3c-1",
            "job_state":"R",
            "Resource_List":{"ncpus":4, "walltime":"01:00:00"},
            "resources_used":{"cpupercent":0, "walltime":"00:10:00"},
            "comment":"Job run at Tue Oct 04 at 21:23 on (n1:ncpus=4)",
            "Variable_List":{"NOTE":"a	tab"}
        },
        "13.pbs":{
            "job_state":"Q",
            "comment":"Not Running: Insufficient amount of resource: ncpus",
            "estimated":{"exec_vnode":"(n1:ncpus=1)", "start_time":"Tue Oct  4 22:23:20 2022"}
        },
        "14[].pbs":{"job_state":"B", "array":"True"},
        "14[1].pbs":{"job_state":"X", "Exit_status":0},
        "14[2].pbs":{"job_state":"H", "Hold_Types":"u"},
        "15.pbs":{"job_state":"F", "comment":"Job run at Mon Jan 24 at 08:39 and finished", "Exit_status":271}
    }
}
"""


def test_jobs_of_grid_engine() -> None:
    start = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(time.time() - 60))
    jobs = SGE.shown(_SGE_LIST.format(start=start))
    left_s = jobs["3"].left_s
    assert left_s is not None
    assert 500 < left_s < 545
    assert {job: (found.state, found.word, found.reason) for job, found in jobs.items()} == {
        "3": (R, "r", ""), "4.1": (R, "dr", ""), "4.3": (P, "qw", ""), "4.5": (P, "qw", ""), "4.7": (P, "qw", ""),
        "4.9": (P, "qw", ""), "5": (P, "hqw", "held"), "6": (E, "Eqw", ""),
    }  # fmt: skip
    assert SGE.lingers(jobs["6"])
    assert not SGE.lingers(jobs["4.1"])
    assert SGE.why("4.3") == ["qstat", "-j", "4"]
    assert SGE.reason(_SGE_WAITS) == 'cannot run in PE "each" because it only offers 2 slots'
    assert SGE.reason(_SGE_FULL) == "All queues dropped because of overload or full"
    assert SGE.reason("scheduling info:            (Collecting of scheduler job information is turned off)\n") == ""
    assert SGE.reason("error reason    1:          can't open output file\n") == "can't open output file"
    assert SGE.reason("job_number: 3\n") == ""


def test_jobs_of_pbs() -> None:
    jobs = PBS.shown(_PBS_LIST)
    del jobs["14[].pbs"]
    assert jobs == {
        "12.pbs": Job(R, "R", left_s=3000.0),
        "13.pbs": Job(P, "Q", "Insufficient amount of resource: ncpus", "Tue Oct  4 22:23:20 2022"),
        "14[1].pbs": Job(E, "X, exit status 0"),
        "14[2].pbs": Job(P, "H"),
        "15.pbs": Job(E, "F, exit status 271"),
    }
    assert PBS.show(["14[1].pbs", "14[2].pbs", "15.pbs"])[-2:] == ["14[].pbs", "15.pbs"]
    assert PBS.shown('{"timestamp":1750053827, "pbs_version":"22.05.11", "pbs_server":"pbs"}') == {}


@pytest.mark.parametrize(
    ("system", "output", "elements", "ids"),
    [
        (SGE, "5\n", 1, ["5"]),
        (SGE, "warning: a queue is full\n6.1-3:1\n", 3, ["6.1", "6.2", "6.3"]),
        (PBS, "157.pbs\n", 1, ["157.pbs"]),
        (PBS, "qsub: waiting\n158[].pbs.site.org\n", 2, ["158[1].pbs.site.org", "158[2].pbs.site.org"]),
        (Slurm(), "Submitted batch job 7\n", 2, ["7_1", "7_2"]),
    ],
)
def test_ids(system: BatchSystem, output: str, elements: int, ids: list[str]) -> None:
    assert system.submitted(output, elements) == ids
    with pytest.raises(RainException, match="printed no job id but 'no'"):
        system.submitted("no", elements)


@pytest.mark.parametrize("system", [SGE, PBS])
def test_what_is_no_list_is_told(system: BatchSystem) -> None:
    with pytest.raises(RainException, match=r"qstat.*'<job"):
        system.shown("<job")


def test_what_a_place_of_grid_engine_has() -> None:
    order = Order(4, 1, 8 << 30, 5400, "main", ("-P", "abc"))
    lines = SGE.script(order, "rain-1a2b3c-1", "exec rain governor x", "/shared/a b", 1).splitlines()
    for option in (
        "-N rain-1a2b3c-1", "-o '/shared/a b'", "-j y", "-notify", "-q main", "-l h_rt=5400", "-pe smp 4",
        "-l mem_free=2048M", "-l gpu=1",
    ):  # fmt: skip
        assert f"#$ {option}" in lines
    assert lines[-1] == "exec rain governor x"
    assert SGE.submit(order, "/shared/job") == ["qsub", "-terse", "-P", "abc", "/shared/job"]
    many = SGE.script(order._replace(arguments=("-pe", "openmp", "4")), "n", "x", "/l", 20)
    assert "#$ -t 1-20\n" in many
    assert "-pe smp" not in many


def test_what_a_place_of_pbs_has() -> None:
    order = Order(4, 1, 8 << 30, 5400, "main", ("-P", "abc"))
    script = PBS.script(order, "rain-1a2b3c-1", "exec rain governor x", "/shared/log", 1)
    for option in (
        "-N rain-1a2b3c-1", "-l select=1:ncpus=4:ngpus=1:mem=8192mb", "-l walltime=1:30:00", "-q main", "-j oe",
        "-o /shared/log.pbs",
    ):  # fmt: skip
        assert f"#PBS {option}\n" in script
    assert script.rstrip().endswith("exec >>/shared/log 2>&1\nexec rain governor x")
    many = PBS.script(order, "n", "x", "/shared/places-1-^array_index^.log", 20)
    assert "#PBS -J 1-20\n" in many
    assert 'exec >>/shared/places-1-"$PBS_ARRAY_INDEX".log 2>&1\n' in many
    assert PBS.cancel_named("rain-1a2b3c-1")[-1].startswith("found=$(qselect -N rain-1a2b3c-1)")


@pytest.mark.parametrize(
    ("system", "text"),
    [
        (SGE, 'denied: job "99" does not exist'),
        (SGE, "root has registered the job-array task 4.2 for deletion"),
        (SGE, "root has deleted job 5"),
        (PBS, "qstat: Unknown Job Id 9999.pbs"),
        (PBS, "qdel: Job has finished 157.pbs"),
        (PBS, "qstat: 157.pbs Job has finished, use -x or -H to obtain historical job information"),
        (Slurm(), "scancel: error: Kill job error on job id 12: Invalid job id specified"),
        (Slurm(), "scancel: error: Kill job error on job id 12_3: Job/step already completing or completed"),
    ],
)
def test_jobs_that_have_ended_already(system: BatchSystem, text: str) -> None:
    assert re.fullmatch(system.gone, text)
    assert not re.fullmatch(system.gone, "qstat: cannot connect to server pbs (errno=15010)")
    assert not re.fullmatch(system.gone, "error: commlib error: got select error (Connection refused)")


def test_hosts_of_a_job_of_grid_engine(tmp_path) -> None:
    file = tmp_path / "pe_hostfile"
    file.write_text("n2 1 main@n2 UNDEFINED\nn3 2 main@n3 UNDEFINED\nn2 1 other@n2 UNDEFINED\n")
    assert SGE.hosts({"PE_HOSTFILE": str(file)}) == {"n2": 0, "n3": 1}
    with pytest.raises(RainException, match="PE_HOSTFILE is not set"):
        SGE.hosts({})
    with pytest.raises(RainException, match="cannot be read"):
        SGE.hosts({"PE_HOSTFILE": str(tmp_path / "none")})


@pytest.mark.parametrize("argument", ["-Mc2", "--clusters=c2", "--cluster=c2"])
def test_jobs_go_to_the_cluster_in_which_they_are_looked_for(argument: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RainException, match="name the cluster by the variable SLURM_CLUSTERS"):
        Slurm().submit(Order(1, arguments=(argument,)), "/script")
    monkeypatch.setenv("SBATCH_CLUSTERS", "c2")
    monkeypatch.delenv("SLURM_CLUSTERS", raising=False)
    assert engine_environment()["SLURM_CLUSTERS"] == "c2"


@pytest.mark.parametrize("variable", ["SLURM_CLUSTERS", "SBATCH_CLUSTERS"])
@pytest.mark.parametrize("clusters", ["c1,c2", "all"])
def test_several_clusters_are_refused(variable: str, clusters: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A number may be another job's in the other cluster, and scancel ends both."""
    monkeypatch.delenv("SLURM_CLUSTERS", raising=False)
    monkeypatch.setenv(variable, clusters)
    with pytest.raises(RainException, match="jobs of several clusters can have the same number"):
        Slurm().submit(Order(1), "/script")
