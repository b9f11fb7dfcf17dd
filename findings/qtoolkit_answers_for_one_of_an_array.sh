#!/usr/bin/env bash
# qtoolkit answers for a Slurm job array with the state of one of its elements, under that element's number.
#
# Versions: qtoolkit 0.1.7, Python 3.11; the text is what Slurm 22.05.8 printed (names of user, host and folder replaced).
# Guess: get_job_cmd(ID) of a running array gives the array's state, or a list of its elements' states, under its ID.
# What happens: "scontrol show job -o ID" prints a line for each element that has begun, newest first. They are read as one
#        line, in which the last value of each key stands: an array of which two elements run and one has failed is reported as
#        a job that has FAILED, with the id of that element. (squeue's list, get_jobs_list_cmd, tells all elements.)
# Seen:
#     asked for 1, of which elements are RUNNING, RUNNING, FAILED: job 2 is FAILED
# For users: an array must be asked for by squeue, or each of its places be a job.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install 'qtoolkit==0.1.7'
cat >"$folder/printed" <<'TEXT'
JobId=1 ArrayJobId=1 ArrayTaskId=2 JobName=arr UserId=user(1000) GroupId=user(1000) MCS_label=N/A Priority=4294901759 Nice=0 Account=(null) QOS=(null) JobState=RUNNING Reason=None Dependency=(null) Requeue=1 Restarts=0 BatchFlag=1 Reboot=0 ExitCode=0:0 RunTime=00:00:03 TimeLimit=UNLIMITED TimeMin=N/A SubmitTime=2026-11-27T17:18:40 EligibleTime=2026-11-27T17:18:43 AccrueTime=Unknown StartTime=2026-11-27T17:18:43 EndTime=Unknown Deadline=N/A PreemptEligibleTime=2026-11-27T17:18:43 PreemptTime=None SuspendTime=None SecsPreSuspend=0 LastSchedEval=2026-11-27T17:18:43 Scheduler=Main Partition=main AllocNode:Sid=login:17960 ReqNodeList=(null) ExcNodeList=(null) NodeList=n2 BatchHost=n2 NumNodes=1 NumCPUs=1 NumTasks=1 CPUs/Task=1 ReqB:S:C:T=0:0:*:* TRES=cpu=1,mem=1000M,node=1,billing=1 Socks/Node=* NtasksPerN:B:S:C=0:0:*:* CoreSpec=* MinCPUsNode=1 MinMemoryCPU=1000M MinTmpDiskNode=0 Features=(null) DelayBoot=00:00:00 OverSubscribe=OK Contiguous=0 Licenses=(null) Network=(null) Command=/home/user/c.sh WorkDir=/home/user StdErr=/home/user/slurm-1_2.out StdIn=/dev/null StdOut=/home/user/slurm-1_2.out Power=
JobId=3 ArrayJobId=1 ArrayTaskId=1 JobName=arr UserId=user(1000) GroupId=user(1000) MCS_label=N/A Priority=4294901759 Nice=0 Account=(null) QOS=(null) JobState=RUNNING Reason=None Dependency=(null) Requeue=1 Restarts=0 BatchFlag=1 Reboot=0 ExitCode=0:0 RunTime=00:00:03 TimeLimit=UNLIMITED TimeMin=N/A SubmitTime=2026-11-27T17:18:40 EligibleTime=2026-11-27T17:18:43 AccrueTime=Unknown StartTime=2026-11-27T17:18:43 EndTime=Unknown Deadline=N/A PreemptEligibleTime=2026-11-27T17:18:43 PreemptTime=None SuspendTime=None SecsPreSuspend=0 LastSchedEval=2026-11-27T17:18:43 Scheduler=Main Partition=main AllocNode:Sid=login:17960 ReqNodeList=(null) ExcNodeList=(null) NodeList=n1 BatchHost=n1 NumNodes=1 NumCPUs=1 NumTasks=1 CPUs/Task=1 ReqB:S:C:T=0:0:*:* TRES=cpu=1,mem=1000M,node=1,billing=1 Socks/Node=* NtasksPerN:B:S:C=0:0:*:* CoreSpec=* MinCPUsNode=1 MinMemoryCPU=1000M MinTmpDiskNode=0 Features=(null) DelayBoot=00:00:00 OverSubscribe=OK Contiguous=0 Licenses=(null) Network=(null) Command=/home/user/c.sh WorkDir=/home/user StdErr=/home/user/slurm-1_1.out StdIn=/dev/null StdOut=/home/user/slurm-1_1.out Power=
JobId=2 ArrayJobId=1 ArrayTaskId=0 JobName=arr UserId=user(1000) GroupId=user(1000) MCS_label=N/A Priority=4294901759 Nice=0 Account=(null) QOS=(null) JobState=FAILED Reason=NonZeroExitCode Dependency=(null) Requeue=1 Restarts=0 BatchFlag=1 Reboot=0 ExitCode=3:0 RunTime=00:00:00 TimeLimit=UNLIMITED TimeMin=N/A SubmitTime=2026-11-27T17:18:40 EligibleTime=2026-11-27T17:18:43 AccrueTime=Unknown StartTime=2026-11-27T17:18:43 EndTime=2026-11-27T17:18:43 Deadline=N/A PreemptEligibleTime=2026-11-27T17:18:43 PreemptTime=None SuspendTime=None SecsPreSuspend=0 LastSchedEval=2026-11-27T17:18:43 Scheduler=Main Partition=main AllocNode:Sid=login:17960 ReqNodeList=(null) ExcNodeList=(null) NodeList=n1 BatchHost=n1 NumNodes=1 NumCPUs=1 NumTasks=1 CPUs/Task=1 ReqB:S:C:T=0:0:*:* TRES=cpu=1,mem=1000M,node=1,billing=1 Socks/Node=* NtasksPerN:B:S:C=0:0:*:* CoreSpec=* MinCPUsNode=1 MinMemoryCPU=1000M MinTmpDiskNode=0 Features=(null) DelayBoot=00:00:00 OverSubscribe=OK Contiguous=0 Licenses=(null) Network=(null) Command=/home/user/c.sh WorkDir=/home/user StdErr=/home/user/slurm-1_0.out StdIn=/dev/null StdOut=/home/user/slurm-1_0.out Power=
TEXT
"$folder/venv/bin/python" - "$folder/printed" >"$folder/seen" <<'PY'
import re
import sys

from qtoolkit.io.slurm import SlurmIO

printed = open(sys.argv[1]).read()
states = ", ".join(re.findall(r"JobState=(\w+)", printed))
job = SlurmIO().parse_job_output(0, printed, "")
print(f"asked for 1, of which elements are {states}: job {job.job_id} is {job.state.value}")
PY
cat "$folder/seen"
diff "$folder/seen" - <<'SEEN'
asked for 1, of which elements are RUNNING, RUNNING, FAILED: job 2 is FAILED
SEEN
