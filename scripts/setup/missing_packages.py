#!/usr/bin/env python3
# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Prints the ROS packages that a package.xml depends on and this ROS lacks.

Usage: missing_packages.py PACKAGE_XML
"""

import sys
from xml.etree import ElementTree

from ament_index_python.packages import PackageNotFoundError, get_package_prefix

missing = []
for element in ElementTree.parse(sys.argv[1]).getroot():
    name = element.text or ""
    if (
        not element.tag.endswith("depend")
        or element.get("condition")
        or name.startswith("python3-")
    ):
        continue
    try:
        get_package_prefix(name)
    except PackageNotFoundError:
        missing.append(name)
print(*missing)
