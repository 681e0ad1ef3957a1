# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is made of a processed window for users."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from vggt4d_ros.config import EngineConfig, GeometryConfig
from vggt4d_ros.data.analytic_drive import AnalyticDrive, outward_rig, stereo_rig
from vggt4d_ros.datatypes import Array, CameraModel, Prediction, Rig, Window
from vggt4d_ros.geometry import se3
from vggt4d_ros.model.engine import resolve_steps
from vggt4d_ros.model.null import NullPredictor
from vggt4d_ros.processor import Processed, Processor
from vggt4d_ros.products import merged_cloud, view_products

MODEL = CameraModel(32, 24, 32.0, 32.0, 15.5, 11.5)
NEWEST = 3
TURNED = se3.exp(np.array([0.0, 0.0, 0.0, 0.0, 0.5, 0.0]))


class Exact(NullPredictor):
    """Sees a drive as it is."""

    drive: AnalyticDrive

    def predict(
        self, window: Window, dense_steps: Sequence[int] | None = None, **asked: object
    ) -> Prediction:
        return self.drive.predict(NEWEST, resolve_steps(dense_steps, window.shape[0]))


def processed_on(base_from_cam: Array, stated: Array) -> Processed:
    """A window of cameras that sit here, while their extrinsics say they sit there."""
    engine = Exact.from_config(EngineConfig(engine="null"))
    assert isinstance(engine, Exact)
    grey = np.full((MODEL.height, MODEL.width, 3), 128, np.uint8)
    engine.drive = AnalyticDrive(base_from_cam, model=MODEL, rgb=grey)
    return Processor(engine, flow=False).process(engine.drive.window(NEWEST), Rig(tuple(stated)))


def points_of(processed: Processed) -> tuple[dict[int, int], Array]:
    """How many points each camera has, and the merged ones (N, 3), none joined with others."""
    views = view_products(processed, GeometryConfig())
    counts = {view.view: int(np.isfinite(view.cloud[..., 2]).sum()) for view in views}
    return counts, merged_cloud(views, 0.0)[:, :3]


def test_merged_cloud_has_the_points_of_all_cameras_that_are_where_their_extrinsics_say():
    rig = outward_rig(4)

    counts, merged = points_of(processed_on(rig, rig))

    assert min(counts.values()) > 500
    assert len(merged) == sum(counts.values())


def test_a_camera_whose_extrinsics_are_contradicted_is_left_out_of_the_merged_cloud():
    rig = outward_rig(4)
    stated = rig.copy()
    stated[2] = stated[2] @ TURNED

    processed = processed_on(rig, stated)

    counts, merged = points_of(processed)
    assert len(merged) == sum(count for view, count in counts.items() if view != 2)
    (words,) = [text for text in processed.tracked.warnings if "contradicts" in text]
    assert "extrinsics of cam2_optical" in words
    assert words.endswith("it is left out of the merged cloud")


@pytest.mark.parametrize("turned", [0, 1])
def test_of_two_cameras_that_contradict_each_other_neither_is_merged(turned: int):
    rig = stereo_rig(0.4)
    stated = rig.copy()
    stated[turned] = stated[turned] @ TURNED

    counts, merged = points_of(processed_on(rig, stated))

    assert len(counts) == 2
    assert len(merged) == 0
