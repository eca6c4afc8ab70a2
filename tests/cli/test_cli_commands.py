"""The command line as a whole: help comes at once, every command has an example, exit codes are honest."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from running_engine import Command, clean_environment

from limpet.cli.main import COMMANDS, load

HELP_SECONDS_MAX = 0.3


def every_command() -> list[tuple[str, Any]]:
    """(path, command) for each command and each verb."""
    found = []
    for name in COMMANDS:
        command = load(name)
        verbs = getattr(command, "commands", {})
        found += [(f"{name} {verb}", each) for verb, each in verbs.items()] or [(name, command)]
    return found


@pytest.mark.parametrize(("path", "command"), every_command(), ids=lambda value: value if isinstance(value, str) else "")
def test_every_command_has_a_sentence_an_example_and_json(path: str, command: Any) -> None:
    assert command.help.strip().endswith(".")
    assert f"limpet {path}" in command.epilog
    options = {option for parameter in command.params for option in parameter.opts}
    assert "--json" in options or path == "worker", "a worker prints what its tasks print"
    assert all(parameter.help for parameter in command.params if parameter.name != "help"), "an option without a sentence"


@pytest.mark.parametrize("name", COMMANDS)
def test_no_sentence_of_a_list_of_verbs_is_cut(name: str) -> None:
    command = load(name)
    listed = command.get_help(command.context_class(command, info_name=name, terminal_width=80))
    assert "..." not in listed.partition("Commands:")[2]


def test_help_imports_no_command_and_no_engine() -> None:
    code = (
        "import sys, limpet.cli.main as main\n"
        "sys.argv = ['limpet', '--help']\n"
        "try: main.main()\n"
        "except SystemExit: pass\n"
        "heavy = [name for name in ('grpc', 'httpx', 'fastapi', 'starlette', 'uvicorn', 'pydantic_settings', 'limpet.engine.engine') if name in sys.modules]\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env=clean_environment())


def test_the_singular_of_a_command_means_the_same(limpet_process: Command) -> None:
    for one, many in (("cron", "crons"), ("rate-limit", "rate-limits")):
        answer = limpet_process(one, "list", "--help")
        assert answer.returncode == 0, answer.stderr
        assert f"    limpet {many} list\n" in answer.stdout
    assert limpet_process("devs").returncode == 2
    assert "Run the workers that a Python module defines" in limpet_process("worker", "--help").stdout, "a command of its own"


def test_help_lists_every_command(limpet_process: Command) -> None:
    answer = limpet_process("--help")
    assert answer.returncode == 0
    for name, (_, sentence) in COMMANDS.items():
        assert f"  {name}" in answer.stdout
        assert sentence in answer.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["nonsense"], 2, "No such command"),
        (["runs", "list", "--limit", "many"], 2, "--limit"),
        (["runs", "list", "--since", "yesterday"], 2, "not a span"),
        (["runs", "list", "--status", "SLEEPING"], 2, "no status SLEEPING"),
        (["runs", "list", "--metadata", "novalue"], 2, "key=value"),
        (["runs", "cancel"], 2, "either ids of runs, or filters"),
        (["workflows", "trigger", "x", "--input", "{"], 2, "not JSON"),
        (["workflows", "trigger", "x", "--input", "[1]"], 2, "must be a JSON object"),
        (["workflows", "trigger", "x", "--input", "@absent.json"], 2, "absent.json cannot be read"),
        (["runs", "list", "--token", "ey.broken"], 2, "2 parts"),
        (["--config", "absent.toml", "runs", "list"], 2, "absent.toml cannot be read"),
        (["runs", "list", "--url", "http://127.0.0.1:1"], 4, "No engine answers"),
        (["runs", "list", "--url", "engine:8888"], 2, "no HTTP address"),
        (["workers", "list", "--url", "http://127.0.0.1:1", "--json"], 4, "No engine answers"),
        (["server"], 2, "--store FILE"),
        (["server", "--store", "x.db", "--host", "0.0.0.0"], 2, "unencrypted"),
        (["server", "--store", "x.db", "--tls-cert", "a.crt"], 2, "certificate and its key"),
        (["dev", "--store", "redis://db"], 2, "no store for"),
        (["server", "--store", "postgresql://db/x"], 2, "--key-file"),
        (["db", "backup", "x.db", "--store", "postgresql://me:secret@db/x"], 2, "pg_dump"),
        (["db", "downgrade", "--store", "x.db"], 2, "--dry-run"),
        (["dev", "--set", "nonsense=1"], 2, "no setting nonsense"),
        (["worker", "no_such_module"], 2, "no module no_such_module"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_failure_has_an_honest_exit_code_and_a_sentence(
    limpet_process: Command, arguments: list[str], code: int, says: str
) -> None:
    answer = limpet_process(*arguments)
    assert answer.returncode == code, answer.stderr
    assert says in answer.stderr
    assert answer.stdout == "", "standard output carries the answer alone"
    assert "Traceback" not in answer.stderr


def test_flags_win_over_variables_and_variables_over_the_file(limpet_process: Command, tmp_path: Any) -> None:
    (tmp_path / "limpet.toml").write_text('[all]\nurl = "http://127.0.0.1:1"\n')
    variable = clean_environment(LIMPET_SERVER_URL="http://127.0.0.1:2")
    assert "127.0.0.1:1:" in limpet_process("runs", "list").stderr
    assert "127.0.0.1:2:" in limpet_process("runs", "list", env=variable).stderr
    assert "127.0.0.1:3:" in limpet_process("runs", "list", "--url", "http://127.0.0.1:3", env=variable).stderr


def test_completion_is_offered_for_commands_and_verbs(limpet_process: Command) -> None:
    asked = {"_LIMPET_COMPLETE": "complete_bash", "COMP_CWORD": "1"}
    first = subprocess.run(
        ["limpet"],
        executable=str(_entry_point()),
        env=clean_environment(COMP_WORDS="limpet work", **asked),
        capture_output=True,
        text=True,
        check=False,
    )
    assert {"worker", "workers", "workflows"} <= set(first.stdout.split())


def _entry_point() -> Any:
    from pathlib import Path

    return Path(sys.executable).with_name("limpet")
