# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""ROS parameters from the Config dataclass: declaration, reading, live change."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    ParameterType,
    SetParametersResult,
)
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from vggt4d_ros.config import Config, config_from_flat, leaves
from vggt4d_ros.options import ConfigError, Leaf, check_value

_TYPES = {
    bool: ParameterType.PARAMETER_BOOL,
    int: ParameterType.PARAMETER_INTEGER,
    float: ParameterType.PARAMETER_DOUBLE,
    str: ParameterType.PARAMETER_STRING,
    tuple: ParameterType.PARAMETER_STRING_ARRAY,
}
_LEAVES = {leaf.name: leaf for leaf in leaves()}


def descriptor(leaf: Leaf) -> ParameterDescriptor:
    """Description, range and choices of a parameter as ROS tools show them."""
    known = leaf.option
    text = known.description + (f" [{known.unit}]" if known.unit else "")
    message = ParameterDescriptor(
        name=leaf.name,
        type=_TYPES[type(leaf.default)],
        description=text,
        # what is not live may still be set while the node is unconfigured, so it is not read_only
        additional_constraints=(
            ("one of: " + ", ".join(known.choices) + ". " if known.choices else "")
            + ("live" if known.live else "takes effect at configure")
        ),
    )
    if known.minimum is not None and known.maximum is not None:
        if isinstance(leaf.default, float):
            message.floating_point_range = [
                FloatingPointRange(from_value=float(known.minimum), to_value=float(known.maximum))
            ]
        else:
            message.integer_range = [
                IntegerRange(from_value=int(known.minimum), to_value=int(known.maximum))
            ]
    return message


def declare(node: Node) -> None:
    """Declares every parameter of Config.

    Raises:
        ConfigError: a launch or YAML value has the wrong type or is out of range.
    """
    overrides: dict[str, Parameter] = node._parameter_overrides  # noqa: SLF001 (no public reader)
    for leaf in _LEAVES.values():
        # rclpy knows no empty string array: [''] stands for it
        default = list(leaf.default) or [""] if isinstance(leaf.default, tuple) else leaf.default
        given = overrides.get(leaf.name)
        value = default if given is None else given.value
        if isinstance(default, float) and type(value) is int:  # `rate:=5` on a command line
            overrides[leaf.name] = Parameter(leaf.name, Parameter.Type.DOUBLE, float(value))
        try:
            check_value(leaf, value)
            node.declare_parameter(leaf.name, default, descriptor(leaf))
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            raise ConfigError(f"{leaf.name} = {value!r} is refused: {error}") from error


def read(node: Node) -> Config:
    """Builds the Config the parameters describe.

    Raises:
        ConfigError: values contradict each other.
    """
    values = {}
    for name, leaf in _LEAVES.items():
        value = node.get_parameter(name).value
        values[name] = [] if value is None and isinstance(leaf.default, tuple) else value
    return config_from_flat(values)


class LiveParameters:
    """Checks each change and hands the new Config on.

    Parameters that are not live may change only while nothing is configured.

    Args:
        node: whose parameters were declared by ``declare``.
        is_configured: whether non-live parameters are in use at present.
        apply: takes the new Config; called on the executor's thread.
    """

    def __init__(
        self,
        node: Node,
        is_configured: Callable[[], bool],
        apply: Callable[[Config], None],
    ) -> None:
        self._node = node
        self._is_configured = is_configured
        self._apply = apply
        node.add_on_set_parameters_callback(self._on_set)

    def _on_set(self, parameters: Sequence[Parameter]) -> SetParametersResult:
        ours = [parameter for parameter in parameters if parameter.name in _LEAVES]
        if not ours:
            return SetParametersResult(successful=True)
        values: dict[str, object] = {name: self._node.get_parameter(name).value for name in _LEAVES}
        for parameter in ours:
            if not _LEAVES[parameter.name].option.live and self._is_configured():
                return SetParametersResult(
                    successful=False,
                    reason=f"{parameter.name} takes effect at configure: deactivate and clean up "
                    "the node first",
                )
            values[parameter.name] = parameter.value
        try:
            config = config_from_flat(values)
        except ConfigError as error:
            return SetParametersResult(successful=False, reason=str(error))
        self._apply(config)
        return SetParametersResult(successful=True)
