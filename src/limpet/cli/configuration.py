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


def spread(defaults: Mapping[str, Any], name: str, command: Any) -> dict[str, Any]:
    """The defaults of one command, `[all]` below its own table, and below each verb's when it has verbs.

    Raises Misuse for a key of the command's own tables that is no flag of it.
    """
    shared, own = dict(defaults.get(SHARED, {})), dict(defaults.get(name, {}))
    verbs: Mapping[str, Any] = getattr(command, "commands", {})
    if not verbs:
        return {**by_parameter(command, shared), **by_parameter(command, own, f"[{name}]")}
    tables = {verb: own.pop(verb.replace("-", "_"), {}) for verb in verbs}
    common = {**shared, **own}
    return {
        verb.replace("-", "_"): {**by_parameter(verbs[verb], common), **by_parameter(verbs[verb], table, f"[{name}.{verb}]")}
        for verb, table in tables.items()
    }


def by_parameter(command: Any, table: Mapping[str, Any], place: str | None = None) -> dict[str, Any]:
    """Values by the parameter that takes them. A key that is no flag is refused when its place is named, else left out."""
    flags = {flag.lstrip("-").replace("-", "_"): one.name for one in command.params for flag in one.opts if flag.startswith("--")}
    unknown = sorted(set(table) - set(flags))
    if unknown and place is not None:
        known = ", ".join(sorted(flag.replace("_", "-") for flag in flags if flag != "help"))
        raise Misuse(f"The configuration file has {unknown[0]} under {place}, which is no flag of it.", f"Its flags: {known}")
    return {flags[key]: value for key, value in table.items() if key in flags}
