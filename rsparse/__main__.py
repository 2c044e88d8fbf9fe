"""``python -m rsparse`` is the ``rsparse`` command."""

from rsparse.cli import main

if __name__ == "__main__":
    main()
