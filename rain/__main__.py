"""``python -m rain``: the `rain` command."""

from rain.cli import main

if __name__ == "__main__":
    main()
