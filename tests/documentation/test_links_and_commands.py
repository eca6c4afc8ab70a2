"""Links lead to a heading that exists, every page can be reached, every command that a page shows exists with its options."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from limpet.cli.main import load
from tests.documentation.command_lines import check_command
from tests.documentation.pages import DOCS, LINK, PAGES, anchors, blocks, prose, shown_name

WITH_COMMANDS = [page for page in PAGES if any(block.kind in ("sh", "sh run", "console") for block in blocks(page))]


@pytest.mark.parametrize("page", PAGES, ids=shown_name)
def test_a_link_to_a_heading_finds_it(page: Path) -> None:
    broken = []
    for target in LINK.findall(prose(page)):
        path, sign, anchor = target.partition("#")
        if sign and "://" not in target and anchor not in anchors((page.parent / path).resolve() if path else page):
            broken.append(target)
    assert not broken, f"{shown_name(page)} points to headings that do not exist: {broken}"


def test_every_page_can_be_reached_from_the_index() -> None:
    index = DOCS / "README.md"
    reached = {(index.parent / target.partition("#")[0]).resolve() for target in LINK.findall(prose(index))}
    missing = [shown_name(page) for page in DOCS.rglob("*.md") if page != index and page not in reached]
    assert not missing, f"docs/README.md does not link to {missing}"


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=shown_name)
def test_every_command_of_a_page_can_be_typed(page: Path) -> None:
    for block in blocks(page):
        if block.kind in ("sh", "sh run", "console"):
            for line in block.text.splitlines():
                check_command(line, f"{shown_name(page)}:{block.line}")


def test_a_command_that_does_not_exist_is_noticed() -> None:
    with pytest.raises(AssertionError, match="no such command"):
        check_command("limpet runs erase RUN", "here")
    with pytest.raises(Exception, match="No such option"):
        check_command("limpet runs list --everything", "here")


@pytest.mark.parametrize("page", [page for page in PAGES if any(block.kind == "toml" for block in blocks(page))], ids=shown_name)
def test_every_key_of_a_configuration_is_an_option_of_its_command(page: Path) -> None:
    for block in blocks(page):
        for table, keys in tomllib.loads(block.text).items() if block.kind == "toml" else ():
            known = {param.name for param in load("server" if table == "all" else table).params}
            assert keys.keys() <= known, f"{shown_name(page)}:{block.line} names options that [{table}] does not have"
