"""The floor under a durable engine on this disk: bare rows into SQLite, in the same settings, with nothing around them.

    python -m bench.floor [--runs 5] [--rows 60000]

A row is like a task's: an integer key, a unique text id, twelve more columns and 90 bytes of input. Transactions of 200
rows, write-ahead log, synchronous=FULL. A task's whole life in the engine is one such insert and one or two updates.
"""

from __future__ import annotations

import argparse
import sqlite3
import time
from pathlib import Path

from bench.processes import temporary_folder
from bench.results import Report

ROWS_PER_COMMIT = 200  # what a busy engine commits at once
INTEGERS = 11
TABLE = f"""CREATE TABLE row (key INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
    {", ".join(f"n{n} INTEGER" for n in range(INTEGERS))}, input BLOB) STRICT"""
INSERT = f"INSERT INTO row VALUES ({', '.join('?' * (INTEGERS + 3))})"
INPUT = b"x" * 90


def rows_per_s(path: Path, count: int) -> float:
    """Insert so many rows into a new file."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(TABLE)
    rows = [(key, f"{key:036d}", *range(key, key + INTEGERS), INPUT) for key in range(count)]
    began = time.perf_counter()
    for start in range(0, count, ROWS_PER_COMMIT):
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(INSERT, rows[start : start + ROWS_PER_COMMIT])
        connection.execute("COMMIT")
    took = time.perf_counter() - began
    connection.close()
    return count / took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--rows", type=int, default=60_000)
    options = parser.parse_args()
    report = Report("floor")
    with temporary_folder() as folder:
        report.figure("rows_per_s", [rows_per_s(folder / f"{run}.db", options.rows) for run in range(options.runs)], "/s")
    report.save()


if __name__ == "__main__":
    main()
