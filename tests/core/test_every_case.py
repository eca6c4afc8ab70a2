"""Every acceptance case of the specifications is shown by a test that carries its id, or stands in the one list.

AC-…: of assignment; A…: of workflows; B…: of flow control.
"""

from __future__ import annotations

import re
from pathlib import Path

from tests.core.waiting_cases import ELSEWHERE, PARTLY_SHOWN, WAITING, WAITING_WORKFLOWS

TESTS = Path(__file__).resolve().parents[1]
CASES = [str(number) for number in range(1, 102)] + ["32b", "65b", "95b"]
NAME = re.compile(r"def (test_\w+)")
CASE = r"(?<![A-Za-z]){kind}(\d+b?)(?![0-9a-z])"
WORKFLOW_CASES = [str(number) for number in range(1, 122)]
FLOW_CASES = [str(number) for number in range(1, 111)] + ["29b"]


def shown(kind: str = "AC") -> dict[str, set[str]]:
    """Case ids that occur in names of tests, with the files they occur in."""
    case_id = re.compile(CASE.format(kind=kind))
    found: dict[str, set[str]] = {}
    for path in TESTS.rglob("test_*.py"):
        for name in NAME.findall(path.read_text(encoding="utf-8")):
            for case in case_id.findall(name):
                found.setdefault(case.lstrip("0"), set()).add(str(path.relative_to(TESTS.parent)))
    return found


def test_every_acceptance_case_is_shown_or_waits_by_name() -> None:
    known = {*shown(), *WAITING, *ELSEWHERE}
    assert [f"AC-{case}" for case in CASES if case not in known] == []


def test_the_list_names_only_cases_that_exist_and_each_in_one_place() -> None:
    assert {*WAITING, *ELSEWHERE} <= set(CASES)
    assert not set(WAITING) & set(ELSEWHERE)
    assert set(WAITING) >= PARTLY_SHOWN


def test_a_case_that_is_shown_waits_no_longer() -> None:
    assert set(shown()) & set(WAITING) == PARTLY_SHOWN


def test_every_id_in_a_name_is_an_acceptance_case() -> None:
    assert set(shown()) <= set(CASES)


def test_cases_about_edges_and_clients_are_shown_in_their_folder() -> None:
    found = shown()
    missing = [case for case, folder in ELSEWHERE.items() if not any(f.startswith(folder) for f in found.get(case, ()))]
    assert missing == []


def test_every_case_of_workflows_is_shown_or_waits_by_name() -> None:
    found, waiting = set(shown("A")), {str(case) for case in WAITING_WORKFLOWS}
    assert [f"A{case}" for case in WORKFLOW_CASES if case not in found | waiting] == []
    assert found & waiting == set()
    assert found <= set(WORKFLOW_CASES)


def test_every_case_of_flow_control_is_shown() -> None:
    assert [f"B{case}" for case in FLOW_CASES if case not in shown("B")] == []
    assert set(shown("B")) <= set(FLOW_CASES)
