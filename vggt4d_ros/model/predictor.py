# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The network as the node, the demo and the evaluation use it: a window in, a prediction out.

The only place at inference where numpy becomes torch and back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch

from vggt4d_ros.config import EngineConfig
from vggt4d_ros.datatypes import (
    Frame,
    FrameSet,
    LazyImage,
    Prediction,
    Window,
)
from vggt4d_ros.model.capacity import free_memory, largest_steps
from vggt4d_ros.model.checkpoint import load_engine_model
from vggt4d_ros.model.contract import EngineDescription, resolve_steps
from vggt4d_ros.model.errors import EngineError, OutOfMemory
from vggt4d_ros.model.grid import GridShape
from vggt4d_ros.model.loader import FrameLoader
from vggt4d_ros.model.memory import memory_in_use
from vggt4d_ros.model.model_output import ModelOutput
from vggt4d_ros.model.on_device import current_device, memory_errors
from vggt4d_ros.model.outcome import to_prediction
from vggt4d_ros.model.precision import DTYPES, cast_trunk, choose_device, choose_precision
from vggt4d_ros.model.preprocess import fitted_size
from vggt4d_ros.model.quantize import quantize_trunk
from vggt4d_ros.model.speed import (
    Speed,
    approximate,
    cast_heads,
    compile_stages,
    float32_products,
    forget_compiled,
)
from vggt4d_ros.model.stage_clock import StageClock
from vggt4d_ros.model.trunk import Trunk
from vggt4d_ros.model.vggt4d import VGGT4D
from vggt4d_ros.model.view_matches import match_views
from vggt4d_ros.model.window_grid import WindowGrid

DEFAULT_SPEED = Speed()


