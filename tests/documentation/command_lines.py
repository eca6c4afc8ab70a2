"""Command lines that people copy: from pages, from files of deploy/."""

from __future__ import annotations

import re
import shlex

from limpet.cli.main import COMMANDS, load


def check_command(line: str, where: str) -> None:
    """Parse a line as the command line would, without carrying it out. Lines of other programs pass."""
    if line.split()[:1] != ["limpet"]:
        return
    words = shlex.split(line, comments=True)
    if words[1:] in (["--version"], ["--help"]):
        return
    name, rest = words[1], [re.sub(r"^\$", "", word) for word in words[2:]]
    assert name in COMMANDS, f"{where}: no such command: {line}"
    command = load(name)
    verbs = getattr(command, "commands", None)
    if verbs is not None:
        verb, *rest = rest or [""]
        assert verb in verbs, f"{where}: no such command: {line}"
        command = verbs[verb]
    command.make_context(name, rest, resilient_parsing=False).close()
