"""Groups of commands that start fast, because they import only what a call needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

from typer.core import TyperGroup


class QuickGroup(TyperGroup):
    """A group of commands that prints its help without importing pydantic."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the options before the command.

        typer's own switches default to None. To check a None, typer would import pydantic, which
        takes as long as the rest of ``--help``; False needs no check.
        """
        for option in self.get_params(ctx):
            if getattr(option, "is_flag", False) and option.default is None:
                option.default = False
        if args[:1] == ["--help-all"]:  # the help of a group lists everything
            args = ["--help", *args[1:]]
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the first argument names, and the arguments after it.

        Raises
        ------
        InputError
            If no command has that name; the message suggests the nearest one.
        """
        if not ctx.resilient_parsing and self.get_command(ctx, args[0]) is None:
            from rsparse.cli.usage import unknown_command

            raise unknown_command(args[0], self.list_commands(ctx))
        return super().resolve_command(ctx, args)


class LazyGroup(QuickGroup):
    """A group that makes each command when it is first needed.

    Attributes
    ----------
    LINES : mapping of str to str
        The commands in the order of the help, each with its line of help.
    """

    LINES: ClassVar[Mapping[str, str]] = {}

    def __init__(self, *, commands: Any = None, **settings: Any) -> None:
        super().__init__(commands=commands, **settings)
        self.made = self.commands
        self.commands: Any = LazyMapping(self.LINES, self.make)

    def make(self, name: str) -> Any:
        """Make the command with one of these names."""
        raise NotImplementedError

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """The names in the order of the help."""
        return list(self.LINES)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """Write the list of commands in the help without making them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self.LINES.items()))


class LazyMapping(Mapping[str, Any]):
    """Values by name, each made when it is looked up."""

    def __init__(self, names: Mapping[str, Any], make: Callable[[str], Any]) -> None:
        self._names, self._make = names, make

    def __getitem__(self, name: str) -> Any:
        if name not in self._names:
            raise KeyError(name)
        return self._make(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
