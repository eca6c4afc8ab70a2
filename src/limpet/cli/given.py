"""Objects and pairs as people write them on a command line."""

from __future__ import annotations

import json as json_text
import sys
from pathlib import Path
from typing import Any

from limpet.cli.exits import Misuse

EXAMPLE = """Write an object, for example --{option} '{{"name": "Ada"}}'"""


def read_input(text: str, option: str = "input") -> dict[str, Any]:
    """The JSON object of an option: written there, in a file, or on standard input."""
    try:
        content = (
            sys.stdin.read() if text == "-" else Path(text[1:]).read_text(encoding="utf-8") if text.startswith("@") else text
        )
        value = json_text.loads(content)
    except OSError as error:
        raise Misuse(f"The {option} file {text[1:]} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise Misuse(f"The {option} is not JSON: {error}.", EXAMPLE.format(option=option)) from error
    if not isinstance(value, dict):
        raise Misuse(f"The {option} must be a JSON object.", EXAMPLE.format(option=option))
    return value


def read_metadata(given: list[str] | None) -> dict[str, str]:
    """`key=value` pairs as an object."""
    found = {}
    for text in given or ():
        key, sign, value = text.partition("=")
        if not key or not sign:
            raise Misuse(f"'{text}' is no metadata.", "Write key=value, for example --metadata customer=42")
        found[key] = value
    return found
