"""What users import is documented."""

from __future__ import annotations

import inspect

import pytest

import limpet

VALUES = {"__version__"}


@pytest.mark.parametrize("name", sorted(set(limpet.__all__) - VALUES))
def test_every_public_name_has_a_docstring(name: str) -> None:
    value = getattr(limpet, name)
    assert inspect.isclass(value) or callable(value)
    assert vars(value).get("__doc__") if inspect.isclass(value) else value.__doc__, name


@pytest.mark.parametrize("name", sorted(set(limpet.__all__) - VALUES))
def test_every_public_method_has_a_docstring(name: str) -> None:
    value = getattr(limpet, name)
    own = [(n, m) for n, m in (vars(value).items() if inspect.isclass(value) else ()) if not n.startswith("_")]
    methods = [(n, m) for n, m in own if inspect.isfunction(m) or isinstance(m, property | classmethod | staticmethod)]
    assert [n for n, method in methods if not inspect.getdoc(method)] == []
