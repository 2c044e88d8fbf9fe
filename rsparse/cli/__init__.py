"""The command line. Only this package prints, exits or imports typer.

``app`` holds the commands; ``main`` is the console script.
"""

from rsparse.cli.app import app, main

__all__ = ["app", "main"]
