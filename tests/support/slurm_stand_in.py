"""A stand-in for Slurm's commands: they note what they are asked, and tell what a file says."""

from __future__ import annotations

from pathlib import Path

from tests.support.commands import write_command

_SBATCH = """#!/bin/sh
cd {folder}
[ -e refused ] && {{ cat refused >&2; exit 1; }}
number=$(($(cat count) + 1)); echo $number >count
echo "$@" >>submitted
for script; do :; done
cp "$script" job-$number.sh
elements=$(sed -n "s/^#SBATCH --array=1-//p" "$script")
for element in $(seq -f "_%g" ${{elements:-0}}); do echo "$number$element|PENDING|Resources|N/A" >>jobs; done
[ "$elements" ] || echo "$number|PENDING|Resources|N/A" >>jobs
echo "Submitted batch job $number"
"""
_SCANCEL = """#!/bin/sh
cd {folder}
echo "$@" >>cancelled
for number; do sed "s/^$number|.*/$number|CANCELLED|None|N\\\\/A/" jobs >jobs.new && mv jobs.new jobs; done
"""
_SQUEUE = "#!/bin/sh\nsed 's/$/|1:00:00/' {folder}/jobs\n"


class SlurmStandIn:
    """``sbatch``, ``scancel`` and ``squeue`` in a folder.

    Jobs wait for ever unless `say` says something else. While there is a file ``refused``, jobs are.

    Parameters
    ----------
    folder : Path

    Attributes
    ----------
    folder : Path
    path : str
        For ``PATH``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = f"{folder / 'bin'}:/usr/bin:/bin"
        (folder / "count").write_text("0\n")
        (folder / "jobs").touch()
        (folder / "bin").mkdir()
        for name, text in (("sbatch", _SBATCH), ("scancel", _SCANCEL), ("squeue", _SQUEUE)):
            path = folder / "bin" / name
            write_command(path, text.format(folder=folder))

    def say(self, *lines: str) -> None:
        """What ``squeue`` tells from now on: ``ID|STATE|REASON|START``."""
        partial = self.folder / "jobs.said"
        partial.write_text("".join(f"{line}\n" for line in lines))
        partial.rename(self.folder / "jobs")

    def jobs(self) -> list[str]:
        """Those that ``squeue`` tells, as ``ID STATE``."""
        return [" ".join(line.split("|")[:2]) for line in (self.folder / "jobs").read_text().splitlines()]
