"""The files of deploy/ as data: instructions of the image, services of the compose file, lines of the unit and the balancer."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic_settings import BaseSettings

from limpet.cli.main import COMMANDS, load
from limpet.edges.signing import KEY_VARIABLE
from limpet.sdk import config

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
FILES = sorted(path for path in DEPLOY.iterdir() if path.is_file())
VARIABLE = re.compile(r"\bLIMPET_[A-Z][A-Z0-9_]*[A-Z0-9]\b")
UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0}


class Instruction(NamedTuple):
    """Of a Dockerfile. `words` is the list of an instruction in exec form, else None."""

    name: str
    text: str
    words: list[str] | None


def image() -> list[Instruction]:
    """The instructions of the Dockerfile, in order; lines that go on are joined."""
    text = re.sub(r"^\s*#.*\n", "", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    found = []
    for line in lines:
        name, _, rest = line.partition(" ")
        start = rest.find("[")
        found.append(Instruction(name, rest.strip(), json.loads(rest[start:]) if start >= 0 and rest.endswith("]") else None))
    return found


def last(name: str) -> Instruction:
    """The instruction of this name that counts."""
    return [each for each in image() if each.name == name][-1]


def compose() -> dict[str, Any]:
    """The compose file with its merges carried out."""
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    return found


def our_services() -> dict[str, dict[str, Any]]:
    """Those that run our image."""
    return {name: each for name, each in compose()["services"].items() if "build" in each}


def servers() -> dict[str, dict[str, Any]]:
    """Those that run `limpet server`."""
    return {name: each for name, each in our_services().items() if each["command"][0] == "server"}


def unit(key: str) -> list[str]:
    """Values of a key of the service's unit, in order."""
    return re.findall(rf"^{key}=(.*)$", (DEPLOY / "limpet.service").read_text(encoding="utf-8"), re.MULTILINE)


def balancer(pattern: str) -> list[Any]:
    """What the pattern finds in the lines of the balancer's file that are no comments."""
    text = (DEPLOY / "haproxy.cfg").read_text(encoding="utf-8")
    return re.findall(pattern, re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE), re.MULTILINE)


def seconds(text: str) -> float:
    """A span as compose files, units and HAProxy write it; without a unit it is seconds."""
    number, unit_ = re.fullmatch(r"(\d+)(ms|s|m|)", text).groups()  # type: ignore[union-attr]
    return int(number) * UNITS_S[unit_ or "s"]


def variables() -> set[str]:
    """Every LIMPET_ variable that a command or a client reads."""
    return {name for name in (*command_variables(), *client_variables(), KEY_VARIABLE) if name.startswith("LIMPET_")}


def command_variables() -> Iterator[str]:
    """Those behind options."""
    for name in COMMANDS:
        command = load(name)
        for each in (command, *getattr(command, "commands", {}).values()):
            for param in each.params:
                named = param.envvar or ()
                yield from (named,) if isinstance(named, str) else named


def client_variables() -> Iterator[str]:
    """Those that a client reads, in all their spellings."""
    for kind in vars(config).values():
        if isinstance(kind, type) and issubclass(kind, BaseSettings):
            for field in kind.model_fields.values():
                yield from (str(each) for each in getattr(field.validation_alias, "choices", ()))
