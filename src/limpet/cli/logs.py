"""Where the engine's log lines go: standard error, as text for people or one JSON object a line, without secrets (X23)."""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from typing import Any

LEVELS = ("debug", "info", "warning", "error")
HIDDEN = "[hidden]"
# Bearer credentials, anything in the form of a JWT, and the password of a URL.
SECRETS = re.compile(
    r"(?P<bearer>\bbearer\s+)[^\s\"',]+|\bey[\w-]{8,}\.[\w-]+\.[\w-]*|(?P<url>\b[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s@]+(?=@)",
    re.IGNORECASE,
)
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but tab and newline, which tracebacks need
PLAIN_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}  # all else came with `extra`


class JsonLines(logging.Formatter):
    """One object a line: time, level, logger, message, and what came with the record."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "at": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": clean(record.getMessage()),
            **{key: clean(value) if isinstance(value, str) else value for key, value in extras(record).items()},
        }
        if record.exc_info:
            entry["exception"] = clean(self.formatException(record.exc_info))
        return json.dumps(entry, ensure_ascii=False, default=lambda value: clean(str(value)))


class TextLines(logging.Formatter):
    """One line for people: the clock, the level, the sentence, and behind it the ids."""

    def format(self, record: logging.LogRecord) -> str:
        ids = " ".join(f"{key}={value}" for key, value in sorted(extras(record).items()) if key.endswith("_id"))
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        line = f"{clock} {record.levelname.lower():8}{record.getMessage()}{'  ' + ids if ids else ''}"
        trace = "\n" + self.formatException(record.exc_info) if record.exc_info else ""
        return clean(line + trace)


def set_up_logging(*, level: str, as_json: bool) -> None:
    """Send every record of the process through one handler; called once, before the engine is made."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if as_json else TextLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.getLogger("asyncpg.pool").setLevel(logging.ERROR)  # its warnings during an outage: the engine says once what is wrong


def extras(record: logging.LogRecord) -> dict[str, Any]:
    """The fields that the caller handed in with `extra`."""
    return {key: value for key, value in vars(record).items() if key not in PLAIN_FIELDS}


def clean(text: str) -> str:
    """Without credentials, and without signs that a terminal would obey."""
    return CONTROL.sub(lambda found: repr(found.group())[1:-1], SECRETS.sub(hide, text))


def hide(found: re.Match[str]) -> str:
    """What stands for a secret; the word before it stays readable."""
    return (found.group("bearer") or found.group("url") or "") + HIDDEN
