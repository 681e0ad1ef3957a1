# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""For tools that look for this file; all that is to be said of the package is in pyproject.toml."""

from setuptools import setup

setup()
