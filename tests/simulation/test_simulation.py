"""Seeds on each submission: 120 of them in chunks, those that have found something before, determinism, and mutants by name.

`make simulate` plays 5,000.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.simulation.mutants import MUTANTS, hunt
from tests.simulation.world import simulate

SEEDS, CHUNK = 120, 20
SEEDS_LONG, CHUNK_LONG = 5_000, 250
ROOT = Path(__file__).parents[2]
FOUND = [int(line.split()[0]) for line in (Path(__file__).parent / "seeds.txt").read_text().splitlines() if line[:1].isdigit()]
EVERYWHERE = {
    "lost",
    "doubled",
    "delayed",
    "transient",
    "answer_lost",
    "slow_commit",
    "worker died",
    "stream cut",
    "engine killed",
}
SOMEWHERE = EVERYWHERE | {
    "undeliverable", "worker left", "worker stalled", "stream deaf", "engine frozen", "engine replaced", "engine reloaded",
    "store rewound", "store away", "owner handed over", "standby killed", "outage", "clock jumped", "poison refused", "worker unknown to the engine",
}  # fmt: skip


def run_seeds(seeds: range | list[int]) -> Counter[str]:
    """All faults that happened. A failing seed is named with the command that shows it again."""
    happened: Counter[str] = Counter()
    for seed in seeds:
        try:
            happened += simulate(seed).weather.happened
        except Exception as error:
            pytest.fail(f"seed {seed}: {error}\nreplay it: python -m tests.simulation --seed {seed}", pytrace=False)
    return happened


@pytest.mark.timeout(600)  # some 8 s on a quiet machine; a busy one must not turn it into a failure
@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_invariants_hold_whatever_goes_wrong(first: int) -> None:
    happened = run_seeds(range(first, first + CHUNK))
    assert not {fault for fault in EVERYWHERE if not happened[fault]}, "a fault test without the fault proves nothing"


def test_seeds_that_have_found_something_hold() -> None:
    assert sum(run_seeds(FOUND).values())


@pytest.mark.parametrize("seed", [4, 25])
def test_D5_same_inputs_same_digest_in_another_process_with_another_hash_seed(seed: int) -> None:
    def digest(hash_seed: str) -> str:
        command = [sys.executable, "-m", "tests.simulation", "--seed", str(seed), "--digest"]
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        return subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout.strip()

    first = digest("1")
    assert len(first) == 32
    assert first == digest("2") == simulate(seed).digest()


@pytest.mark.parametrize("name", ["acknowledge before commit", "resend on reconnect", "receipts not loaded"])
def test_a_planted_bug_is_found_and_undone(name: str) -> None:
    _, seed, words = hunt(name, seeds_max=20)
    assert seed is not None
    assert words
    simulate(seed)  # without the bug the same seed holds


@pytest.mark.slow
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("first", range(0, SEEDS_LONG, CHUNK_LONG))
def test_invariants_hold_over_many_seeds(first: int) -> None:
    happened = run_seeds(range(first, first + CHUNK_LONG))
    assert not {fault for fault in SOMEWHERE if not happened[fault]}, "a fault test without the fault proves nothing"


@pytest.mark.slow
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("name", MUTANTS)
def test_every_planted_bug_is_found(name: str) -> None:
    _, seed, _ = hunt(name)
    assert seed is not None, f"the mutant '{name}' survived: a checker is too weak"
