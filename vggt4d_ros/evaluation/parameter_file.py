# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The node's own parameter file, read without ROS; it is accepted as it is.

A ROS 2 parameter file maps node names (``/**``, ``vggt4d``, ``/robot1/vggt4d``) to
``ros__parameters``; names may be nested or joined by dots; later entries win.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from vggt4d_ros.config import Config, config_from_flat, leaves
from vggt4d_ros.options import ConfigError, Leaf

NODE = "vggt4d"
# what rclpy and diagnostic_updater read for themselves; no matter for the results
_NOT_OURS = (
    "use_sim_time",
    "qos_overrides.",
    "diagnostic_updater.",
    "start_type_description_service",
)


@dataclass(frozen=True, slots=True)
class Parameters:
    """Values by ``section.field``, and what was found besides."""

    values: Mapping[str, object] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def config(self) -> Config:
        """The Config they describe.

        Raises:
            ConfigError: a value the node would refuse.
        """
        return config_from_flat(self.values)

    def with_values(self, values: Mapping[str, object]) -> Parameters:
        """The same with other values for some."""
        return replace(self, values={**self.values, **values})

    def with_texts(self, texts: Iterable[str]) -> Parameters:
        """The same with values given as ``name=value``, the value as in YAML.

        Raises:
            ConfigError: not of that form, or no such parameter.
        """
        known = {leaf.name: leaf for leaf in leaves()}
        values = {}
        for text in texts:
            name, equals, value = text.partition("=")
            if not equals:
                raise ConfigError(f"a parameter is given as NAME=VALUE, got {text!r}")
            if name not in known:
                raise ConfigError(f"unknown parameter {name!r}; known: {', '.join(known)}")
            values[name] = _parsed(value, known[name])
        return self.with_values(values)


def _parsed(text: str, leaf: Leaf) -> object:
    if isinstance(leaf.default, str):
        return text
    try:
        value: object = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{leaf.name}: {text!r} cannot be read") from error
    if isinstance(leaf.default, tuple) and isinstance(value, str):
        return [item for item in value.split(",") if item]
    return value


def read_parameters(path: Path, namespace: str = "/") -> Parameters:
    """Reads a parameter file for the node ``vggt4d`` in a namespace.

    Raises:
        ConfigError: no such file, no YAML, or nothing in it is for this node.
    """
    try:
        document = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: no parameter file: node names with ros__parameters are wanted")
    flat: dict[str, object] = {}
    matched = False
    for node, parameters in _entries(document, ""):
        if not _is_for(node, f"{namespace.rstrip('/')}/{NODE}"):
            continue
        if not isinstance(parameters, dict):
            raise ConfigError(f"{path}: ros__parameters of {node} are no mapping")
        matched = True
        flat.update(_flattened(parameters, ""))
    if not matched:
        raise ConfigError(f"{path}: no ros__parameters for {NODE} (or /**) in it")
    known = {leaf.name for leaf in leaves()}
    strange = sorted(n for n in set(flat) - known if not n.startswith(_NOT_OURS))
    notes: tuple[str, ...] = ()
    if strange:
        notes = (f"{path.name}: unknown parameters, which have no effect: {', '.join(strange)}",)
    return Parameters({name: flat[name] for name in flat if name in known}, notes)


def _entries(document: Mapping[Any, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    """Node name patterns and their parameters; namespaces may be nested mappings."""
    for key, value in document.items():
        name = str(key) if str(key).startswith("/") and not prefix else f"{prefix}/{key}"
        if not isinstance(value, Mapping):
            continue
        if "ros__parameters" in value:
            yield name, value["ros__parameters"]
        else:
            yield from _entries(value, name)


def _is_for(pattern: str, node: str) -> bool:
    """Whether ``/**``, ``/*/name`` ... means the node; a lone name means it in any namespace."""
    wanted, parts = pattern.strip("/").split("/"), node.strip("/").split("/")
    if len(wanted) == 1 and wanted[0] == parts[-1]:
        return True
    return _matches(wanted, parts)


def _matches(wanted: list[str], parts: list[str]) -> bool:
    if not wanted:
        return not parts
    if wanted[0] == "**":
        return any(_matches(wanted[1:], parts[i:]) for i in range(len(parts) + 1))
    return bool(parts) and wanted[0] in ("*", parts[0]) and _matches(wanted[1:], parts[1:])


def _flattened(parameters: Mapping[Any, Any], prefix: str) -> Iterator[tuple[str, object]]:
    for key, value in parameters.items():
        if isinstance(value, Mapping):
            yield from _flattened(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
