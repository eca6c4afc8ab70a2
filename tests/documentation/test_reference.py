"""Tables of the pages equal the code: reasons, metrics, log events, errors, timeline events, store errors, dependencies."""

from __future__ import annotations

import ast
import inspect
import re
import tomllib
from dataclasses import fields
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from limpet.core import errors
from limpet.core.definitions import Comparator, Feature
from limpet.core.errors import LimpetError
from limpet.core.explain import Outlook, Reason
from limpet.core.rows import EventType
from limpet.core.settings import Settings
from limpet.core.undelivered import OLDER
from limpet.edges.grpc.status import CODES
from limpet.edges.rest.status import STATUS_OF
from limpet.engine.settings import EngineSettings
from limpet.store import api
from limpet.store.api import StoreError
from limpet.testing import EmbeddedEngine
from tests.documentation.log_events import LogEvent, events_of, log_events
from tests.documentation.pages import DOCS, ROOT, rows
from tests.documentation.waiting_scenes import SCENES, told

NO_SETTINGS = {"wait_for", "consider_events_since"}  # options of a task and a condition that stand in brackets on a page
REFERENCE, OPERATING, GUIDE = DOCS / "reference", DOCS / "operating", DOCS / "guide"


def reason_rows() -> dict[str, tuple[str, str]]:
    return {code: (example, helps) for code, example, helps in rows(GUIDE / "explain.md", "## Reasons")}


def test_every_reason_is_explained() -> None:
    assert list(reason_rows()) == [reason.value for reason in Reason]
    assert set(SCENES) == set(Reason)


@pytest.mark.parametrize("reason", Reason)
def test_the_example_of_a_reason_is_what_the_engine_says(reason: Reason) -> None:
    example, helps = reason_rows()[reason.value]
    assert SCENES[reason]().reason is reason
    assert example == told(SCENES[reason])
    assert helps


def test_every_outlook_is_named() -> None:
    page = (GUIDE / "explain.md").read_text(encoding="utf-8")
    assert not [outlook for outlook in Outlook if f"`{outlook.value}`" not in page]


def test_every_comparator_is_in_the_table() -> None:
    assert [row[0].split("`")[0] for row in rows(GUIDE / "labels.md", "## Comparators")] == [one.name for one in Comparator]


def test_every_missing_feature_is_named() -> None:
    page = "\n".join(" ".join(row) for row in rows(GUIDE / "official-clients.md", "## What does not work yet"))
    words = {"event filters": "filters"}
    missing = set(Feature) - OLDER
    assert not [feature for feature in missing if words.get(feature.value, feature.value) not in page]


def test_every_metric_is_in_the_table() -> None:
    with EmbeddedEngine() as engine:
        families = list(engine.engine.metrics.registry.collect())
    expected = {family.name + ("_total" if family.type == "counter" else ""): family.type for family in families}
    shown = {name: kind for name, kind, sentence in rows(OPERATING / "monitoring.md", "## Metrics") if sentence}
    assert shown == expected


def test_every_log_event_is_in_the_table() -> None:
    shown = {
        LogEvent(name, level, tuple(sorted(fields.replace("`", "").split()) if fields != "-" else ()))
        for name, level, fields, _ in rows(REFERENCE / "events.md", "## Log events")
    }
    assert shown == log_events()


def test_a_log_line_without_an_event_is_noticed() -> None:
    with pytest.raises(AssertionError, match="logs without an event's name"):
        list(events_of(ast.parse("_log.warning('oh')"), Path("some.py")))


def test_every_timeline_event_is_in_the_table() -> None:
    assert [name for name, _ in rows(REFERENCE / "timeline.md", "## Event types")] == [kind.name for kind in EventType]


def leaves(base: type[Exception], module: object) -> list[type[Exception]]:
    """The classes of a tree that nothing in its module derives from, in order."""
    found = [one for _, one in inspect.getmembers(module, inspect.isclass) if issubclass(one, base)]
    return [one for one in found if not any(other is not one and issubclass(other, one) for other in found)]


def test_every_error_is_in_the_table_with_its_codes() -> None:
    expected = {
        error.__name__: (CODES[error].name, str(STATUS_OF[error]))
        for error in leaves(LimpetError, errors)
        if issubclass(error, LimpetError)
    }
    shown = {name: (grpc, http) for name, grpc, http, _ in rows(REFERENCE / "errors.md", "## Codes")}
    assert shown == expected


def test_the_tree_of_errors_is_the_code_s() -> None:
    tree = re.search(r"LimpetError\n(?: *[├│└].*\n)+", inspect.getdoc(errors) or "")
    assert tree is not None
    names = re.findall(r"[A-Z]\w+", re.sub(r"(?<=\w)  +.*", "", tree.group()))
    page = (REFERENCE / "errors.md").read_text(encoding="utf-8")
    assert re.findall(r"^(?:[ ├│└─]*)([A-Z]\w+)", page.split("```text\n")[1].split("```")[0], re.MULTILINE) == names


def test_what_the_engine_does_about_each_store_error_is_told() -> None:
    shown = {name for name, *_ in rows(OPERATING / "reliability.md", "## When the store fails")}
    assert shown == {error.__name__ for error in leaves(StoreError, api)}


def test_every_dependency_has_its_sentence() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = [re.split(r"[\[>=<]", text)[0] for text in project["dependencies"]]
    page = next((DOCS / "decisions").glob("*-libraries.md"))
    shown = [name for name, _ in rows(page, "## The list")]
    assert sorted(shown) == sorted(names)


def plain(name: str) -> str:
    """The name of a package as one spelling."""
    return name.lower().replace("_", "-")


def test_every_dependency_is_imported() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {plain(re.split(r"[\[>=<]", text)[0]) for text in project["dependencies"]}
    homes = {module: {plain(name) for name in found} for module, found in packages_distributions().items()}
    imported = {
        line.split()[1].split(".")[0]
        for path in (ROOT / "src").rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.match(r"\s*(import|from) [a-z]", line)
    }
    idle = names - {name for module in imported for name in homes.get(module, ())}
    assert idle == set(), f"no module imports what these packages bring: {sorted(idle)}"


def test_every_setting_that_a_page_names_exists() -> None:
    known = {field.name.removesuffix("_us") for kind in (Settings, EngineSettings) for field in fields(kind)}
    named = re.compile(r"\(`([a-z]+_[a-z_]+|retention)`(?:, `([a-z]+_[a-z_]+)`)?\)|--set ([a-z_]+)=")
    for page in [*GUIDE.glob("*.md"), *OPERATING.glob("*.md")]:
        found = {name for names in named.findall(page.read_text(encoding="utf-8")) for name in names if name}
        unknown = found - known - NO_SETTINGS
        assert not unknown, f"{page.name} names settings that do not exist: {sorted(unknown)}"
