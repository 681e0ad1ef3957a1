# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How a configuration leaf is declared and its values are checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

Value: TypeAlias = bool | int | float | str | tuple[str, ...]


class ConfigError(ValueError):
    """A parameter has a wrong type, is out of range or contradicts another; one line for a user."""


@dataclass(frozen=True, slots=True)
class Option:
    """What is known of one parameter besides its default."""

    description: str
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    live: bool = False


def option(
    default: Value,
    description: str,
    *,
    unit: str = "",
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
    live: bool = False,
) -> Any:
    """Declares a configuration leaf. Ranges are inclusive."""
    meta = Option(description, unit, minimum, maximum, choices, live)
    return field(default=default, metadata={"option": meta})


@dataclass(frozen=True, slots=True)
class Leaf:
    """One parameter: its ROS name, default and description."""

    name: str
    default: Value
    option: Option


def check_value(leaf: Leaf, value: object) -> Value:
    """Gives ``value`` in the type of the leaf's default.

    Raises:
        ConfigError: wrong type, out of range or not among the choices; names all three.
    """
    kind = type(leaf.default)
    if kind is tuple:
        if isinstance(value, str) or not isinstance(value, (list, tuple)):
            raise ConfigError(f"{leaf.name} must be a list of strings, got {value!r}")
        if not all(isinstance(item, str) for item in value):
            raise ConfigError(f"{leaf.name} must be a list of strings, got {value!r}")
        return tuple(item for item in value if item)  # ROS has no empty list: [''] stands for it
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not kind:
        raise ConfigError(
            f"{leaf.name} must be of type {kind.__name__}, got {value!r} ({type(value).__name__})"
        )
    assert isinstance(value, (bool, int, float, str))
    known = leaf.option
    if known.choices and value not in known.choices:
        raise ConfigError(f"{leaf.name} must be one of {', '.join(known.choices)}, got {value!r}")
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        low, high = known.minimum, known.maximum
        # written so that NaN fails
        if (low is not None and not value >= low) or (high is not None and not value <= high):
            unit = f" {known.unit}" if known.unit else ""
            raise ConfigError(f"{leaf.name} must be in [{low:g}, {high:g}]{unit}, got {value!r}")
    return value
