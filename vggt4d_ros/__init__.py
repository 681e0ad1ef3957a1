# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""4D-VGGT for robots: windows of T time steps x V cameras to metric depth, scene flow and poses."""

from pkgutil import extend_path

# The built package holds the generated messages (vggt4d_ros.msg), a source checkout the modules:
# with both on sys.path they are one package.
__path__ = extend_path(__path__, __name__)

__version__ = "0.1.0"
