"""A Dask cluster of processes on this machine, and Dask's logging."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rsparse.work.processes import signals_delayed

_LOGGERS = (
    "distributed",
    "distributed.client",
    "distributed.gc",
    "tornado",
    "tornado.application",
    "asyncio",
)


@contextmanager
def local_processes(n_workers: int) -> Iterator[Any]:
    """Processes with one thread each on this machine, and a scheduler for them."""
    from distributed import LocalCluster

    with signals_delayed():
        cluster = LocalCluster(
            n_workers=n_workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            memory_limit=0,
            silence_logs=logging.CRITICAL,
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},  # any free port
        )
    with cluster:
        yield cluster


@contextmanager
def silent() -> Iterator[None]:
    """Keep Dask's logs off the terminal; errors that a user can fix are raised."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
