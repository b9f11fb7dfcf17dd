#!/bin/sh
# usage: sh tools/debian.sh [demo | engines]
#
# Installs the Debian packages that some tests (or the demo) need when run as root; otherwise says which they are.
# Tests whose program is missing are skipped, and pytest counts them with the reason; the demo leaves out a row.
set -eu

without='the tests that need them will be skipped and counted'
# what is looked for (a program or a file), and the package that has it
if [ "${1:-}" = demo ]; then
    without='the demo leaves out its row of libsvm'
    wanted='
svm-train               libsvm-tools
'
elif [ "${1:-}" = engines ]; then
    wanted='
slurmctld               slurm-wlm
sbatch                  slurm-client
munged                  munge
ip                      iproute2
sge_qmaster             gridengine-master
sge_execd               gridengine-exec
qsub                    gridengine-client
sshd                    openssh-server
mpirun                  openmpi-bin
'
else
    wanted='
gcc                     gcc
/usr/include/stdio.h    libc6-dev
git                     git
dot                     graphviz
svm-train               libsvm-tools
chromium                chromium
fc-list                 fontconfig
/usr/share/fonts/truetype/dejavu  fonts-dejavu-core
'
fi

missing=$(printf '%s' "$wanted" | while read -r thing package; do
    [ -z "$thing" ] || command -v "$thing" >/dev/null 2>&1 || [ -e "$thing" ] || printf ' %s' "$package"
done)
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing Debian packages that are missing:$missing ..."
    apt-get update -qq >/dev/null 2>&1 || true
    # No daemon of theirs is started (https://people.debian.org/~hmh/invokerc.d-policyrc.d-specification.txt).
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap 'rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    # shellcheck disable=SC2086  # a list of words
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing >/dev/null 2>&1 && exit 0
    echo "apt-get could not install them:$missing; $without." >&2
else
    echo "Debian packages are missing:$missing; $without. To install them:" >&2
    echo "    sudo apt-get install$missing" >&2
fi
