# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
