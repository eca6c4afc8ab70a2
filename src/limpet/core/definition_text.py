"""Definitions as bytes and back: what a version row keeps, and what its checksum is taken over (W3.1).

msgspec writes fields in declaration order and reads them into the same frozen classes, so equal definitions
give equal bytes. New fields need a default: rows written by an older release must still be read (R47).
"""

from __future__ import annotations

from hashlib import sha256

import msgspec

from limpet.core.definitions import WorkflowDefinition

_decoder = msgspec.json.Decoder(WorkflowDefinition)


def encode_definition(definition: WorkflowDefinition) -> bytes:
    """JSON text of a definition."""
    return msgspec.json.encode(definition)


def decode_definition(text: bytes) -> WorkflowDefinition:
    """The definition that `encode_definition` wrote."""
    return _decoder.decode(text)


def checksum(text: bytes) -> bytes:
    """32 bytes; equal exactly for equal texts."""
    return sha256(text).digest()
