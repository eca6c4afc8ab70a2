"""How a command ends: honest exit codes, and errors that say what to do next.

Codes: 0 done · 1 it failed · 2 the command line is wrong · 3 no such thing · 4 the engine cannot be reached.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What a script may rely on."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    UNREACHABLE = 4


class CommandError(Exception):
    """Ends a command: a sentence for the reader, the next step, and the exit code."""

    code = ExitCode.FAILED

    def __init__(self, sentence: str, hint: str = "") -> None:
        self.sentence = sentence
        self.hint = hint
        super().__init__(f"{sentence}\n{hint}" if hint else sentence)


class Misuse(CommandError):
    """The command line or the configuration cannot mean anything."""

    code = ExitCode.USAGE


class Missing(CommandError):
    """The named thing does not exist."""

    code = ExitCode.NOT_FOUND


class Unreachable(CommandError):
    """Nothing answers where the engine should be."""

    code = ExitCode.UNREACHABLE
