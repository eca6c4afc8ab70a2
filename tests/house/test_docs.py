"""The pages say what is: drawn pages equal what the code draws, links lead somewhere, decisions answer four questions."""

from __future__ import annotations

import ast
import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest

from limpet.core.settings import Settings
from limpet.engine.settings import EngineSettings

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "docs"))

import draw  # noqa: E402  the page maker is no package

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
LINK = re.compile(r"\[[^\]]+\]\(([^)#\s]+)[^)]*\)")
MODULES = [path for path in draw.source_files() if path.read_text(encoding="utf-8").strip()]


@pytest.mark.parametrize("name", draw.PAGES)
def test_a_drawn_page_is_what_the_code_draws(name: str) -> None:
    assert (ROOT / name).read_text(encoding="utf-8") == draw.PAGES[name](), f"{name} is out of date: run `make docs`"


@pytest.mark.parametrize("settings", [Settings, EngineSettings], ids=lambda kind: kind.__name__)
def test_every_setting_is_documented_with_its_default(settings: type) -> None:
    page = (ROOT / "docs" / "limits.md").read_text(encoding="utf-8")
    defaults = settings()
    for field in dataclasses.fields(settings):
        value = getattr(defaults, field.name)
        if draw.is_value(value):
            assert f"| `{field.name}` | {draw.shown(field.name, value)} |" in page, f"{field.name} is not in docs/limits.md"


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("worker_lost_after_us", 30_000_000, "30 s"),
        ("undeliverable_delay_first_us", 100_000, "100 ms"),
        ("priority_age_us", 0, "0 us"),
        ("message_bytes_max", 4 * 1024 * 1024, "4 MiB"),
        ("retention_us", 30 * 86_400_000_000, "30 d"),
        ("HEAD_TIMEOUT_S", 10.0, "10.0 s"),
        ("labels_max", 1_000, "1,000"),
        ("depth_first", False, "`False`"),
    ],
)
def test_a_default_is_shown_in_the_unit_that_its_name_tells(name: str, value: object, text: str) -> None:
    assert draw.shown(name, value) == text


def test_a_sentence_stands_behind_a_limit_or_above_it(tmp_path: Path) -> None:
    file = tmp_path / "limits.py"
    file.write_text("A_MAX = 1  # behind it\n# above\n# it\nB_MAX = 2\n\nC_MAX = 3\n")
    said = draw.comments(file)
    found = {name: draw.sentence_of(node, said) for name, node in draw.assigned(ast.parse(file.read_text()).body)}
    assert found == {"A_MAX": "behind it", "B_MAX": "above it", "C_MAX": ""}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    targets = [target for target in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in target]
    broken = [target for target in targets if not (page.parent / target).exists()]
    assert not broken, f"{page.relative_to(ROOT)} links to nothing: {broken}"


@pytest.mark.parametrize("page", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_answers_four_questions(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for word in ("**Question.**", "**Choice.**", "**Why.**", "**What would change our mind.**"):
        assert word in text, f"{page.name} does not say: {word}"
    assert text.startswith(f"# {int(page.name[:4])}. ")


def test_decisions_are_numbered_without_a_gap() -> None:
    assert [int(page.name[:4]) for page in DECISIONS] == list(range(1, len(DECISIONS) + 1))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_a_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), "the first line of a module says what it is"


def test_make_alone_lists_every_target_with_a_sentence() -> None:
    listed = subprocess.run(["make", "-s", "-C", str(ROOT)], capture_output=True, text=True, check=True).stdout
    for target in ("demo", "test", "lint", "bench", "proto", "docs", "simulate", "compat"):
        assert re.search(rf"^  make {target} +[A-Z].*[.;].*$", listed, re.MULTILINE), f"`make` does not explain {target}"


def test_the_continuous_check_runs_lint_and_tests() -> None:
    script = ROOT / ".ci" / "run"
    text = script.read_text(encoding="utf-8")
    assert script.stat().st_mode & 0o111, ".ci/run is not executable"
    assert text.index("make -k lint") < text.index("make test")
