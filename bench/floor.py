"""The floor under a durable engine on this disk: bare rows into SQLite, in the same settings, with nothing around them.

    python -m bench.floor [--runs 5] [--lives 40000]

A row is like a task's: an integer key, a unique text id, eleven numbers and 90 bytes of input. Its life is the three
writes of a task that has to wait: one insert, one update when it is assigned, one at its end with an output. Transactions
of 200 rows, write-ahead log, synchronous=FULL.
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
    {", ".join(f"n{n} INTEGER" for n in range(INTEGERS))}, input BLOB, output BLOB) STRICT"""
INSERT = f"INSERT INTO row VALUES ({', '.join('?' * (INTEGERS + 4))})"
ASSIGN = "UPDATE row SET n0 = ?, n1 = ?, n2 = ?, n3 = ? WHERE key = ?"
END = "UPDATE row SET n0 = ?, n4 = ?, n5 = ?, output = ? WHERE key = ?"
INPUT, OUTPUT = b"x" * 90, b"y" * 25


def lives_per_s(path: Path, count: int) -> float:
    """So many rows from birth to end, in a new file."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(TABLE)
    keys = range(count)
    began = time.perf_counter()
    for start in range(0, count, ROWS_PER_COMMIT):
        batch = keys[start : start + ROWS_PER_COMMIT]
        write(connection, INSERT, [(key, f"{key:036d}", *range(key, key + INTEGERS), INPUT, None) for key in batch])
        write(connection, ASSIGN, [(1, key, key, key, key) for key in batch])
        write(connection, END, [(2, key, key, OUTPUT, key) for key in batch])
    took = time.perf_counter() - began
    connection.close()
    return count / took


def write(connection: sqlite3.Connection, text: str, rows: list[tuple[object, ...]]) -> None:
    """One commit."""
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(text, rows)
    connection.execute("COMMIT")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--lives", type=int, default=40_000)
    options = parser.parse_args()
    report = Report("floor")
    with temporary_folder() as folder:
        report.figure("lives_per_s", [lives_per_s(folder / f"{run}.db", options.lives) for run in range(options.runs)], "/s")
    report.save()


if __name__ == "__main__":
    main()
