#!/usr/bin/env bash
# A CVXPY variable that was pickled in one process is the same variable as a new one of another process.
#
# Versions: cvxpy 1.9.3, symengine 0.15.0, Python 3.11.
# Guess: a loaded variable is a variable of its own, as SymPy's Dummy is; a task may take a problem as an argument, add a
#        slack variable and solve it.
# What happens: variables are told apart by a number from a counter that begins at 1 in each process, and the number is
#        in the pickle. The first new variable of the process that loads has the loaded one's number, and the problem is
#        solved as if both were one: the optimum below is 0 with x = 3, y = -1, and what is found is 8 with x = y = 1,
#        "optimal", without a warning. SymEngine's Dummy (counted from 0) does the same: the difference of two is 0.
# Seen:
#     made together: optimal, value 0.0, x 3.0, y -1.0
#     x from a pickle, y made here: optimal, value 8.0, x 1.0, y 1.0
#     y made after more than x's process made: optimal, value 0.0, x 3.0, y -1.0
#     SymPy's dummies equal: False
#     SymEngine's dummies equal: True, difference 0
# For users: make all variables of a problem in one process: send data, and build the problem in the task.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install 'cvxpy==1.9.3' 'symengine==0.15.0' 'sympy==1.14.0'
cd "$folder"
cat >one.py <<'PY'
import pickle

import cvxpy
import symengine
import sympy

values = cvxpy.Variable(name="x"), sympy.Dummy("d"), symengine.Dummy("d")
with open("values.pickle", "wb") as file:
    pickle.dump(values, file)
PY
cat >other.py <<'PY'
import pickle

import cvxpy
import symengine
import sympy

with open("values.pickle", "rb") as file:
    loaded, sympys, symengines = pickle.load(file)


def solve(name: str, x: cvxpy.Variable, y: cvxpy.Variable) -> None:
    problem = cvxpy.Problem(cvxpy.Minimize((x - 3) ** 2 + (y + 1) ** 2))
    problem.solve()
    value, *at = (round(float(one), 6) + 0.0 for one in (problem.value, x.value, y.value))
    print(f"{name}: {problem.status}, value {value}, x {at[0]}, y {at[1]}")


y = cvxpy.Variable(name="y")
solve("made together", cvxpy.Variable(name="x"), cvxpy.Variable(name="y"))
solve("x from a pickle, y made here", loaded, y)
solve("y made after more than x's process made", loaded, cvxpy.Variable(name="y"))
print(f"SymPy's dummies equal: {sympys == sympy.Dummy('d')}")
new = symengine.Dummy("d")
print(f"SymEngine's dummies equal: {symengines == new}, difference {symengines - new}")
PY
venv/bin/python one.py
venv/bin/python other.py | tee seen
diff seen - <<'SEEN'
made together: optimal, value 0.0, x 3.0, y -1.0
x from a pickle, y made here: optimal, value 8.0, x 1.0, y 1.0
y made after more than x's process made: optimal, value 0.0, x 3.0, y -1.0
SymPy's dummies equal: False
SymEngine's dummies equal: True, difference 0
SEEN
