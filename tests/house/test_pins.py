"""The development environment is pinned whole: what any tool needs has an exact version, one that pyproject.toml allows."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "pins"))

import renew  # noqa: E402  the pin writer is no package

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def asked_for() -> list[Requirement]:
    """What pyproject.toml names: for users, and for developers."""
    texts = [*PROJECT["project"]["dependencies"], *PROJECT["dependency-groups"]["dev"]]
    return [Requirement(text) for text in texts]


def pins() -> dict[str, str]:
    """Pinned versions by name."""
    lines = [line for line in renew.PINS.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return dict(line.split("==") for line in lines)


def needed(requirement: Requirement, seen: set[str]) -> Iterator[str]:
    """Names of a distribution and of all that it needs here; extras are followed."""
    name = renew.normalised(requirement.name)
    key = f"{name}[{','.join(sorted(requirement.extras))}]"
    if key in seen:
        return
    seen.add(key)
    yield name
    try:
        wants = distribution(name).requires or []
    except PackageNotFoundError:
        return  # pyproject.toml asks for it newly: the pin is missing, and that is what fails
    for each in map(Requirement, wants):
        if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in ("", *requirement.extras)):
            yield from needed(each, seen)


def test_everything_that_development_needs_has_an_exact_version() -> None:
    seen: set[str] = set()
    names = {name for requirement in asked_for() for name in needed(requirement, seen)}
    assert len(names) > len(asked_for())
    assert sorted(names - set(pins())) == [], "run `make pins`"


def test_every_pin_is_a_version_that_the_project_allows() -> None:
    versions = pins()
    wrong = [
        f"{each} is pinned to {versions[renew.normalised(each.name)]}"
        for each in asked_for()
        if not each.specifier.contains(versions[renew.normalised(each.name)], prereleases=True)
    ]
    assert wrong == [], "run `make pins`"


def test_the_file_is_what_its_writer_writes() -> None:
    assert renew.PINS.read_text(encoding="utf-8") == renew.page(sorted(pins().items()))


def test_a_report_of_pip_becomes_pins_without_this_project() -> None:
    report = [{"metadata": {"name": name, "version": "1.0"}} for name in ("types_PyYAML", "limpet", "attrs")]
    assert renew.page(renew.versions(report)).splitlines()[-2:] == ["attrs==1.0", "types-pyyaml==1.0"]
