# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Windows with ground truth: rendered scenes and readers of published data sets."""
