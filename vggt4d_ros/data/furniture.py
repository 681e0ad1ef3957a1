# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Furniture of rooms, of real size: along the walls, on them, and free on the floor.

A piece is made where its floor is y = 0 (y down), its back z = 0, and it faces z; metres.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from vggt4d_ros.data.primitives import BALL, BOX, CYLINDER, Array, rotation_y, transform
from vggt4d_ros.data.things import Part, sample_chair, solid

Piece = list[Part]


def box(x: Sequence[float], y: Sequence[float], z: Sequence[float]) -> Part:
    """A box from its limits; y counts upwards from the floor."""
    limits = np.array([x, [-y[1], -y[0]], z], dtype=float)
    return solid(BOX, (limits[:, 1] - limits[:, 0]) / 2, limits.mean(1))


def pillar(x: float, y: Sequence[float], z: float, radius: float) -> Part:
    """An upright cylinder; y counts upwards from the floor."""
    return solid(CYLINDER, (radius, (y[1] - y[0]) / 2, radius), (x, -(y[0] + y[1]) / 2, z))


def _cupboard(rng: np.random.Generator, _: float) -> Piece:
    wide, high, deep = rng.uniform(0.25, 0.9), rng.uniform(0.4, 2.1), rng.uniform(0.25, 0.65)
    parts = [box((-wide, wide), (0, high), (0, deep))]
    if high < 1.2:  # something stands on it
        for _ in range(int(rng.integers(0, 5))):
            half, x = rng.uniform(0.03, 0.14), rng.uniform(-0.8, 0.8) * wide
            if rng.random() < 0.5:
                top = high + rng.uniform(0.08, 0.5)
                parts.append(pillar(x, (high, top), deep / 2, half))
            else:
                top = high + rng.uniform(0.05, 0.5)
                parts.append(box((x - half, x + half), (high, top), (0.1 * deep, 0.8 * deep)))
    return parts


def _shelf(rng: np.random.Generator, _: float) -> Piece:
    wide, high, deep = rng.uniform(0.3, 0.8), rng.uniform(0.8, 2.1), rng.uniform(0.2, 0.4)
    parts = [box((-wide, wide), (0, high), (0, 0.02))]
    parts += [box((x - 0.02, x + 0.02), (0, high), (0, deep)) for x in (-wide, wide)]
    boards = np.linspace(0.05, high, int(rng.integers(3, 6)))
    for number, y in enumerate(boards):
        parts.append(box((-wide, wide), (y - 0.015, y + 0.015), (0, deep)))
        room = (boards[number + 1] - y) if number + 1 < len(boards) else 0.3
        for _ in range(int(rng.integers(0, 3))):
            half, x = rng.uniform(0.04, 0.3) * wide, rng.uniform(-0.7, 0.7) * wide
            top = y + room * rng.uniform(0.3, 0.9)
            parts.append(box((x - half, x + half), (y, top), (0.1 * deep, 0.85 * deep)))
    return parts


def _sofa(rng: np.random.Generator, _: float) -> Piece:
    wide, deep, seat = rng.uniform(0.4, 1.1), rng.uniform(0.7, 0.95), rng.uniform(0.35, 0.48)
    back, arm = rng.uniform(0.7, 1.0), rng.uniform(0.08, 0.2)
    parts = [
        box((-wide, wide), (0.08, seat), (0.1, deep)),
        box((-wide, wide), (0.08, back), (0, 0.25)),
    ]
    for side in (-1, 1):
        x = side * (wide + arm / 2)
        parts.append(box((x - arm / 2, x + arm / 2), (0.08, seat + 0.2), (0, deep)))
    for _ in range(int(rng.integers(0, 4))):
        x = rng.uniform(-0.8, 0.8) * wide
        parts.append(solid(BALL, (0.22, 0.2, 0.1), (x, -seat - 0.18, 0.35)))
    return parts


def _bed(rng: np.random.Generator, _: float) -> Piece:
    wide, long, high = rng.uniform(0.45, 0.95), rng.uniform(1.9, 2.1), rng.uniform(0.35, 0.6)
    return [
        box((-wide, wide), (0.1, high), (0, long)),
        box((-wide, wide), (0, high + rng.uniform(0.2, 0.7)), (0, 0.06)),
        box((-0.8 * wide, 0.8 * wide), (high, high + 0.12), (0.1, 0.5)),
    ]


