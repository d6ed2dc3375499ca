"""The libraries that define a metric are imported when one is asked for; a missing one is named with the command that brings it."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import Any

from ...base.errors import InputError


def library(module: str, package: str, metric: str) -> Any:
    """A module of `package`. InputError when that is not installed."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise InputError(f"{metric} is measured by {package}, and {error.name} is not here: pip install 'harken[eval]'") from None


def named(package: str) -> str:
    """ "rouge-score 0.1.2" """
    return f"{package} {version(package)}"
