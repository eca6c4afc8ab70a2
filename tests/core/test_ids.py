"""Keys and ids, and that the same inputs give the same answers in every process (D5, R1, R2)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from uuid import RFC_4122, UUID

from hypothesis import given
from hypothesis import strategies as st

from limpet.core.ids import TENANT_KEY_SHIFT, Instant, TenantNo, external_id, first_key, is_uuid

SALT = b"0123456789abcdef"
LIFE = """
import hashlib
from limpet.core.definitions import StickyStrategy
from limpet.testing.builders import demand, make_task, wish
from limpet.testing.scenario import Scenario
s = Scenario()
s.workflow("W", make_task("a", retries=1, labels=[wish("zone", "x")]), make_task("b", "a"), "c", sticky=StickyStrategy.SOFT, on_failure="f")
s.workflow("V", make_task("v", slots={"default": 2, "gpu": 1}, labels=[demand("n", 3)]))
for n in range(8):
    s.worker(f"w{n}", slots={"default": 3, "gpu": n % 2, "tpu": 1}, labels={"zone": "xyz"[n % 3], "n": n})
for n in range(60):
    run = s.trigger("WV"[n % 2], priority=1 + n % 3)
    if n % 7 == 0:
        s.cancel(run)
    if n % 5 == 0:
        live = [t.id for t in s.machine.state.tasks.values() if t.status.is_live]
        if live:
            s.fail(live[n % len(live)])
    if n == 30:
        s.kill("w3"); s.advance(40); s.unsubscribe("w4"); s.restart()
s.run_to_end(); s.advance(400)
text = repr([(at, d.changes, d.replies, d.deliveries, d.wake_at) for at, d in s.log.decisions])
print(len(text), hashlib.sha256(text.encode()).hexdigest())
"""


@given(st.integers(1, 2**62), st.integers(0, 2**47 * 1000))
def test_an_id_is_a_uuid_of_version_seven_that_tells_its_instant(key: int, now: int) -> None:
    made = UUID(external_id(key, Instant(now), SALT))
    assert (made.version, made.variant) == (7, RFC_4122)
    assert made.int >> 80 == now // 1_000
    assert is_uuid(str(made))


@given(st.lists(st.integers(1, 2**62), unique=True, min_size=2, max_size=50))
def test_ids_of_one_instant_differ_and_are_the_same_again(keys: list[int]) -> None:
    made = [external_id(key, Instant(5_000), SALT) for key in keys]
    assert len(set(made)) == len(keys)
    assert made == [external_id(key, Instant(5_000), SALT) for key in keys]
    assert made[0] != external_id(keys[0], Instant(5_000), b"another salt")


def test_ids_sort_by_their_instant() -> None:
    made = [external_id(99 - n, Instant(1_000 * n), SALT) for n in range(50)]
    assert made == sorted(made)


def test_tenants_share_no_keys() -> None:
    assert first_key(TenantNo(2)) - first_key(TenantNo(1)) == 1 << TENANT_KEY_SHIFT
    assert first_key(TenantNo(2**23 - 1)) + (1 << TENANT_KEY_SHIFT) - 2 < 2**63, "a key fits a signed column"


def test_is_uuid_takes_only_the_usual_form() -> None:
    text = external_id(1, Instant(1), SALT)
    assert is_uuid(text)
    assert is_uuid(text.upper())
    for other in ("", "abc", text[:-1], text.replace("-", ""), "{" + text[1:-1] + "}", "g" + text[1:]):
        assert not is_uuid(other)


def test_D5_the_same_life_gives_the_same_digest_under_two_hash_seeds() -> None:
    digests = {seed: _live_with(seed) for seed in ("1", "4242")}
    assert digests["1"] == digests["4242"]
    assert int(digests["1"].split()[0]) > 50_000, "a life with something in it"


def _live_with(hash_seed: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    done = subprocess.run([sys.executable, "-c", LIFE], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
