# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Chains windows into one trajectory in a fixed frame, in metres where a scale is known."""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from functools import partial

import numpy as np

from vggt4d_ros.datatypes import Array, Prediction, Rig, Window
from vggt4d_ros.geometry import se3
from vggt4d_ros.geometry.align import Alignment, Overlap, align
from vggt4d_ros.geometry.notices import contradictions, notices_of
from vggt4d_ros.geometry.observation import DepthSamples, Observation, observe, sample_weights
from vggt4d_ros.geometry.parallax import RigParallax
from vggt4d_ros.geometry.platform import Platform, rig_matrix, turned_only
from vggt4d_ros.geometry.scale import GivenScale, ScaleEstimate, no_scale
from vggt4d_ros.geometry.scale_filter import ScaleFilter
from vggt4d_ros.geometry.scale_sources import carried_scale, compare_cameras, measure_scale
from vggt4d_ros.geometry.tracked import FIRST_WINDOW, TrackedWindow
from vggt4d_ros.geometry.uncertainty import ChainCovariance

Key = tuple[int, int]  # (view, stamp_ns): the same frame in every window
_NO_POINTS: Array = np.zeros((0, 3))
_NO_RIG: tuple[Array, Array] = (np.zeros((0, 4, 4)), np.zeros((0, 4, 4)))


@dataclass(frozen=True, slots=True, eq=False)
class _Before:
    """What is kept of the window before."""

    world_from_cam: dict[Key, Array]  # (4, 4)
    samples: dict[Key, tuple[DepthSamples, float]]  # depth of its dense frames, m per unit
    world_from_base: Array  # (4, 4), newest
    odom_from_base: Array | None  # (4, 4) at the same stamp, where the platform's motion is known
    find_twist: Callable[[], Array]  # (6,) of the platform then, metres; NaN: not known


