"""A store as an older ragperso would have left it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from ragperso.migrations import MIGRATIONS


def make_older(path: Path, schema: int) -> None:
    """Rewrite the closed store at ``path`` with the same rows in the tables and columns of ``schema``."""
    fresh = path.with_suffix(".older")
    old = sqlite3.connect(fresh, isolation_level=None)
    for step in MIGRATIONS[:schema]:
        step(old)
    old.execute(f"PRAGMA user_version = {schema}")
    old.execute("ATTACH DATABASE ? AS new", (str(path),))
    tables = [row[0] for row in old.execute("SELECT name FROM main.sqlite_schema WHERE type = 'table'")]
    for table in tables:
        columns = ", ".join(f'"{row[1]}"' for row in old.execute(f"PRAGMA main.table_info({table})"))
        old.execute(f"DELETE FROM main.{table}")
        old.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM new.{table}")
    old.close()
    for name in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        name.unlink(missing_ok=True)
    fresh.rename(path)
