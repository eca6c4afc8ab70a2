"""Expressions (flow control section 1): four environments, JSON numbers, results, bounds (X15)."""

from __future__ import annotations

import sys

import orjson
import pytest

from limpet.core.errors import NotSupported
from limpet.edges.expressions import evaluator
from limpet.edges.expressions.errors import ExpressionError
from limpet.edges.expressions.evaluator import (
    EXPRESSION_BYTES_MAX,
    LOOP_STEPS_MAX,
    Environment,
    as_integer,
    as_text,
    as_truth,
    compile_expression,
)
from limpet.edges.expressions.shape import NODES_MAX, PATTERN_BYTES_MAX
from limpet.edges.expressions.values import LEVELS_MAX, Values

ORDER = {"user": "ada", "n": 3, "big": 2**53, "tags": ["a", "b"], "deep": {"x": None}, "yes": True, "ratio": 2.75}


def values(**inputs: object) -> Values:
    found = Values()
    for name, _ in Environment.FILTER.value + Environment.CONDITION.value + Environment.WEBHOOK.value:
        if name in ("event_id", "event_key"):
            found.add_text(name, f"the {name}")
        else:
            found.add_json(name, orjson.dumps(inputs.get(name, {})))
    found.add_text("workflow_run_id", "r-1")
    return found


def result(text: str, environment: Environment = Environment.KEY, **inputs: object) -> object:
    """As one environment sees it: only its own variables are handed in."""
    everything = values(**{"input": ORDER, **inputs})
    own = [name for name, _ in environment.value]
    everything.variables = {name: value for name, value in everything.variables.items() if name in own}
    return compile_expression(environment, text).evaluate(everything)


@pytest.mark.parametrize(
    ("environment", "names"),
    [
        (Environment.KEY, {"input", "additional_metadata", "workflow_run_id"}),
        (Environment.FILTER, {"input", "additional_metadata", "payload", "event_id", "event_key"}),
        (Environment.WEBHOOK, {"input", "headers"}),
        (Environment.CONDITION, {"input", "output"}),
    ],
)
def test_F1_1_F1_7_each_environment_has_its_own_variables(environment: Environment, names: set[str]) -> None:
    everywhere = {name for one in Environment for name, _ in one.value} | {"parents"}
    for name in everywhere - names:
        with pytest.raises(ExpressionError, match=f"undeclared reference to '{name}'"):
            compile_expression(environment, f"{name} == {name}")
    for name in names:
        assert result(f"{name} == {name}", environment) is True


@pytest.mark.parametrize("environment", [Environment.KEY, Environment.FILTER])
def test_F1_2_strings_have_their_extensions_in_two_environments(environment: Environment) -> None:
    assert result("'a-b'.split('-')[1]", environment) == "b"
    assert result("'Ab'.lowerAscii() + 'xyz'.substring(1) + 'aa'.replace('a', 'b')", environment) == "abyzbb"


@pytest.mark.parametrize("environment", [Environment.WEBHOOK, Environment.CONDITION])
def test_F1_2_and_not_in_the_others(environment: Environment) -> None:
    with pytest.raises(ExpressionError, match="undeclared reference to 'split'"):
        compile_expression(environment, "'a'.split('')")


def test_F1_2_lists_maps_and_macros_are_those_of_cel() -> None:
    assert result("has(input.user) && !has(input.nobody)") is True
    assert result("input.tags.all(t, t in ['a', 'b']) && input.tags.exists(t, t == 'b')") is True
    assert result("input.tags.map(t, t + '!').filter(t, t != 'a!')") == ["b!"]
    assert result("size(input.tags) == 2 && input['user'].startsWith('a')") is True


def test_F1_3_checksum_may_be_called_in_both_ways() -> None:
    expected = "bfd2a7e97ab4a57dc84d7063c09c5b9aa4f8d2d7e0c1e1e8f5a6ba8c5b5cb6f3"
    both = {result("checksum(input.user)"), result("input.user.checksum()")}
    assert len(both) == 1
    assert len(both.pop()) == len(expected)  # type: ignore[arg-type]
    with pytest.raises(ExpressionError, match="undeclared reference to 'checksum'"):
        compile_expression(Environment.FILTER, "checksum('a')")


def test_F1_4_json_numbers_are_doubles() -> None:
    assert result("type(input.n) == double && type(input.big) == double && type(input.yes) == bool") is True
    assert result("input.n == 3 && input.n > 2 && input.deep.x == null") is True
    assert result("'user-' + string(input.n)") == "user-3"
    with pytest.raises(ExpressionError, match="No matching overloads"):
        result("input.n + 1")


def test_a_number_beyond_all_doubles_is_infinite() -> None:
    found = Values()
    found.variables = {"input": {"a": found._read(10**400, 1), "b": found._read(-(10**400), 1)}}
    assert compile_expression(Environment.CONDITION, "input.a > 1e308 && input.b < -1e308").evaluate(found) is True


