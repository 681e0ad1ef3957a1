# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Writes the network for other runtimes: one graph for one grid and one image size.

Input: ``images`` (1, T, V, 3, H, W) float RGB in [0, 1] and, unless left out, ``valid``
(1, T, V) bool. Output: poses of all frames and the dense outputs of the newest step.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from vggt4d_ros.model.errors import EngineError
from vggt4d_ros.model.vggt4d import VGGT4D

FORMATS = ("pt2", "onnx")
OPSET = 18
SMOOTH = 4  # pixels between the random values of an example's pictures
STEP_PIXELS = 2  # that they move from step to step, left and up
VIEW_PIXELS = 8  # likewise from view to view
TOLERANCE = 1e-4  # of 1 + |value|: float32 sums in another order

Run = Callable[[Sequence[Tensor]], list[Tensor]]


class NewestStep(nn.Module):
    """The network with plain tensors in and out."""

    def __init__(self, model: VGGT4D) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor, valid: Tensor | None = None) -> tuple[Tensor, ...]:
        """Outputs in the order of ``output_names``."""
        steps = images.shape[1]
        output = self.model(images, valid, dense_steps=(steps - 1,), points=False)
        found = [output.pose_enc[-1], output.depth, output.depth_conf]
        if output.motion is not None:
            if output.motion.backward is not None:
                found += [output.motion.backward.flow, output.motion.backward.logits]
            found.append(output.motion.dynamic)
        return tuple(value for value in found if value is not None)


def output_names(model: VGGT4D, steps: int) -> list[str]:
    """Names of the exported outputs."""
    config = model.config
    names = ["pose_enc"]
    if config.dense.depth:
        names += ["depth", "depth_conf"]
    if config.motion is not None:
        if steps > 1:
            names += ["flow_backward", "flow_backward_logits"]
        if config.motion.dynamic:
            names.append("dynamic_logits")
    return names


def example(
    model: VGGT4D, grid: tuple[int, int], size: tuple[int, int], *, mask: bool, seed: int = 0
) -> tuple[Tensor, ...]:
    """Input of (T, V) images of (H, W), one frame missing if there is a mask.

    A smooth random picture that moves by a few pixels a step and a view. White noise has no flow
    to be found: there rounding alone moves that of the compact network by 3e-4 (with and without
    oneDNN), and pictures with nothing in common have no motion between cameras.

    Raises:
        EngineError: the image is not a whole number of patches.
    """
    patch = model.config.patch_size
    if size[0] % patch or size[1] % patch:
        raise EngineError(f"the image must be a multiple of {patch} pixels, got {size}")
    generator = torch.Generator().manual_seed(seed)
    ways = [STEP_PIXELS * step + VIEW_PIXELS * view for step, view in np.ndindex(*grid)]
    small = tuple(-(-(side + max(ways)) // SMOOTH) for side in size)
    wide = torch.rand((1, 3, *small), generator=generator)
    wide = functional.interpolate(
        wide, scale_factor=float(SMOOTH), mode="bilinear", align_corners=False
    )
    crops = [wide[0, :, way : way + size[0], way : way + size[1]] for way in ways]
    images = torch.stack(crops).unflatten(0, grid)[None]
    if not mask:
        return (images,)
    valid = torch.ones((1, *grid), dtype=torch.bool)
    if grid[0] * grid[1] > 1:
        valid[0, 0, -1] = False
    return images, valid


def export(model: VGGT4D, inputs: tuple[Tensor, ...]) -> torch.export.ExportedProgram:
    """The network as a graph for inputs of exactly these shapes."""
    with torch.no_grad():
        return torch.export.export(NewestStep(model).eval(), inputs)


def file_format(path: Path) -> str:
    """The format that a file's ending names.

    Raises:
        EngineError: it names none.
    """
    kind = path.suffix.lstrip(".")
    if kind not in FORMATS:
        raise EngineError(f"{path}: must end in one of {', '.join('.' + f for f in FORMATS)}")
    return kind


def write(program: torch.export.ExportedProgram, path: Path, names: list[str]) -> Run:
    """Writes a graph as the file's ending says and gives what runs the file.

    Args:
        program: from ``export``.
        path: ``.pt2`` or ``.onnx``.
        names: of the outputs.

    Raises:
        EngineError: unknown ending, or the packages for ONNX are missing.
    """
    kind = file_format(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.stem}.part{path.suffix}")
    if kind == "pt2":
        torch.export.save(program, part)
        os.replace(part, path)
        return _run_pt2(path)
    try:
        onnxruntime = import_module("onnxruntime")
        import_module("onnxscript")  # torch.onnx needs it
    except ModuleNotFoundError as error:
        raise EngineError(
            f"ONNX needs the Python package {error.name!r} "
            "(pip install onnx onnxscript onnxruntime)"
        ) from error
    torch.onnx.export(
        program,
        (),
        str(part),
        dynamo=True,
        opset_version=OPSET,
        output_names=names,
        external_data=False,
        verbose=False,
    )
    os.replace(part, path)
    return _run_onnx(onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]))


def _run_pt2(path: Path) -> Run:
    loaded = torch.export.load(path).module()
    return lambda inputs: list(loaded(*inputs))


def _run_onnx(session: object) -> Run:
    def run(inputs: Sequence[Tensor]) -> list[Tensor]:
        names = [node.name for node in session.get_inputs()]  # type: ignore[attr-defined]
        feed = {name: x.numpy() for name, x in zip(names, inputs, strict=True)}
        outputs = session.run(None, feed)  # type: ignore[attr-defined]
        return [torch.from_numpy(np.asarray(output)) for output in outputs]

    return run


def differences(model: VGGT4D, run: Run, inputs: tuple[Tensor, ...]) -> dict[str, float]:
    """Largest difference of each output between the network and what was written.

    A difference is a share of 1 + |value|: relative for large values, absolute for small ones.
    """
    with torch.inference_mode():
        expected = NewestStep(model).eval()(*inputs)
        found = run(inputs)
    names = output_names(model, inputs[0].shape[1])
    return {
        name: ((ours - theirs).abs() / (1 + theirs.abs())).max().item()
        for name, ours, theirs in zip(names, found, expected, strict=True)
    }