def _lamp(rng: np.random.Generator, _: float) -> Piece:
    high, radius = rng.uniform(1.1, 1.9), rng.uniform(0.12, 0.26)
    shade = rng.uniform(0.2, 0.4)
    return [
        pillar(0, (0, 0.04), 0.3, 0.16),
        pillar(0, (0, high), 0.3, 0.018),
        pillar(0, (high - shade, high), 0.3, radius),
    ]


def _plant(rng: np.random.Generator, _: float) -> Piece:
    pot, high = rng.uniform(0.1, 0.22), rng.uniform(0.4, 1.5)
    parts = [pillar(0, (0, 1.6 * pot), 0.35, pot), pillar(0, (0, high), 0.35, 0.02)]
    for _ in range(int(rng.integers(3, 9))):
        half = rng.uniform(0.03, 0.25, 3)
        at = [*rng.normal(0, 0.16, 1), -rng.uniform(0.5, 1.1) * high, 0.35 + rng.normal(0, 0.12)]
        parts.append(solid(BALL, half, at))
    return parts


def _picture(rng: np.random.Generator, _: float) -> Piece:
    wide, high, low = rng.uniform(0.15, 0.7), rng.uniform(0.25, 1.0), rng.uniform(0.9, 1.5)
    frame = rng.uniform(0.02, 0.06)
    return [
        box((-wide, wide), (low, low + high), (0, 0.02)),
        box((frame - wide, wide - frame), (low + frame, low + high - frame), (0, 0.025)),
    ]


def _door(rng: np.random.Generator, _: float) -> Piece:
    wide, high = rng.uniform(0.38, 0.55), rng.uniform(1.95, 2.2)
    return [
        box((-wide - 0.08, wide + 0.08), (0, high + 0.08), (0, 0.03)),
        box((-wide, wide), (0, high), (0, 0.045)),
    ]


def _curtain(rng: np.random.Generator, ceiling: float) -> Piece:
    wide, low = rng.uniform(0.3, 1.1), rng.uniform(0.0, 0.9)
    top, folds = min(ceiling - 0.05, 2.4), int(rng.integers(5, 12))
    parts = [box((-wide, wide), (low, top), (0, 0.05))]
    fold = wide / folds
    for x in np.linspace(-wide, wide, folds):
        parts.append(pillar(x, (low, top), 0.08 + rng.uniform(0, 0.04), fold * 0.8))
    return parts


def _table(rng: np.random.Generator, _: float) -> Piece:
    """A table with what is on it and chairs around, most of them turned to it."""
    wide, deep = rng.uniform(0.3, 0.9), rng.uniform(0.3, 0.6)
    high = rng.uniform(0.35, 0.5) if rng.random() < 0.3 else rng.uniform(0.68, 0.78)
    leg = rng.uniform(0.02, 0.05)
    parts = [box((-wide, wide), (high - 0.04, high), (-deep, deep))]
    for x in (leg - wide, wide - leg):
        parts += [box((x - leg, x + leg), (0, high), (z - leg, z + leg)) for z in (-deep, deep)]
    for _ in range(int(rng.integers(0, 5))):
        x, z, top = *rng.uniform(-0.8, 0.8, 2) * [wide, deep], high + rng.uniform(0.03, 0.35)
        parts.append(pillar(x, (high, top), z, rng.uniform(0.03, 0.12)))
    for _ in range(int(rng.integers(0, 5)) if high > 0.6 else 0):
        side = float(rng.choice([-1, 1]))
        x = rng.uniform(-0.8, 0.8) * wide
        z = side * (deep + rng.uniform(0.05, 0.4))
        heading = rng.normal(0, 0.25) + (np.pi if side > 0 else 0.0)
        parts += _standing(sample_chair(rng, rng.uniform(0.4, 0.58)), heading, (x, z))
    return parts


