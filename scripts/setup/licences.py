#!/usr/bin/env python3
# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Lists the licences of all that `make setup` fetched, as each package's own metadata names it.

Usage: ENV/bin/python licences.py [--summary]
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from importlib.metadata import Distribution, distributions
from pathlib import Path
from xml.etree import ElementTree

FETCHED = Path(sys.prefix) / "share/vggt4d_ros_setup/fetched.json"
Row = tuple[str, str, str]


def main() -> None:
    """Prints the table or its summary."""
    parts = {
        "Wheels the ROS 2 prefix is made of": wheels(),
        "ROS packages in the first of them": ros_packages(),
        "Python packages": python_packages(),
    }
    if "--summary" in sys.argv[1:]:
        print(summary([row for rows in parts.values() for row in rows]))
        return
    for title, rows in parts.items():
        if rows:
            print(f"\n{title}: {len(rows)}")
            for name, number, licence in rows:
                print(f"  {name:40} {number:14} {licence}")


def summary(rows: list[Row]) -> str:
    """How often each kind of licence occurs, in one line."""
    kinds = Counter(kind(licence) for _, _, licence in rows)
    counts = ", ".join(f"{name} {count}" for name, count in kinds.most_common())
    return f"licences of what was fetched: {counts} (`make licences` lists them all)"


def kind(licence: str) -> str:
    """The family a licence belongs to."""
    for pattern, family in (
        ("nvidia|proprietary", "NVIDIA proprietary"),
        ("LGPL|lesser", "LGPL"),
        ("GPL", "GPL"),
        ("MPL|mozilla", "MPL"),
        ("apache", "Apache"),
        ("BSD", "BSD"),
        (r"\bMIT\b", "MIT"),
        ("PSF|python software", "PSF"),
    ):
        if re.search(pattern, licence, re.IGNORECASE):
            return family
    return "other"


def wheels() -> list[Row]:
    """The wheels whose contents make up the prefix; none on a machine with its own ROS."""
    if not FETCHED.exists():
        return []
    rows = [(w["name"], w["version"], w["licence"]) for w in json.loads(FETCHED.read_text())]
    return sorted(rows, key=lambda row: (kind(row[2]) != "NVIDIA proprietary", row))


def ros_packages() -> list[Row]:
    """The ROS packages in the prefix."""
    rows = []
    for path in Path(sys.prefix).glob("share/*/package.xml"):
        package = ElementTree.parse(path).getroot()
        licences = [element.text or "" for element in package.iter("license")]
        name, number = (package.findtext(tag, "?") for tag in ("name", "version"))
        rows.append((name, number, " and ".join(licences)))
    return sorted(rows)


def python_packages() -> list[Row]:
    """The Python packages in the environment that came by pip."""
    found = distributions(path=[path for path in sys.path if path.startswith(sys.prefix)])
    rows = {
        (dist.metadata["Name"], dist.version, licence_of(dist))
        for dist in found
        if dist.read_text("INSTALLER")
    }
    return sorted(rows, key=lambda row: row[0].lower())


def licence_of(dist: Distribution) -> str:
    """The licence in a package's metadata: expression, classifier or the first line of the text."""
    fields = dist.metadata
    expressions = fields.get_all("License-Expression") or []
    classifiers = [
        value.split(" :: ")[-1]
        for value in fields.get_all("Classifier") or []
        if value.startswith("License :: ") and not value.endswith("OSI Approved")
    ]
    texts = [text.strip().split("\n")[0][:60] for text in fields.get_all("License") or []]
    return " and ".join(expressions or classifiers or texts) or "in its licence file"


if __name__ == "__main__":
    main()
