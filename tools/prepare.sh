#!/bin/sh
# usage: sh tools/prepare.sh EXTRA
#
# Makes .venv where it is missing, installs Rain (in place) with the libraries of EXTRA into it, and leaves the stamp
# .venv/.EXTRA, by which make knows that this is done. Needs Python 3.11 or newer; $PYTHON may name it. $VENV may name
# another folder than .venv.
set -eu
extra=$1
venv=${VENV:-.venv}
cd "$(dirname "$0")/.."

fail() {
    printf '%s\n' "$@" >&2
    exit 1
}

new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    for candidate in ${PYTHON:-} python3 python3.11 python3.12 python3.13 python3.14 python; do
        if new_enough "$candidate"; then
            printf '%s' "$candidate"
            return
        fi
    done
    fail "Rain needs Python 3.11 or newer, and found none." \
        "On Debian 12 or newer:  apt-get install python3 python3-venv  (or set PYTHON=/path/to/python3.11)."
}

# Debian's python3 comes without ensurepip: it has to be told to.
make_venv() {
    rm -rf "$venv"
    "$1" -m venv "$venv" >/dev/null 2>&1 && return
    rm -rf "$venv"
    version=$("$1" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        echo "Installing the Debian package $version-venv, which makes virtual environments ..."
        apt-get update -qq >/dev/null || true
        DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$version-venv" >/dev/null 2>&1 ||
            fail "apt-get could not install $version-venv; install it, then run make again."
        "$1" -m venv "$venv" || fail "$1 -m venv failed; see above."
    else
        fail "This Python cannot make virtual environments." \
            "On Debian:  sudo apt-get install $version-venv  , then run make again."
    fi
}

if ! new_enough "$venv/bin/python" || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    python=$(find_python)
    echo "Making a virtual environment in $venv with $("$python" --version) ..."
    make_venv "$python"
fi
echo "Installing Rain and what '$extra' needs into $venv (only the first time, and when pyproject.toml changes) ..."
# -qq: errors are shown, warnings (of caches, of indexes that pip was told to look at) are not.
"$venv/bin/python" -m pip install -qq --disable-pip-version-check --editable ".[$extra]" ||
    fail "pip could not install Rain; its words are above. A network connection is needed the first time."
# The browser tests run with this ipykernel too: it answers comms in another way than newer ones.
if [ "$extra" = test ]; then
    "$venv/bin/python" -m pip install -qq --disable-pip-version-check --no-deps --upgrade \
        --target "$venv/kernels/ipykernel-7.3" 'ipykernel==7.3.*' ||
        echo "pip could not install ipykernel 7.3 beside the newer one: its tests will be skipped and counted." >&2
    # Values have to come back the same with either major of cbor2.
    "$venv/bin/python" -m pip install -qq --disable-pip-version-check --no-deps --upgrade \
        --target "$venv/libraries/cbor2-5" 'cbor2==5.6.*' ||
        echo "pip could not install cbor2 5.6 beside the newer one: its tests will be skipped and counted." >&2
fi
touch "$venv/.$extra"
