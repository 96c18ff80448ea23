"""Surface: progress bars on stderr, on a terminal only."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ragperso.cli import screen

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from ragperso.ingest.pipeline import Progress


@contextlib.contextmanager
def ingest() -> Iterator[Callable[[Progress], None] | None]:
    """Yield what ``Session.add`` reports to: bytes done, chunks per second, time left."""
    if not screen.is_terminal(sys.stderr):
        yield None
        return
    with _bar("{task.fields[chunks]:,} chunks [dim]{task.fields[rate]}") as bar:
        task = bar.add_task("reading", total=None, chunks=0, rate="")
        started = time.monotonic()

        def tell(now: Progress) -> None:
            rate = f"{now.chunks / max(time.monotonic() - started, 1e-3):,.0f}/s" if now.chunks else ""
            what = "reading" if now.done_files < now.total_files else "learning and indexing"
            bar.update(
                task,
                description=what,
                total=now.total_bytes or 1,
                completed=now.done_bytes,
                chunks=now.chunks,
                rate=rate,
            )

        yield tell


@contextlib.contextmanager
def counted(what: str) -> Iterator[Callable[[int, int], None] | None]:
    """Yield what reports ``(done, all)``."""
    if not screen.is_terminal(sys.stderr):
        yield None
        return
    with _bar("{task.completed:,} of {task.total:,}") as bar:
        task = bar.add_task(what, total=1)
        yield lambda done, total: bar.update(task, total=max(total, 1), completed=done)


def _bar(last: str) -> Bar:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn(last),
        TimeRemainingColumn(compact=True),
        console=Console(stderr=True, width=screen.width()),
        transient=True,
        expand=True,
    )
