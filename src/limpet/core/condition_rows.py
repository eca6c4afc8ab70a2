"""What is remembered of the conditions of tasks: one tuple type per table, as in `core.rows`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import msgspec


class WaitRow(NamedTuple):
    """The conditions of one task of a run. (run_key, step) is its name; it goes with its run.

    run_created_at: when its run was born
    armed_at:       since when sleeps and events count; None: the parents have not all ended, or decided at once
    decided_at:     when it was queued, skipped or cancelled by them; None: not yet
    seen:           what is known of single conditions, a text of `encode_seen`
    """

    run_key: int
    step: int
    tenant_no: int
    run_created_at: int
    armed_at: int | None
    decided_at: int | None
    seen: bytes

    @property
    def key(self) -> tuple[int, int]:
        """What no other row has."""
        return self.run_key, self.step


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of one condition: what a parent's output or an event meant to it.

    why:           why the expression gave no answer, which counts as no
    event_key:     row of the event whose payload is handed to the task
    at:            when that event came
    """

    is_met: bool
    why: str = ""
    event_key: int | None = None
    payload_bytes: int = 0
    at: int = 0


def encode_seen(seen: dict[int, Seen]) -> bytes:
    """By the condition's position in the task, as a JSON object."""
    return msgspec.json.encode({place: seen[place] for place in sorted(seen)})


def decode_seen(text: bytes) -> dict[int, Seen]:
    """What `encode_seen` wrote."""
    return _decoder.decode(text)


_decoder = msgspec.json.Decoder(dict[int, Seen])


def of_runs(rows: Iterable[WaitRow], run_keys: Iterable[int]) -> list[WaitRow]:
    """Those of some runs, in order; for stores that hold them in memory."""
    wanted = set(run_keys)
    return sorted(row for row in rows if row.run_key in wanted)
