"""Where a setting comes from: flags, then `LIMPET_*`, then the file, then the default.

The first two are the option parser's work; this module reads the file and hands it over as that parser's defaults.
The file is TOML with a table per command: `[dev]`, `[server]`, `[runs.list]`; keys are the long flags, dashes or not.
A table `[all]` holds what several commands share, such as `url` and `token`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from limpet.cli.exits import Misuse

DEFAULT_FILE = Path("limpet.toml")  # in the working directory; absent is fine
SHARED = "all"
CONFIG_BYTES_MAX = 1024 * 1024  # a configuration is a page; anything larger is some other file named by mistake


def read_defaults(named: Path | None) -> dict[str, Any]:
    """Defaults by command name, nested as the commands are. A file that was named must exist."""
    path = named or DEFAULT_FILE
    if named is None and not path.is_file():
        return {}
    return normal(parse(path))


def parse(path: Path) -> dict[str, Any]:
    """The file's content. Raises Misuse with the line that cannot be read."""
    try:
        if path.stat().st_size > CONFIG_BYTES_MAX:
            raise Misuse(f"{path} is larger than {CONFIG_BYTES_MAX} bytes; that is no configuration file.")
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Misuse(f"The configuration file {path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Misuse(f"The configuration file {path} is not TOML: {error}.") from error


def normal(table: Mapping[str, Any]) -> dict[str, Any]:
    """Keys as the option parser knows them: words joined by underscores."""
    return {key.replace("-", "_"): normal(value) if isinstance(value, dict) else value for key, value in table.items()}


def spread(defaults: Mapping[str, Any], command: str, verbs: tuple[str, ...]) -> dict[str, Any]:
    """The defaults of one command, `[all]` below its own table, and below each verb's when it has verbs."""
    shared = dict(defaults.get(SHARED, {}))
    own = dict(defaults.get(command, {}))
    merged = {**shared, **own}
    for verb in verbs:
        merged[verb.replace("-", "_")] = {**shared, **own.get(verb.replace("-", "_"), {})}
    return merged
