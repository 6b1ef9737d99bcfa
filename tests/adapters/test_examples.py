"""Every public name shows how it is used; that the examples run, tests/test_docs.py checks."""

from __future__ import annotations

import importlib
import inspect

import pytest

from sketchkit import adapters


@pytest.mark.parametrize("name", adapters.__all__)
def test_public_names_have_an_example(name: str) -> None:
    value = getattr(adapters, name)
    if inspect.isclass(value) or inspect.isfunction(value):
        assert ">>>" in (value.__doc__ or ""), f"{name} has no example in its docstring"
    else:
        # A constant has no docstring of its own: its module's shows it.
        text = importlib.import_module(f"sketchkit.adapters.{adapters._EXPORTS[name]}").__doc__ or ""
        assert [line for line in text.splitlines() if ">>>" in line and name in line], f"{name} has no example"
