"""``rsparse`` and ``python -m rsparse``."""

import gc

from rsparse import signals

_ALLOCATIONS = 5_000


def main() -> None:
    """Take over the signals, then import and run the command line.

    Imports make many objects and no garbage. With Python's usual 700 allocations, looking for it
    takes a tenth of the time in which a command starts.
    """
    signals.take_over()
    gc.set_threshold(_ALLOCATIONS)
    from rsparse.cli import main as run

    run()


if __name__ == "__main__":
    main()
