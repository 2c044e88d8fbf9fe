"""``rsparse`` and ``python -m rsparse``."""

from rsparse import signals


def main() -> None:
    """Take over the signals, then import and run the command line."""
    signals.take_over()
    from rsparse.cli import main as run

    run()


if __name__ == "__main__":
    main()
