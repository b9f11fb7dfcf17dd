# Task 'total' (1/4, py/)
#
# Runs the task on the inputs in this folder, in this process:
#
#     python debug.py             prints the outputs, or the traceback
#     python -m pdb debug.py      then "c": the debugger opens where the exception was raised
#
# What the task makes is put into outputs/.

import os
import sys

try:
    import rain
except ImportError:
    sys.path.append('/opt/rain')

from rain.capsule.rerun import main

if __name__ == "__main__":
    main(os.path.dirname(os.path.abspath(__file__)))
