# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What can go wrong with a network, by kind. Imports nothing, so that callers need no torch."""

from __future__ import annotations


class CheckpointError(ValueError):
    """A checkpoint is missing, damaged, foreign or does not fit; one line for a user."""


class EngineError(ValueError):
    """The network cannot run as asked (device, precision, image size); one line for a user."""


class OutOfMemory(RuntimeError):  # noqa: N818  (named as the condition that callers handle)
    """The device has not enough memory for this window; a smaller one may fit."""