def _chair(rng: np.random.Generator, _: float) -> Piece:
    return _standing(sample_chair(rng, rng.uniform(0.4, 0.6)), rng.uniform(-3.1, 3.1), (0, 0))


def _standing(parts: Piece, heading: float, at: Sequence[float]) -> Piece:
    """A thing about its own middle, turned and put on the floor."""
    turn, low = rotation_y(heading), max(part.bottom for part in parts)
    shift = np.array([at[0], -low, at[1]])
    return [
        Part(part.kind, part.half, turn @ part.joint + shift, turn @ part.arm, turn @ part.tilt)
        for part in parts
    ]


def _hanging(rng: np.random.Generator, ceiling: float) -> Piece:
    low = ceiling - rng.uniform(0.2, 1.0)
    shade = rng.uniform(0.08, 0.3)
    parts = [pillar(0, (low, ceiling), 0, 0.012)]
    if rng.random() < 0.5:
        return [*parts, pillar(0, (low - shade, low), 0, rng.uniform(0.1, 0.35))]
    return [*parts, solid(BALL, np.full(3, shade), (0, -low, 0))]


def _rug(rng: np.random.Generator, _: float) -> Piece:
    wide, deep = rng.uniform(0.5, 1.6), rng.uniform(0.4, 1.1)
    return [box((-wide, wide), (0, 0.015), (-deep, deep))]


def _partition(rng: np.random.Generator, ceiling: float) -> Piece:
    """A wall across the room with an opening, often with a lintel."""
    half, thick, far = rng.uniform(0.4, 0.9), rng.uniform(0.05, 0.15), 12.0
    parts = [
        box((-far, -half), (0, ceiling), (0, thick)),
        box((half, far), (0, ceiling), (0, thick)),
    ]
    if rng.random() < 0.8:
        parts.append(box((-half, half), (min(2.1, 0.85 * ceiling), ceiling), (0, thick)))
    return parts


Make = Callable[[np.random.Generator, float], Piece]
AT_WALL: tuple[tuple[Make, float], ...] = (
    (_cupboard, 2.0),
    (_shelf, 1.5),
    (_sofa, 1.5),
    (_bed, 0.5),
    (_lamp, 0.7),
    (_plant, 0.7),
    (_picture, 2.0),
    (_door, 1.2),
    (_curtain, 1.0),
)
FREE: tuple[tuple[Make, float], ...] = (
    (_table, 2.0),
    (_chair, 1.5),
    (_hanging, 0.5),
    (_rug, 0.7),
    (_partition, 0.6),
)
AT_WALL_SHARE = 0.6


def sample_piece(rng: np.random.Generator, center: Array, half: Array) -> tuple[Piece, Array]:
    """A piece and its place in a room (middle (3,), half extents (3,)), world_from_piece (4, 4)."""
    at_wall = rng.random() < AT_WALL_SHARE
    makers = AT_WALL if at_wall else FREE
    shares = np.array([share for _, share in makers])
    make = makers[int(rng.choice(len(makers), p=shares / shares.sum()))][0]
    parts = make(rng, 2 * float(half[1]))
    heading = int(rng.integers(4)) * np.pi / 2
    floor = float(center[1] + half[1])
    ahead = np.array([np.sin(heading), 0.0, np.cos(heading)])
    along = np.array([ahead[2], 0.0, -ahead[0]])
    place = center + rng.uniform(-0.9, 0.9) * along * half
    place = place + ahead * half * (-1.0 if at_wall else rng.uniform(-0.8, 0.8))
    if not at_wall and make is not _partition:
        heading += rng.uniform(-0.6, 0.6)
    place[1] = floor
    return parts, transform(rotation_y(heading), place)


def least_gap(parts: Piece, world_from_piece: Array, points: Array) -> float:
    """Least distance of points (N, 3) from the boxes around the parts; 0 within one."""
    gaps = []
    for part in parts:
        pose = world_from_piece @ part.at(np.zeros(1))[0]
        local = (points - pose[:3, 3]) @ pose[:3, :3]
        gaps.append(np.linalg.norm(np.maximum(np.abs(local) - part.half, 0), axis=-1).min())
    return float(min(gaps))
