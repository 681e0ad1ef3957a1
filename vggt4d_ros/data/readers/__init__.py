# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Readers of published data sets; each gives a ``Recording`` to cut windows from."""
