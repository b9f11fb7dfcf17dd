#!/usr/bin/env bash
# marimo that is asked for port 0 serves at its default port, and not at one that the system picks.
#
# Versions: marimo 0.25.2, Python 3.11.
# Guess: `marimo run page.py --port 0` listens at a free port, as with Jupyter, Voilà, Tornado, Flask or `python -m http.server`.
# What happens: 0 counts as "no port was given": it listens at 2718 (or the next free one from there), so two tests beside each
#        other that count on ports of their own meet, and a firewall that lets high ports through stops it.
# Seen:
#     it says that it serves at port 2718
# For users: pick a free port first, and name it.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill "$server" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$folder"' EXIT
server=
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install 'marimo==0.25.2'
cd "$folder"
cat >page.py <<'PY'
import marimo

app = marimo.App()


@app.cell
def _():
    return


if __name__ == "__main__":
    app.run()
PY
if python3 -c 'import socket; socket.create_connection(("127.0.0.1", 2718), 1)' 2>/dev/null; then
    echo "port 2718 is in use here: nothing can be seen" >&2
    exit 2
fi
"$folder/venv/bin/marimo" run page.py --port 0 --headless --no-token >said 2>&1 &
server=$!
for _ in $(seq 300); do
    grep -q 'http://' said && break
    kill -0 "$server"
    sleep 0.2
done
port=$(sed -n 's#.*http://[^:]*:\([0-9]*\).*#\1#p' said | head -n 1)
echo "it says that it serves at port $port" | tee seen
python3 -c 'import socket; socket.create_connection(("127.0.0.1", 2718), 5)'
diff seen - <<'SEEN'
it says that it serves at port 2718
SEEN
