#!/usr/bin/env bash
# qtoolkit's scripts for Grid Engine ask for cpus in the words of PBS, and its reader of qdel knows another answer than qdel's.
#
# Versions: qtoolkit 0.1.7, Python 3.11; the answers are what qsub and qdel of Grid Engine 8.1.9 (Debian 12) printed.
# Guess: get_submission_script of SGEIO for a job of one host with four threads is accepted by qsub.
# What happens: it says "-l select=1:ncpus=4:…" and "-binding scatter". Grid Engine has neither a resource "select" nor that
#        binding: qsub refuses the job. parse_cancel_output looks in stderr for "qdel: job N deleted"; qdel prints "USER has deleted
#        job N" or "USER has registered the job N for deletion" to stdout, so that a successful qdel is an OutputParsingError.
# Seen:
#     #$ -l select=1:ncpus=4:mpiprocs=1:ompthreads=4
#     #$ -binding scatter
#     qdel's answer: OutputParsingError
# For users: ask by "-pe NAME SLOTS", through QResources(scheduler_kwargs={"select": …}) or words of your own.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install 'qtoolkit==0.1.7'
"$folder/venv/bin/python" - >"$folder/seen" <<'PY'
from qtoolkit.core.data_objects import QResources
from qtoolkit.io.sge import SGEIO

resources = QResources(nodes=1, processes_per_node=1, threads_per_process=4, job_name="job")
script = SGEIO().get_submission_script("true", resources)
print(*(line for line in script.splitlines() if "select" in line or "binding" in line), sep="\n")
try:
    told = SGEIO().parse_cancel_output(0, "root has registered the job 2 for deletion\n", "").status
except Exception as error:
    told = type(error).__name__
print("qdel's answer:", told)
PY
cat "$folder/seen"
diff "$folder/seen" - <<'SEEN'
#$ -l select=1:ncpus=4:mpiprocs=1:ompthreads=4
#$ -binding scatter
qdel's answer: OutputParsingError
SEEN
