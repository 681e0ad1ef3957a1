# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Things made of primitives: boxes, balls, figures that walk, vehicles, tables, chairs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vggt4d_ros.data.primitives import (
    BALL,
    BOX,
    CYLINDER,
    Array,
    rotation_x,
    rotation_y,
    rotation_z,
    transform,
)


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A piece of a thing; it hangs from a joint and swings about the thing's x axis."""

    kind: int
    half: Array  # (3,)
    joint: Array  # (3,) in the thing
    arm: Array  # (3,) from the joint to the part's centre
    tilt: Array  # (3, 3) turn of the part in itself
    swing: float = 0.0  # radians
    lag: float = 0.0  # of its phase

    def at(self, phase: Array) -> Array:
        """thing_from_part (T, 4, 4)."""
        rotation = rotation_x(self.swing * np.sin(phase + self.lag))
        shift = self.joint + rotation @ self.arm
        return transform(rotation @ self.tilt, shift)

    @property
    def bottom(self) -> float:
        """Lowest point (largest y) when hanging at rest, about."""
        extent = np.abs(self.tilt) @ self.half
        return float((self.joint + self.arm + extent)[1])

    @property
    def reach(self) -> float:
        """No point is farther from the thing's origin."""
        return float(
            np.linalg.norm(self.joint) + np.linalg.norm(self.arm) + np.linalg.norm(self.half)
        )


def solid(kind: int, half: Sequence[float] | Array, at: Sequence[float] | Array) -> Part:
    """A part that does not swing."""
    return Part(
        kind, np.array(half, dtype=float), np.array(at, dtype=float), np.zeros(3), np.eye(3)
    )


def sample_parts(rng: np.random.Generator, size: float, moves: bool) -> list[Part]:
    """Makes up a thing about ``size`` metres in radius; tables do not move."""
    choice = rng.random()
    if choice < 0.25:
        return _walker(rng, size * 1.4)
    if choice < 0.45:
        return _vehicle(rng, size * 1.2)
    if choice < 0.55 and not moves:
        return _table(rng, size)
    return [_single(rng, size)]


def _single(rng: np.random.Generator, size: float) -> Part:
    kind = int(rng.choice([BOX, BALL, CYLINDER], p=[0.5, 0.25, 0.25]))
    half = size * rng.uniform(0.35, 1.0, 3)
    if kind == BALL and rng.random() < 0.6:
        half[:] = half[0]
    tilt = rotation_y(rng.uniform(-3.1, 3.1))
    if rng.random() < 0.3:
        tilt = tilt @ rotation_x(rng.uniform(-3.1, 3.1)) @ rotation_z(rng.uniform(-3.1, 3.1))
    return Part(kind, half, np.zeros(3), np.zeros(3), tilt)


def _walker(rng: np.random.Generator, size: float) -> list[Part]:
    """A figure with swinging arms and legs; ``size`` is half its height."""
    straight = np.eye(3)
    girth = size * rng.uniform(0.12, 0.22)
    limb = girth * rng.uniform(0.35, 0.6)
    swing = rng.uniform(0.3, 0.9)
    hip, shoulder = size * 0.05, -size * 0.58
    trunk = Part(
        BOX if rng.random() < 0.5 else CYLINDER,
        np.array([girth, size * 0.34, girth * 0.7]),
        np.array([0.0, -size * 0.28, 0.0]),
        np.zeros(3),
        straight,
    )
    head = Part(
        BALL, np.full(3, size * 0.16), np.array([0.0, -size * 0.8, 0.0]), np.zeros(3), straight
    )
    parts = [trunk, head]
    for side in (-1.0, 1.0):
        leg = np.array([limb, size * 0.47, limb])
        arm = np.array([limb * 0.8, size * 0.32, limb * 0.8])
        joint = np.array([side * girth * 0.55, hip, 0.0])
        lag = 0.0 if side > 0 else math.pi
        drop = np.array([0.0, leg[1], 0.0])
        parts.append(Part(CYLINDER, leg, joint, drop, straight, swing, lag))
        joint = np.array([side * (girth + limb), shoulder, 0.0])
        drop = np.array([0.0, arm[1], 0.0])
        parts.append(Part(CYLINDER, arm, joint, drop, straight, swing, math.pi - lag))
    return parts


