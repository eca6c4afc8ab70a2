"""Metadata pairs as they stand in the index: a digest for each, so that an entry is exact and 16 bytes long."""

from __future__ import annotations

from hashlib import blake2b

import orjson

from limpet.store.matching import Pair, metadata_pairs

DIGEST_BYTES = 16


def digest(pair: Pair) -> bytes:
    """Of a (name, value) pair."""
    return blake2b(orjson.dumps(pair), digest_size=DIGEST_BYTES).digest()


def digests(metadata: bytes) -> list[bytes]:
    """Of every pair in a run's metadata."""
    return [digest(pair) for pair in set(metadata_pairs(metadata))]