class Predictor:
    """Owns a network on a device; not for use from two threads at once."""

    def __init__(
        self,
        model: VGGT4D,
        *,
        device: str = "auto",
        precision: str = "auto",
        image_size: int = 0,
        speed: Speed = DEFAULT_SPEED,
        use_camera_info: bool = True,
        checkpoint: str = "",
        warnings: tuple[str, ...] = (),
    ) -> None:
        """Moves the model to the device.

        Args:
            model: taken over; its weights change precision and place.
            device: auto, cpu, cuda or cuda:N.
            precision: auto, fp32, bf16 or fp16.
            image_size: longer side of the network image, pixels; 0: what the model is made for.
            speed: what may be traded for time.
            use_camera_info: whether a network that compares frames takes the fields of view of
                calibrated cameras for its own.
            checkpoint: where the weights came from, for the description.
            warnings: what a user must know.

        Raises:
            EngineError: the device, precision or image size does not exist.
        """
        config = model.config
        self.device = choose_device(device)
        self.precision = choose_precision(precision, self.device)
        self.image_size = image_size or config.img_size
        self.image_sizes = smaller_sizes(self.image_size, config.patch_size)
        if self.image_size % config.patch_size:
            raise EngineError(
                f"image_size must be a multiple of {config.patch_size} for the {config.name} "
                f"model, got {self.image_size}"
            )
        self.use_camera_info = use_camera_info
        self.warnings = warnings
        self._parameters = sum(parameter.numel() for parameter in model.parameters())
        self._checkpoint = checkpoint
        self.warnings += approximate(model, speed)
        self.head_precision = speed.head_precision
        cast_heads(model.eval().requires_grad_(False), speed.head_precision)
        self.model = cast_trunk(model, self.precision)
        with current_device(self.device), memory_errors(self.device):
            # convolutions run faster with channels last, on a CPU and with a GPU's tensor cores
            self.model.to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
            self.warnings += quantize_trunk(self.model, speed.weights)
        self._loader = FrameLoader(self.device)
        self.trunk = Trunk(self.model, self._loader)
        self.meter: Callable[[], float] | None = None  # of the stages; None: milliseconds
        if not model.needs_time_branch():
            model.time_branch = False
            self.warnings += ("the time branch's gates are all 0 here: it is skipped, exactly",)
        # by image size: sizes of the cameras in it; shapes stay what they are once compiled
        self._known: dict[int, dict[int, tuple[int, int]]] | None = None
        if speed.compile:
            self._known = {}
            compile_stages(self.model, self.device)

    @classmethod
    def from_config(cls, engine: EngineConfig) -> Predictor:
        """Loads the checkpoint that the configuration names.

        Raises:
            CheckpointError: it does not load.
            EngineError: the device, precision or image size does not exist.
            OutOfMemory: the weights do not fit.
        """
        if engine.threads:
            torch.set_num_threads(engine.threads)
        device = choose_device(engine.device)
        precision = choose_precision(engine.precision, device)
        with memory_errors(device):
            loaded = load_engine_model(engine.checkpoint, precision, device)
        predictor = cls(
            loaded.model,
            device=engine.device,
            precision=engine.precision,
            image_size=engine.image_size,
            speed=Speed(
                engine.head_precision,
                engine.cross_view,
                engine.frame_wise_layers,
                engine.compile,
                engine.weights,
            ),
            use_camera_info=engine.use_camera_info,
            checkpoint=loaded.source,
            warnings=loaded.warnings,
        )
        if engine.device == "auto" and predictor.device.type == "cpu":
            predictor.warnings += ("no CUDA device: the network runs on the CPU, slowly",)
        return predictor

    @property
    def description(self) -> EngineDescription:
        """What runs."""
        name = self.model.config.name
        return EngineDescription(
            name, self._parameters, str(self.device), self.precision, self._checkpoint
        )

    @property
    def memory_bytes(self) -> int:
        """Memory in use: of the process on a CPU, of the device otherwise."""
        return memory_in_use(self.device)

    def known_sizes(self, image_size: int) -> dict[int, tuple[int, int]] | None:
        """Sizes of the cameras in the network's image so far; None where shapes may change."""
        return None if self._known is None else self._known.setdefault(image_size, {})

    def largest_window(self, views: int) -> int:
        """Time steps of the largest window of so many cameras that fits into the memory.

        An estimate for images of 4:3 at the present image size; at least 1, for less is nothing.
        """
        config = self.model.config
        height, width = fitted_size(3, 4, self.image_size, config.patch_size)
        shape = GridShape(1, 1, views, height // config.patch_size, width // config.patch_size)
        element = DTYPES[self.precision].itemsize
        free = free_memory(self.device)
        return max(1, largest_steps(config, shape, element=element, free=free))

    def warm_up(self, window_shape: tuple[int, int], sizes: Sequence[tuple[int, int]]) -> None:
        """Runs one made-up window of (T, V) with images of (height, width), one size a view."""
        steps, views = window_shape
        if len(sizes) != views:
            raise ValueError(f"sizes must have {views} entries, got {len(sizes)}")
        images = [np.full((*size, 3), 128, dtype=np.uint8) for size in sizes]
        sets = tuple(
            FrameSet(
                tuple(
                    Frame(view, step, LazyImage.from_array(image))
                    for view, image in enumerate(images)
                )
            )
            for step in range(steps)
        )
        self.predict(Window(sets))
        self.trunk.clear()

    def close(self) -> None:
        """Frees the device's memory; the predictor is of no use afterwards."""
        self.trunk.clear()
        self._loader.close()
        if self._known is not None:
            forget_compiled(self.model)
        self.model.to("meta")
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def predict(
        self,
        window: Window,
        dense_steps: Sequence[int] | None = None,
        *,
        points: bool = False,
        motion: str = "all",
        view_pairs: Sequence[tuple[int, int]] = (),
    ) -> Prediction:
        """Predicts a window.

        Args:
            window: frames of T steps and V cameras, of any sizes, some missing.
            dense_steps: time steps whose dense outputs are wanted, negative from the end; None:
                the newest. Flow to a neighbouring step needs no dense output of that step.
            points: whether the point map is wanted too (depth and pose give the same, better).
            motion: all; flow: only that between the newest dense step and its neighbours, either
                way, where the source is dense, and no mask; none.
            view_pairs: of cameras; what they both see at the newest dense step is wanted, where
                the network compares frames.

        Raises:
            OutOfMemory: the device is too small for this window.
            ValueError: a dense step is out of range.
        """
        steps = resolve_steps(dense_steps, window.shape[0])
        if self._known is not None:  # compiled: the last window's outputs may be written over
            torch.compiler.cudagraph_mark_step_begin()
        try:
            with (
                current_device(self.device),
                torch.inference_mode(),
                float32_products(self.device, "fp32"),
                memory_errors(self.device),
            ):
                return _Run(self, window, steps, motion).prediction(points, view_pairs)
        except OutOfMemory:
            self.trunk.clear()
            raise


def smaller_sizes(size: int, patch: int) -> tuple[int, ...]:
    """An image size and those to fall back to: about 3/4 and 1/2, at least four patches."""
    smaller = (round(size * share / patch) * patch for share in (0.75, 0.5))
    return tuple(dict.fromkeys([size, *(s for s in smaller if 4 * patch <= s < size)]))


class _Run:
    """One window on its way through the network."""

    def __init__(
        self, predictor: Predictor, window: Window, dense: tuple[int, ...], motion: str
    ) -> None:
        self.predictor = predictor
        self.motion = motion
        self.model = predictor.model
        self.clock = StageClock(predictor.device, predictor.meter)
        with self.clock.stage("preprocess"):
            patch = self.model.config.patch_size
            size = predictor.image_size
            self.grid = WindowGrid(window, size, patch, predictor.known_sizes(size))
        self.dense = tuple(step for step in dense if step in self.grid.steps)

    def prediction(self, points: bool, view_pairs: Sequence[tuple[int, int]]) -> Prediction:
        """Everything, in order."""
        output = None
        if self.grid.frames:
            output = self._forward(points)
            self.clock.wait()
        with self.clock.stage("postprocess"):
            stages = self.clock.stages
            prediction = to_prediction(output, self.grid, self.dense, self.dense, stages)
            if output is None or output.pairs is None or not view_pairs:
                return prediction
            if not self.dense:
                return replace(prediction, matches=())
            head, newest = self.model.pair_head, self.dense[-1]
            matches = match_views(head, output.pairs, self.grid, newest, view_pairs)
            return replace(prediction, matches=matches)

    def _forward(self, points: bool) -> ModelOutput:
        steps = tuple(step - self.grid.steps[0] for step in self.dense)
        seen = self.predictor.trunk.run(self.grid, steps, self.motion, self.clock)
        head_precision = float32_products(self.predictor.device, self.predictor.head_precision)
        with self.clock.stage("heads"), head_precision:
            return self.model.apply_heads(
                seen.encoded,
                seen.taps,
                seen.shape,
                seen.valid,
                steps=steps,
                points=points,
                held=seen.held,
                compared=seen.compared,
                motion_of=self.motion,
                known_view=self._known_views(),
                beside=seen.beside,
            )

    def _known_views(self) -> torch.Tensor | None:
        predictor = self.predictor
        if not (self.model.config.pairs and predictor.use_camera_info):
            return None
        return self.grid.known_views(predictor.device)
