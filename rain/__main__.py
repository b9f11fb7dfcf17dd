"""``python -m rain``: the `rain` command. Run as a file, it is the command of the package that the file lies in."""

if not __package__:
    import os
    import sys

    # Another `rain` may be installed, or none. Other modules are found as always: this folder comes last.
    folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    sys.path.insert(0, folder)
    import rain  # noqa: F401

    sys.path.remove(folder)
    if folder not in sys.path:
        sys.path.append(folder)

from rain.cli import main

if __name__ == "__main__":
    main()
