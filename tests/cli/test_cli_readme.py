"""The README's quickstart does what it says: its code is taken from the page, its commands are typed."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

from running_engine import STOP_MAX_S, Command, Running, until

README = Path(__file__).resolve().parents[2] / "README.md"
BLOCKS = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)


def blocks(language: str) -> list[str]:
    """The README's code in one language, in order."""
    return [text for kind, text in BLOCKS.findall(README.read_text(encoding="utf-8")) if kind == language]


def test_the_quickstart_runs(engine: Running, limpet: Command, tmp_path: Path) -> None:
    [quickstart] = [text for text in blocks("python") if '@limpet.task(name="hello")' in text]
    (tmp_path / "hello.py").write_text(quickstart)
    worker = subprocess.Popen(
        [sys.executable, "hello.py"], cwd=tmp_path, env=engine.environment, stderr=subprocess.PIPE, text=True
    )
    try:
        until(
            lambda: json.loads(limpet("workers", "list", "--json", env=engine.environment).stdout)["rows"], "the worker is there"
        )
        result = limpet("workflows", "trigger", "hello", "--wait", env=engine.environment)
        assert result.returncode == 0, result.stderr
        assert "Hello from " in result.stdout
        listed = limpet("runs", "list", env=engine.environment)
        assert "hello" in listed.stdout
        assert "COMPLETED" in listed.stdout
    finally:
        worker.terminate()
        _, written = worker.communicate(timeout=STOP_MAX_S)
    assert worker.returncode == 0, written


def test_the_other_examples_run_as_they_stand(engine: Running, tmp_path: Path) -> None:
    for number, text in enumerate(blocks("python")):
        file = tmp_path / f"example_{number}.py"
        file.write_text(text.replace('if __name__ == "__main__":\n    main()\n', ""))
        subprocess.run([sys.executable, str(file)], env=engine.environment, check=True, capture_output=True)


def test_every_command_of_the_page_exists(limpet: Command) -> None:
    lines = [line.split("#")[0].split() for text in blocks("sh") for line in text.splitlines()]
    commands = [line[1:] for line in lines if line and line[0] == "limpet"]
    assert commands
    for words in commands:
        names = [word for word in words[:2] if word.isalpha()]
        assert limpet(*names, "--help").returncode == 0, names


def test_the_code_of_the_page_is_python() -> None:
    for text in blocks("python"):
        ast.parse(text)
