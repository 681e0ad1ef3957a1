# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A ROS domain that nobody on this machine uses, nor has left in disorder."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from pathlib import Path

# Domains 102 to 214 have ports among Linux's ephemeral ones; people take those near 0. Many, so
# that two who choose at the same moment rarely choose the same.
DOMAINS = (*range(60, 102), *range(215, 232))
SHARED_MEMORY = Path("/dev/shm")
# DDS ports by the RTPS standard (section 9.6.1.1): base and step from domain to domain
PORT_BASE, DOMAIN_STEP = 7400, 250


def domains_in_use(names: Iterable[str]) -> set[int]:
    """Gives the domains of Fast DDS's shared-memory ports among file names.

    A live participant has such files, and one that was killed leaves them behind: with the locks it
    held, so that new participants of the domain may wait for it and receive nothing.
    """
    ports = (re.search(r"fastrtps_port(\d+)", name) for name in names)
    return {(int(port[1]) - PORT_BASE) // DOMAIN_STEP for port in ports if port is not None}


def free_domain() -> int:
    """Gives a random domain without such files; any of DOMAINS where all have some."""
    try:
        used = domains_in_use(path.name for path in SHARED_MEMORY.iterdir())
    except OSError:  # no such folder: no such trouble
        used = set()
    free = [domain for domain in DOMAINS if domain not in used]
    return random.choice(free or list(DOMAINS))