@pytest.mark.parametrize("nest", [(b'{"a":', b"}"), (b"[", b"]")], ids=["objects", "lists"])
def test_X15_what_nests_deeper_than_an_expression_looks_is_an_error_of_the_expression(nest: tuple[bytes, bytes]) -> None:
    begin, end = nest
    for levels, fits in ((LEVELS_MAX - 1, True), (LEVELS_MAX, False), (1_000, False)):
        found = Values()
        found.add_json("input", b'{"a":' + begin * levels + b"1" + end * levels + b"}")
        expression = compile_expression(Environment.CONDITION, "'a' in input")
        if fits:
            assert expression.evaluate(found) is True
        else:
            with pytest.raises(ExpressionError, match=f"input nests deeper than {LEVELS_MAX} levels"):
                expression.evaluate(found)


def test_F1_4_results_must_have_the_type_of_their_place() -> None:
    assert as_text("a") == "a"
    assert as_truth(False) is False
    assert (as_integer(2.75), as_integer(-2.75), as_integer(4)) == (2, -2, 4)
    for bad in (1.0, True, None, [], {}):
        with pytest.raises(ExpressionError, match="must give a text"):
            as_text(bad)
    for bad in ("true", 1, None):
        with pytest.raises(ExpressionError, match="must give true or false"):
            as_truth(bad)
    for bad in ("1", True, None, float("inf"), float("nan"), b"x"):
        with pytest.raises(ExpressionError, match="must give a"):
            as_integer(bad)


def test_B02_F1_5_a_missing_key_is_an_error_and_not_false() -> None:
    with pytest.raises(ExpressionError, match='Key not found in map : "nobody"'):
        result("input.nobody == 1")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it is empty"),
        ("input.", r"Syntax error.*\(line 1, column 7\)"),
        ("nobody", r"undeclared reference to 'nobody'.*\(line 1, column 1\)"),
        ("1 / 0", "divide by zero"),
        ("input.user.size() + 'a'", "no matching overload"),
        ("(" * 40 + "1" + ")" * 40, "recursion limit"),
    ],
)
def test_errors_are_sentences_without_the_librarys_codes(text: str, words: str) -> None:
    with pytest.raises(ExpressionError, match=words) as error:
        result(text)
    assert "INVALID_ARGUMENT" not in str(error.value)
    assert "\n" not in str(error.value)


# What an expression may cost (X-BOMB): refused by its shape, by its shape times its input, or cut off by the step budget


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"'{'x' * EXPRESSION_BYTES_MAX}'", f"at most {EXPRESSION_BYTES_MAX}"),
        ("[" + ",".join("1" for _ in range(NODES_MAX)) + "].size()", f"more than {NODES_MAX} parts"),
        ("input.tags.map(a, input.tags.map(b, a + b)).size()", "may not stand inside another one"),
        ("input.tags.exists(a, [1].all(b, true))", "may not stand inside another one"),
        ("{'k': [1].map(a, [1].map(b, b))}.size()", "may not stand inside another one"),
        ("input.user.matches(input.user)", "must be a text in quotes"),
        (f"input.user.matches('{'a' * (PATTERN_BYTES_MAX + 1)}')", f"at most {PATTERN_BYTES_MAX} bytes"),
        ("input.user.replace('a', input.user)", "must be a text in quotes"),
        ("input.tags.join(input.user)", "must be a text in quotes"),
    ],
)
def test_X15_shapes_that_may_cost_too_much_are_refused_before_they_run(text: str, words: str) -> None:
    with pytest.raises(ExpressionError, match=words):
        compile_expression(Environment.KEY, text)


@pytest.mark.parametrize(
    "text",
    [
        "input.a.replace('a', '" + "b" * 1_000 + "').size() > 0",
        "input.a.replace('a', 'bbbbbbbb').replace('b', 'cccccccc').replace('c', 'dddddddd').size() > 0",
        "input.list.map(x, input.a + 'x').size() > 0",
        "input.a.split('').map(x, input.a + x).size() > 0",
        "input.list.join('" + "b" * 1_000 + "').size() > 0",
    ],
)
def test_X15_work_is_bounded_by_shape_times_input(text: str) -> None:
    huge = {"a": "a" * 1_000_000, "list": [""] * 1_000}
    with pytest.raises(ExpressionError, match="too much work on an input of"):
        result(text, input=huge)
    assert result(text, input={"a": "a" * 10, "list": [""] * 10}) is True


def test_X15_a_loop_is_cut_off_by_the_step_budget() -> None:
    few, many = {"l": [1] * (LOOP_STEPS_MAX - 10)}, {"l": [1] * (LOOP_STEPS_MAX + 10)}
    assert result("input.l.all(x, true)", input={"l": few["l"][:200]}) is True
    program = compile_expression(Environment.CONDITION, "input.l.all(x, true)")
    found = Values()
    found.add_json("input", orjson.dumps(many))
    found.size = 1  # only the library's budget is in the way
    with pytest.raises(ExpressionError, match=f"more than {LOOP_STEPS_MAX} rounds"):
        program.evaluate(found)


def test_an_ordinary_expression_reads_the_largest_input_there_may_be() -> None:
    assert result("input.user + ':' + string(size(input.blob))", input={"user": "a", "blob": "x" * 3_000_000}) == "a:3000000"


def test_D23_without_the_library_the_sentence_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cel_expr_python", None)
    evaluator._library.cache_clear()
    evaluator._environment.cache_clear()
    evaluator._compile.cache_clear()
    try:
        with pytest.raises(NotSupported, match=r"pip install 'limpet\[cel\]'"):
            compile_expression(Environment.KEY, "'k'")
    finally:
        monkeypatch.undo()
        evaluator._library.cache_clear()
