# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``--rerun``: images, depth, clouds, poses and numbers of a run for the rerun viewer."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vggt4d_ros.evaluation.options import EvaluationError
from vggt4d_ros.evaluation.sink import SinkContext
from vggt4d_ros.geometry.arrows import arrow_colours
from vggt4d_ros.messages.outputs import ARROW_SECONDS
from vggt4d_ros.processor import Processed
from vggt4d_ros.products import ViewProducts, merged_cloud

WORLD = "world"
_TIME = "image"  # the timeline: stamps of the images
_JPEG_QUALITY = 85
_MOVING_COLOUR = (255, 64, 64)


class RerunSink:
    """Writes windows into an .rrd file, each at the stamp of its newest image.

    Below ``world``, the fixed frame: ``base`` and each camera with its pose, intrinsics, image,
    depth and moving pixels; the merged cloud, arrows of scene flow and the path. Beside it
    ``confidence``, ``plots`` and ``warnings``. Lengths are network units while no scale is known.

    Args:
        path: of the file.
        context: of the run.

    Raises:
        EvaluationError: rerun is not installed or too old, or the file cannot be written.
    """

    def __init__(self, path: Path, context: SinkContext) -> None:
        self._rr = _rerun()
        self._config = context.config
        self._path: deque[list[float]] = deque(maxlen=context.config.output.path_length)
        if path.exists():
            raise EvaluationError(f"{path}: exists already")
        self._recording = self._rr.RecordingStream("vggt4d", recording_id=path.stem)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._recording.save(path)
        except (OSError, RuntimeError) as error:
            raise EvaluationError(f"{path}: cannot be written: {error}") from error
        self._start()

    def _start(self) -> None:
        """What holds at all times."""
        rr = self._rr
        self._log(WORLD, rr.ViewCoordinates.RIGHT_HAND_Z_UP, static=True)
        for camera in self._config.cameras.names:
            moving = rr.AnnotationContext([(1, "moving", _MOVING_COLOUR)])
            self._log(f"{WORLD}/{camera}/image/moving", moving, static=True)

    def _log(self, entity: str, *what: Any, static: bool = False) -> None:
        self._recording.log(entity, *what, static=static)

    def window(self, processed: Processed, products: Sequence[ViewProducts]) -> None:
        """Takes one window."""
        rr = self._rr
        stamp_ns = processed.window.sets[-1].stamp_ns
        self._recording.set_time(_TIME, timestamp=np.datetime64(stamp_ns, "ns"))
        for view in products:
            self._camera(view)
        self._poses(processed)
        if products:
            self._cloud(products)
        self._plots(processed)
        for warning in processed.warnings:
            self._log("warnings", rr.TextLog(warning, level=rr.TextLogLevel.WARN))

    def _camera(self, view: ViewProducts) -> None:
        rr, name = self._rr, self._config.cameras.names[view.view]
        entity, model = f"{WORLD}/{name}", view.model
        if view.has_pose:
            self._log(entity, self._transform(view.world_from_cam))
        pinhole = rr.Pinhole(
            image_from_camera=model.matrix,
            resolution=[model.width, model.height],
            camera_xyz=rr.ViewCoordinates.RDF,
        )
        self._log(f"{entity}/image", pinhole)
        rgb = view.frame.image.rgb()
        self._log(f"{entity}/image/rgb", rr.Image(rgb).compress(jpeg_quality=_JPEG_QUALITY))
        # rerun takes 0 for unknown
        self._log(f"{entity}/image/depth", rr.DepthImage(np.nan_to_num(view.depth), meter=1.0))
        if view.dynamic_mask is not None:
            moving = (view.dynamic_mask > 0).astype(np.uint8)
            self._log(f"{entity}/image/moving", rr.SegmentationImage(moving))
        confidence = view.prediction.depth_confidence
        self._log(f"confidence/{name}", rr.DepthImage(np.nan_to_num(confidence)))

    def _transform(self, parent_from_child: np.ndarray) -> Any:
        return self._rr.Transform3D(
            translation=parent_from_child[:3, 3], mat3x3=parent_from_child[:3, :3]
        )

    def _poses(self, processed: Processed) -> None:
        tracked = processed.tracked
        if tracked.started:  # another trajectory, in another fixed frame
            self._path.clear()
        pose = tracked.world_from_base[-1]
        if not np.isfinite(pose).all():
            return
        self._log(f"{WORLD}/base", self._transform(pose))
        self._path.append(pose[:3, 3].tolist())
        self._log(f"{WORLD}/path", self._rr.LineStrips3D([list(self._path)]))

    def _cloud(self, products: Sequence[ViewProducts]) -> None:
        cloud = merged_cloud(products, self._config.output.voxel_size)
        packed = np.ascontiguousarray(cloud[:, 3]).view(np.uint32)
        rgb = np.stack([packed >> 16 & 255, packed >> 8 & 255, packed & 255], axis=-1)
        points = self._rr.Points3D(cloud[:, :3], colors=rgb.astype(np.uint8))
        self._log(f"{WORLD}/points", points)
        share = self._config.output.markers_max // len(products)
        found = [view.arrows(share, ARROW_SECONDS) for view in products]
        arrows = [some for some in found if some is not None]
        if not arrows:
            return
        ends = np.concatenate([some.points for some in arrows]).reshape(-1, 2, 3)
        colours = arrow_colours(np.concatenate([some.speed_mps for some in arrows]))
        flow = self._rr.Arrows3D(
            origins=ends[:, 0], vectors=ends[:, 1] - ends[:, 0], colors=(255 * colours).astype("u1")
        )
        self._log(f"{WORLD}/scene_flow", flow)

    def _plots(self, processed: Processed) -> None:
        tracked = processed.tracked
        values = {
            "scale/metres_per_unit": tracked.scale.value,
            "scale/sigma": tracked.scale.sigma,
            **{f"stage_ms/{name}": value for name, value in processed.stage_ms.items()},
        }
        if tracked.alignment is not None:
            values["alignment/residual_m"] = tracked.alignment.residual_m
            values["alignment/residual_rad"] = tracked.alignment.residual_rad
        for name, value in values.items():
            if np.isfinite(value):
                self._log(f"plots/{name}", self._rr.Scalars(float(value)))

    def close(self) -> None:
        """Writes what is still in memory, and ends the file."""
        self._recording.flush()
        self._recording.disconnect()


def _rerun() -> Any:
    """The rerun package, imported only when it is asked for.

    Raises:
        EvaluationError: it is not there, or too old.
    """
    try:
        import rerun
    except ImportError:
        raise EvaluationError(
            "--rerun needs the package rerun-sdk: pip install rerun-sdk"
        ) from None
    if not hasattr(rerun, "Scalars"):
        raise EvaluationError(f"--rerun needs rerun-sdk 0.23 or later, this is {rerun.__version__}")
    return rerun
