"""Flags, then variables, then the file, then the default; and spans and settings as people write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from limpet.cli.configuration import CONFIG_BYTES_MAX, parse, read_defaults, spread
from limpet.cli.durations import milliseconds
from limpet.cli.exits import Misuse
from limpet.cli.main import load
from limpet.cli.overrides import overridden
from limpet.core.ids import SECOND_US
from limpet.core.settings import HardStickyPolicy
from limpet.engine.settings import EngineSettings


@pytest.mark.parametrize(
    ("text", "value"), [("90s", 90_000), ("1h30m", 5_400_000), ("250ms", 250), ("7d", 604_800_000), ("1.5s", 1_500)]
)
def test_a_span_is_read(text: str, value: int) -> None:
    assert milliseconds(text) == value


@pytest.mark.parametrize("text", ["", "90", "s", "-5s", "5 parsecs", "5s!"])
def test_a_span_without_number_or_unit_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(Misuse, match="is not a span"):
        milliseconds(text)


def test_settings_of_rules_and_of_the_process_are_changed_by_name() -> None:
    changed = overridden(
        EngineSettings(), ["worker_lost_after=2s", "input-batch-max=7", "hard_sticky_policy=wait", "depth_first=yes"]
    )
    assert changed.core.worker_lost_after_us == 2 * SECOND_US
    assert changed.input_batch_max == 7
    assert changed.core.hard_sticky_policy is HardStickyPolicy.WAIT
    assert changed.core.depth_first is True
    assert changed.core.receipt_grace_us == EngineSettings().core.receipt_grace_us


def test_the_last_word_about_a_setting_wins() -> None:
    assert overridden(EngineSettings(), ["due_batch_max=1", "due_batch_max=2"]).core.due_batch_max == 2


def test_a_span_may_be_zero_without_a_unit() -> None:
    assert overridden(EngineSettings(), ["priority_age=0"]).core.priority_age_us == 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("worker_lost_after", "no setting"),
        ("worker_lost_aftr=1s", "no setting worker_lost_aftr"),
        ("worker_lost_after=5", "not a span"),
        ("due_batch_max=5s", "cannot be"),
        ("hard_sticky_policy=maybe", "cannot be"),
        ("depth_first=perhaps", "cannot be"),
    ],
)
def test_a_wrong_setting_is_refused(text: str, says: str) -> None:
    with pytest.raises(Misuse, match=says):
        overridden(EngineSettings(), [text])


def test_a_misspelt_setting_gets_a_suggestion() -> None:
    with pytest.raises(Misuse) as caught:
        overridden(EngineSettings(), ["worker_lost_aftr=1s"])
    assert "worker_lost_after" in caught.value.hint


def test_the_file_is_spread_over_commands_and_verbs(tmp_path: Path) -> None:
    file = tmp_path / "limpet.toml"
    file.write_text('[all]\nurl = "http://a"\n[runs.list]\nlimit = 3\n[dev]\ngrpc-port = 0\nset = ["slot_hold=1s"]\n')
    defaults = read_defaults(file)
    assert spread(defaults, "dev", load("dev")) == {"grpc_port": 0, "settings": ["slot_hold=1s"]}
    assert spread(defaults, "runs", load("runs"))["list"] == {"url": "http://a", "limit": 3}
    assert spread(defaults, "runs", load("runs"))["get"] == {"url": "http://a"}


@pytest.mark.parametrize(("text", "place"), [("[dev]\ngrpcport = 0\n", "dev"), ("[runs.list]\nlimits = 3\n", "runs")])
def test_a_key_that_is_no_flag_is_refused_with_those_that_are(tmp_path: Path, text: str, place: str) -> None:
    file = tmp_path / "limpet.toml"
    file.write_text(text)
    with pytest.raises(Misuse, match="which is no flag of it") as refusal:
        spread(read_defaults(file), place, load(place))
    assert "json" in refusal.value.hint


def test_no_file_is_fine_but_a_named_one_must_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_defaults(None) == {}
    with pytest.raises(Misuse, match="cannot be read"):
        read_defaults(tmp_path / "absent.toml")


def test_a_file_that_is_no_toml_says_where(tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text("a = \n")
    with pytest.raises(Misuse, match="line 1"):
        parse(file)


def test_a_huge_file_is_no_configuration(tmp_path: Path) -> None:
    file = tmp_path / "big.toml"
    file.write_bytes(b"#" * (CONFIG_BYTES_MAX + 1))
    with pytest.raises(Misuse, match="larger than"):
        parse(file)
