"""A progress bar on a terminal of any width, with the time that is left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from rich.progress import BarColumn, ProgressColumn, Task, TaskID
from rich.progress import Progress as Bars
from rich.table import Column
from rich.text import Text

from rsparse.errors import one_line
from rsparse.work.pace import Pace

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console

_NARROW = 60  # columns, below which the time that has passed is left out
_BARS = 40, 10  # columns of the bar on a wide and on a narrow terminal
_WHOLE = 1000


class RichProgress:
    """Progress in bars of rich, of which one is shown at a time, on one line.

    Parameters
    ----------
    console : Console
    is_shown : bool
        Whether there is a terminal; if not, only messages are printed.
    """

    def __init__(self, console: Console, *, is_shown: bool) -> None:
        self.is_shown = is_shown
        wide, narrow = _BARS
        is_narrow = console.width < _NARROW
        self._bars = Bars(
            _Description(),
            BarColumn(narrow if is_narrow else wide),
            _Count(),
            *(() if is_narrow else (_Elapsed(),)),
            _Left(),
            console=console,
            transient=True,
            disable=not is_shown,
            expand=is_narrow,
        )
        self._task: TaskID | None = None
        self._pace = Pace(0)

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def start(
        self,
        task: str,
        total: int,
        done: int = 0,
        *,
        work: float | None = None,
        at_once: int = 1,
    ) -> None:
        """See ``Progress``."""
        if self._task is not None:
            self._bars.remove_task(self._task)
        self._pace = Pace(total, done, work, at_once)
        completed = round(_WHOLE * self._pace.share)
        self._task = self._bars.add_task(
            one_line(task), total=_WHOLE, completed=completed, pace=self._pace
        )

    def advance(self, items: int = 1, work: float | None = None) -> None:
        """See ``Progress``."""
        if self._task is not None:
            self._pace.advance(items, work)
            self._bars.update(self._task, completed=_WHOLE * self._pace.share)

    def describe(self, task: str) -> None:
        """See ``Progress``."""
        if self._task is not None:
            self._bars.update(self._task, description=one_line(task))

    def message(self, sentence: str) -> None:
        """See ``Progress``."""
        self._bars.console.print(one_line(sentence), markup=False)


class _Description(ProgressColumn):
    """The task, which is cut where the line is too short for it."""

    def __init__(self) -> None:
        super().__init__(Column(no_wrap=True, overflow="ellipsis", ratio=1, min_width=4))

    def render(self, task: Task) -> Text:
        return Text(task.description)


class _Fixed(ProgressColumn):
    """A column whose text is not cut."""

    def __init__(self) -> None:
        super().__init__(Column(no_wrap=True, justify="right"))

    def render(self, task: Task) -> Text:
        return Text(self.text_of(task.fields["pace"], task))

    def text_of(self, pace: Pace, task: Task) -> str:
        """The text of the column."""
        raise NotImplementedError


class _Count(_Fixed):
    """The number of finished items, of all."""

    def text_of(self, pace: Pace, task: Task) -> str:  # noqa: ARG002
        return f"{pace.done}/{pace.total}"


class _Elapsed(_Fixed):
    """The time since the task started."""

    def text_of(self, pace: Pace, task: Task) -> str:  # noqa: ARG002
        return clock_text(task.elapsed or 0.0)


class _Left(_Fixed):
    """The time that is left, at most every half second, so that it can be read."""

    max_refresh = 0.5

    def text_of(self, pace: Pace, task: Task) -> str:  # noqa: ARG002
        seconds = pace.seconds_left
        return f"left {'-:--' if seconds is None else clock_text(seconds)}"


def clock_text(seconds: float) -> str:
    """``0:07``, ``12:34``, ``3:04:05``."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
