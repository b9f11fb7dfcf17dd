#!/bin/sh
# Installs the Debian packages that some tests need when run as root; otherwise says which they are.
# Tests whose program is missing are skipped, and pytest counts them with the reason.
set -eu

# what is looked for (a program or a file), and the package that has it
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

missing=$(printf '%s' "$wanted" | while read -r thing package; do
    [ -z "$thing" ] || command -v "$thing" >/dev/null 2>&1 || [ -e "$thing" ] || printf ' %s' "$package"
done)
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing Debian packages that tests need:$missing ..."
    apt-get update -qq >/dev/null || true
    # shellcheck disable=SC2086  # a list of words
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing >/dev/null 2>&1 && exit 0
    echo "apt-get could not install them:$missing. The tests that need them will be skipped and counted." >&2
else
    echo "Some tests need Debian packages that are missing and will be skipped; to run all of them:" >&2
    echo "    sudo apt-get install$missing" >&2
fi