class Tracker:
    """Takes windows in order and says where the cameras and the platform are.

    The network's world is another one in each window: its own origin, its own unit. The tracker
    finds the unit (rig, motion or a given length, joined with the window before), puts the
    cameras onto the rig, and lays the window over the one before by the frames both share.

    Not thread-safe: one thread calls it.
    """

    def __init__(self) -> None:
        self.reset(FIRST_WINDOW)

    def reset(self, reason: str = "reset") -> None:
        """Forgets the windows before: the next one starts a trajectory with its own fixed frame.

        Args:
            reason: appears in ``TrackedWindow.started``.
        """
        # extrinsics of the window before: as they came, as a matrix, and that ``turned_only``
        self._rig: tuple[tuple[Array | None, ...], Array, Array] = ((), *_NO_RIG)
        self._scale = ScaleFilter()
        self._chain = ChainCovariance()
        self._platform = Platform()
        self._before: _Before | None = None
        self._metric = False  # lengths are metres, since a source was found
        self._why = reason

    def _rig_matrix(self, rig: Rig | None, views: int) -> Array:
        """``rig_matrix`` of this rig; checked anew only where one of its arrays is another one."""
        mounts = rig.base_from_cam if rig is not None else (None,) * views
        before, matrix, _ = self._rig
        if len(matrix) != views or [id(m) for m in mounts] != [id(m) for m in before]:
            matrix = rig_matrix(rig, views)
            turned = turned_only(matrix)
            matrix.flags.writeable = turned.flags.writeable = False
            self._rig = mounts, matrix, turned
        return matrix

    def dense_steps(self, window: Window, *, flow: bool) -> tuple[int, ...]:
        """Gives the steps whose dense outputs this window's prediction should hold, ascending.

        The newest, to publish; the newest one before it whose dense outputs the last window had,
        to align on; for scene flow also the last but one. For windows that advance by one set
        these are the newest two in all, by s sets and without flow steps T-1 and T-1-s.
        """
        steps, views = window.shape
        wanted = {steps - 1}
        if flow and steps > 1:
            wanted.add(steps - 2)
        known = self._before.samples if self._before is not None else {}
        for step in reversed(range(steps - 1)):
            frames = [window.frame(step, view) for view in range(views)]
            if any(f is not None and (f.camera, f.stamp_ns) in known for f in frames):
                wanted.add(step)
                break
        return tuple(sorted(wanted))

    def update(
        self,
        window: Window,
        prediction: Prediction,
        rig: Rig | None = None,
        *,
        odom_from_cam: Array | None = None,
        given: GivenScale | None = None,
    ) -> TrackedWindow:
        """Places one window in the fixed frame.

        Args:
            window: frames and stamps.
            prediction: of this window.
            rig: extrinsics; None: not known.
            odom_from_cam: (T, V, 4, 4) metres, where the platform's motion had each camera at its
                frame's own stamp; NaN: not known.
            given: lengths that somebody knows.

        Raises:
            ValueError: shapes that do not belong together.
        """
        seen = observe(window, prediction)
        base_from_cam = self._rig_matrix(rig, window.shape[1])
        if odom_from_cam is not None and odom_from_cam.shape != (*window.shape, 4, 4):
            raise ValueError(f"odom_from_cam must be (T, V, 4, 4), got {odom_from_cam.shape}")
        if not seen.valid.any():
            return self._nothing(seen)
        parallax = self._compare(seen, prediction, base_from_cam)
        scale = self._find_scale(seen, prediction, base_from_cam, odom_from_cam, given, parallax)
        extrinsics = base_from_cam if self._metric else self._rig[2]
        placed = self._platform.place(seen, scale.value, extrinsics, parallax is not None)
        if placed.redefined and self._before is not None:
            self._restart("the cameras' places on the platform became known or were lost")
        odom_from_base = placed.odom_from_base(odom_from_cam)
        alignment = self._align(seen, placed.local_from_cam, scale)
        if alignment is not None:
            fit, started = alignment.target_from_source, ""
            world_from_local = se3.make_transform(fit.rotation, fit.translation)
            self._chain.link(alignment)
        elif self._before is not None:
            world_from_local, started = self._bridge(
                self._before, placed.local_from_base, odom_from_base
            )
        else:
            world_from_local, started = _first_inverse(placed.local_from_base), self._why
            first = _placed(placed.local_from_base)[0]
            self._chain.start(
                np.zeros(3),  # the fixed frame's origin
                int(placed.cameras[first]),
                seen.median_depth * scale.value,
                (placed.residual_m, placed.residual_rad),
            )
        world_from_cam = world_from_local @ placed.local_from_cam
        world_from_base = world_from_local @ placed.local_from_base
        contradicted = contradictions(seen, scale, placed, parallax)
        tracked = TrackedWindow(
            valid=seen.valid,
            invalid_reasons=seen.invalid_reasons,
            world_from_cam=world_from_cam,
            world_from_base=world_from_base,
            stamps_ns=seen.set_stamps_ns,
            models=seen.models,
            predicted_intrinsics=seen.predicted_intrinsics,
            focal_ratio=seen.focal_ratio,
            scale=scale,
            alignment=alignment,
            rig_residual_m=placed.residual_m,
            rig_residual_rad=placed.residual_rad,
            contradicted=contradicted,
            # the chain goes on with the next window: what it is now is kept
            find_covariance=partial(
                copy(self._chain).of_poses, world_from_base, placed.cameras, scale
            ),
            find_twist=partial(getattr, placed, "twist"),
            started=started,
            warnings=notices_of(seen, scale, alignment, contradicted, started),
        )
        self._remember(seen, tracked, odom_from_base)
        return tracked

    def _compare(
        self, seen: Observation, prediction: Prediction, base_from_cam: Array
    ) -> RigParallax | None:
        """What calibrated cameras both see; None where the network does not compare them."""
        if prediction.matches is None:
            return None
        twist = _still() if self._before is None else self._before.find_twist()
        return compare_cameras(seen, prediction.matches, prediction.frames, base_from_cam, twist)

    def _find_scale(
        self,
        seen: Observation,
        prediction: Prediction,
        base_from_cam: Array,
        odom_from_cam: Array | None,
        given: GivenScale | None,
        parallax: RigParallax | None,
    ) -> ScaleEstimate:
        """Asks the sources, joins them with the window before, and notes when metres begin."""
        poses: dict[Key, Array] = {}
        samples: dict[Key, tuple[DepthSamples, float]] = {}
        if self._before is not None:
            poses, samples = self._before.world_from_cam, self._before.samples
        carried = carried_scale(seen, poses, samples)
        measured = measure_scale(seen, prediction, base_from_cam, odom_from_cam, given, parallax)
        shared = sum(key in poses for key in seen.keys.values()) / len(seen.keys)
        scale = self._scale.update(
            carried.value if carried.known else None, carried.sigma, measured, shared
        )
        if scale.known and not self._metric:
            if self._before is not None:
                self._restart("a metric scale was found")
            self._metric = True
        elif self._metric and not carried.known and not measured.known:
            self._restart("the metric scale was lost")
            self._metric = False
        return scale

    def _restart(self, reason: str) -> None:
        self._before = None
        self._why = reason
        self._platform.forget()

    def _align(
        self, seen: Observation, local_from_cam: Array, scale: ScaleEstimate
    ) -> Alignment | None:
        """Lays the window over the one before; None where they share no frame."""
        if self._before is None:
            return None
        before = self._before
        shared = [(slot, key) for slot, key in seen.keys.items() if key in before.world_from_cam]
        if not shared:
            return None
        xs, ys, weights = [_NO_POINTS], [_NO_POINTS], [_NO_POINTS[:, 0]]
        for slot, key in shared:
            if slot not in seen.samples or key not in before.samples:
                continue
            old, unit = before.samples[key]
            now = seen.samples[slot]
            weight = sample_weights(now, scale.value, old, unit)
            source = se3.transform_points(local_from_cam[slot], now.points(scale.value))
            target = se3.transform_points(before.world_from_cam[key], old.points(unit))
            usable = weight > 0
            if not usable.all():
                source, target, weight = source[usable], target[usable], weight[usable]
            xs.append(source)
            ys.append(target)
            weights.append(weight)
        return align(
            Overlap(
                # numpy's stack takes three times as long
                source_from_cam=np.array([local_from_cam[slot] for slot, _ in shared]),
                target_from_cam=np.array([before.world_from_cam[key] for _, key in shared]),
                source_points=np.concatenate(xs),
                target_points=np.concatenate(ys),
                weights=np.concatenate(weights),
                dense_frames=len(xs) - 1,
            )
        )

    def _bridge(
        self, before: _Before, local_from_base: Array, odom_from_base: Array
    ) -> tuple[Array, str]:
        """Gives world_from_local for a window that shares nothing, and what bridged the gap."""
        self._chain.bridge(before.world_from_base[:3, 3])
        base_from_local = _first_inverse(local_from_base)
        odom = odom_from_base[_placed(local_from_base)[0]]
        gap = "no frame shared with the window before"
        if before.odom_from_base is not None and np.isfinite(odom).all():
            moved = se3.inverse(before.odom_from_base) @ odom
            reason = f"{gap}: the platform's motion bridges the gap"
            return before.world_from_base @ moved @ base_from_local, reason
        return before.world_from_base @ base_from_local, f"{gap}: the pose was held over the gap"

    def _remember(self, seen: Observation, tracked: TrackedWindow, odom_from_base: Array) -> None:
        newest = _placed(tracked.world_from_base)[-1]
        odom = odom_from_base[newest]
        self._before = _Before(
            world_from_cam={key: tracked.world_from_cam[slot] for slot, key in seen.keys.items()},
            samples={seen.keys[s]: (d, tracked.scale.value) for s, d in seen.samples.items()},
            world_from_base=tracked.world_from_base[newest],
            odom_from_base=odom if np.isfinite(odom).all() else None,
            find_twist=(lambda: tracked.twist[newest]) if self._metric else _still,
        )

    def _nothing(self, seen: Observation) -> TrackedWindow:
        """A window without a single usable pose: says so and leaves the trajectory as it is."""
        steps = len(seen.set_stamps_ns)
        return TrackedWindow(
            valid=seen.valid,
            invalid_reasons=seen.invalid_reasons,
            world_from_cam=seen.net_from_cam,
            world_from_base=np.full((steps, 4, 4), np.nan),
            stamps_ns=seen.set_stamps_ns,
            models=seen.models,
            predicted_intrinsics=seen.predicted_intrinsics,
            focal_ratio=seen.focal_ratio,
            scale=no_scale("no usable pose in the window"),
            alignment=None,
            rig_residual_m=math.nan,
            rig_residual_rad=math.nan,
            contradicted={},
            find_covariance=partial(np.full, (steps, 6, 6), np.nan),
            find_twist=partial(np.full, (steps, 6), np.nan),
            started="",
            warnings=("no usable pose in the window",),
        )


def _still() -> Array:
    """Gives the twist (6,) of a platform whose motion is not known."""
    return np.full(6, np.nan)


def _placed(poses: Array) -> list[int]:
    """Gives the steps at which the platform's pose (T, 4, 4) is known."""
    return [int(i) for i in np.isfinite(poses).all(axis=(1, 2)).nonzero()[0]]


def _first_inverse(local_from_base: Array) -> Array:
    """Gives base_from_local of the first step at which the platform's pose is known."""
    return se3.inverse(local_from_base[_placed(local_from_base)[0]])