def _vehicle(rng: np.random.Generator, size: float) -> list[Part]:
    """A box on wheels with a cabin; it faces z."""
    straight, none = np.eye(3), np.zeros(3)
    body = size * np.array([rng.uniform(0.4, 0.6), rng.uniform(0.2, 0.35), 1.0])
    cabin = body * [0.9, rng.uniform(0.6, 1.2), rng.uniform(0.4, 0.7)]
    parts = [
        Part(BOX, body, none, none, straight),
        Part(BOX, cabin, np.array([0.0, -body[1] - cabin[1], -0.15 * size]), none, straight),
    ]
    radius = size * rng.uniform(0.14, 0.22)
    lie = rotation_z(math.pi / 2)
    for x in (-1.0, 1.0):
        for z in (-0.6, 0.6):
            wheel = np.array([radius, 0.06 * size, radius])
            joint = np.array([x * body[0], body[1], z * size])
            parts.append(Part(CYLINDER, wheel, joint, none, lie))
    return parts


def _table(rng: np.random.Generator, size: float) -> list[Part]:
    straight, none = np.eye(3), np.zeros(3)
    top = size * np.array([rng.uniform(0.7, 1.2), 0.06, rng.uniform(0.6, 1.0)])
    leg = np.array([0.05 * size, size * rng.uniform(0.4, 0.7), 0.05 * size])
    parts = [Part(BOX, top, none, none, straight)]
    for x in (-0.85, 0.85):
        for z in (-0.85, 0.85):
            joint = np.array([x * top[0], top[1] + leg[1], z * top[2]])
            parts.append(Part(BOX, leg, joint, none, straight))
    return parts


def sample_chair(rng: np.random.Generator, size: float) -> list[Part]:
    """A chair or stool, ``size`` half its height: thin legs, a back of slats or of one piece.

    It stands about its middle and faces z.
    """
    wide, deep = size * rng.uniform(0.38, 0.6), size * rng.uniform(0.36, 0.55)
    seat, thick = size * rng.uniform(0.0, 0.2), size * rng.uniform(0.03, 0.12)
    leg = size * rng.uniform(0.03, 0.075)
    long = (size - seat) / 2
    kind = BOX if rng.random() < 0.6 else CYLINDER

    parts = [solid(BOX, [wide, thick, deep], [0, seat, 0])]
    for x in (-1.0, 1.0):
        for z in (-1.0, 1.0):
            corner = [x * (wide - leg), seat + long, z * (deep - leg)]
            parts.append(solid(kind, [leg, long, leg], corner))
        if rng.random() < 0.4:  # a rung between front and back
            parts.append(
                solid(BOX, [0.6 * leg, 0.6 * leg, deep], [x * (wide - leg), seat + long, 0])
            )
    if rng.random() < 0.12:
        return parts
    rise = (size + seat) / 2  # half the height of the back
    behind, middle = leg - deep, seat - rise
    if rng.random() < 0.45:
        parts.append(solid(BOX, [wide, rise, 0.7 * leg], [0, middle, behind]))
    else:
        for x in (-1.0, 1.0):
            parts.append(solid(kind, [leg, rise, leg], [x * (wide - leg), middle, behind]))
        count = int(rng.integers(1, 5))
        for place in np.linspace(-1, 1, count + 2)[1:-1] if rng.random() < 0.5 else ():
            parts.append(solid(BOX, [0.8 * leg, rise, 0.6 * leg], [place * wide, middle, behind]))
        top = rise * rng.uniform(0.08, 0.3)
        parts.append(solid(BOX, [wide, top, 0.8 * leg], [0, seat - 2 * rise + top, behind]))
    if rng.random() < 0.3:  # arms
        for x in (-1.0, 1.0):
            parts.append(solid(BOX, [leg, 0.7 * leg, deep], [x * wide, seat - 0.8 * rise, 0]))
    return parts
