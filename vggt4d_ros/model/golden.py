# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Golden files: inputs and outputs of the released code, to compare this one with.

A case is ``<name>.safetensors`` with ``<name>.json``. Weights are either stored (``state/...``)
or follow from a rule, so that a full-size case is small.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from vggt4d_ros.model.camera_head import decode_pose, encode_pose
from vggt4d_ros.model.catalogue import sha256_of
from vggt4d_ros.model.checkpoint import assign, check_tensors
from vggt4d_ros.model.config import ModelConfig
from vggt4d_ros.model.grid import check_grid
from vggt4d_ros.model.preprocess import batch, preprocess
from vggt4d_ros.model.release_format import config_from_release
from vggt4d_ros.model.vggt4d import VGGT4D

RELATIVE = 1e-4
# larger numbers (points up to 50, intrinsics in pixels) are noisier in float32 themselves
ABSOLUTE = {"world_points": 5e-4, "intrinsics": 0.0}
DEFAULT_ABSOLUTE = 1e-4
# standard deviation of random weights that are not matrices, by the last part of their name
_SPREADS = {
    "gamma": (0.3, 0.1),
    "relative_time_bias": (0.0, 0.7),
    "alpha": (0.0, 0.7),
    "bias": (0.0, 0.1),
} | dict.fromkeys(
    (
        "camera_token",
        "register_token",
        "cls_token",
        "register_tokens",
        "mask_token",
        "pos_embed",
        "empty_pose_tokens",
    ),
    (0.0, 0.5),
)


@dataclass(frozen=True)
class Difference:
    """How far one output is from the golden one."""

    output: str
    largest: float  # absolute
    excess: float  # largest error over its tolerance; at most 1 is within
    ok: bool


def golden_cases(folder: Path) -> list[Path]:
    """The JSON files of all cases in a folder.

    Raises:
        ValueError: there is none.
    """
    cases = sorted(p for p in folder.glob("*.json") if p.with_suffix(".safetensors").is_file())
    if not cases:
        raise ValueError(f"{folder} holds no golden files (<name>.json with <name>.safetensors)")
    return cases


def compare_case(path: Path) -> list[Difference]:
    """Compares one case, whatever kind it is.

    Raises:
        ValueError: the files are of no known kind or damaged.
    """
    about = json.loads(path.read_text(encoding="utf-8"))
    data = path.with_suffix(".safetensors")
    if "sha256" in about and sha256_of(data) != about["sha256"]:
        raise ValueError(f"{data} is not the file that {path.name} describes (sha256 differs)")
    tensors = load_file(data)
    if "model_config" in about:
        return list(_compare_model(about, tensors))
    if any(name.startswith("encode/") for name in tensors):
        return list(_compare_poses(about, tensors))
    if any(name.startswith("image/") for name in tensors):
        return list(_compare_preprocess(about, tensors))
    raise ValueError(f"{path}: not a golden case of a known kind")


def case_config(about: Mapping[str, Any]) -> ModelConfig:
    """The model of a case."""
    return config_from_release(about["model_config"], about.get("encoder_override"))


def case_model(about: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> VGGT4D:
    """The model of a case with its weights, stored or by rule; float32."""
    with torch.device("meta"):
        model = VGGT4D(case_config(about))
    if about["state_stored"]:
        state = {
            name.removeprefix("state/"): tensor.float()
            for name, tensor in tensors.items()
            if name.startswith("state/")
        }
    else:
        shapes = model.state_dict()
        state = {name: rule_weight(name, t.shape, about["seed"]) for name, t in shapes.items()}
    check_tensors(model, state, about["name"])
    return assign(model, state)


def rule_weight(name: str, shape: torch.Size, seed: int) -> Tensor:
    """A weight by the golden files' rule: uniform from Philox, rounded to float16, as float32."""
    count = int(np.prod(shape))
    philox = np.random.Philox(key=zlib.crc32(name.encode()) + (seed << 32))
    uniform = (philox.random_raw(count) >> np.uint64(11)) * 2.0**-53
    mean, spread = _mean_and_spread(name, tuple(shape))
    values = mean + spread * np.sqrt(12.0) * (uniform - 0.5)
    weight = values.astype(np.float16).astype(np.float32).reshape(shape)
    # a field of view that stays in range
    if name == "spatial_head.pose_branch.fc2.weight":
        weight[7:9] = (weight[7:9] * 0.125).astype(np.float16)
    if name == "spatial_head.pose_branch.fc2.bias":
        weight[7:9] = (0.28125, 0.328125)
    return torch.from_numpy(weight)


def _mean_and_spread(name: str, shape: tuple[int, ...]) -> tuple[float, float]:
    last = name.rpartition(".")[2]
    if last in _SPREADS:
        return _SPREADS[last]
    if len(shape) == 1:
        return 1.0, 0.2
    transposed = ".resize_layers.0." in name or ".resize_layers.1." in name
    fan_in = shape[0] if transposed else int(np.prod(shape[1:]))
    return 0.0, fan_in**-0.5


def _difference(name: str, ours: Tensor, golden: Tensor) -> Difference:
    if ours.shape != golden.shape:
        raise ValueError(f"{name} has shape {tuple(ours.shape)}, golden {tuple(golden.shape)}")
    error = (ours.double() - golden.double()).abs()
    allowed = ABSOLUTE.get(name, DEFAULT_ABSOLUTE) + RELATIVE * golden.double().abs()
    # an exact zero may have no tolerance at all
    excess = torch.where(error == 0, 0.0, error / allowed).max().item()
    return Difference(name, error.max().item(), excess, excess <= 1.0)


def _compare_model(about: Mapping[str, Any], tensors: dict[str, Tensor]) -> Iterator[Difference]:
    model = case_model(about, tensors)
    images = tensors["input/images"][:, :, None]  # the release's list is a grid of one view
    with torch.inference_mode():
        output = model(images)
        inner = _inner(model, images) if "aux/encoded_tokens" in tensors else {}
    pose = output.pose_enc[-1][:, :, 0]
    poses, intrinsics = decode_pose(pose, *images.shape[-2:])
    ours = {
        "pose_enc": pose,
        "depth": output.depth[:, :, 0, ..., None],
        "depth_conf": output.depth_conf[:, :, 0],
        "world_points": output.world_points[:, :, 0],
        "world_points_conf": output.world_points_conf[:, :, 0],
        "extrinsics": poses,
        "intrinsics": intrinsics,
    }
    for name, value in ours.items():
        yield _difference(name, value, tensors[f"output/{name}"])
    if inner:
        every = torch.stack([pose[:, :, 0] for pose in output.pose_enc])
        yield _difference("pose_enc_list", every, tensors["aux/pose_enc_list"])
    for name, value in inner.items():
        yield _difference(name, value, tensors[f"aux/{name}"])


def _inner(model: VGGT4D, images: Tensor) -> dict[str, Tensor]:
    """Tokens on their way through the network, which say where an error starts."""
    shape = check_grid(images, None, model.config.patch_size)
    encoded = model.encode(images.flatten(0, 2))
    tokens = model.cross_view_global_fusion.add_specials(encoded.tokens, shape, None)
    taps = model.fuse_steps(tokens, model.fuse_views(tokens, shape, None), shape, None)
    fused = model.spatiotemporal_dense_fusion(taps.spatial, taps.temporal)
    groups = {"spatial": taps.spatial, "temporal": taps.temporal, "fused": fused}
    lead = (shape.batch, shape.frames)
    return {"encoded_tokens": tokens} | {
        f"{kind}_tap_{index}": tap.unflatten(0, lead)
        for kind, group in groups.items()
        for index, tap in enumerate(group)
    }


def _compare_poses(about: Mapping[str, Any], tensors: dict[str, Tensor]) -> Iterator[Difference]:
    height, width = about["image_size_hw"]
    encoded = encode_pose(tensors["encode/extrinsics"], tensors["encode/intrinsics"], height, width)
    yield _difference("encode pose_enc", encoded, tensors["encode/pose_enc"])
    poses, intrinsics = decode_pose(tensors["decode/pose_enc"], height, width)
    yield _difference("decode extrinsics", poses, tensors["decode/extrinsics"])
    yield _difference("decode intrinsics", intrinsics, tensors["decode/intrinsics"])


def _compare_preprocess(
    about: Mapping[str, Any], tensors: dict[str, Tensor]
) -> Iterator[Difference]:
    """Bit-exact: one grey level of 255 is an error."""
    for mode in ("crop", "pad"):
        for target in about["sizes"]:
            images = []
            for name in about["order"]:
                images.append(preprocess(tensors[f"image/{name}"].numpy(), target, mode))
                ours = torch.from_numpy(images[-1]).permute(2, 0, 1)
                yield _exact(f"{mode} {target} {name}", ours, tensors[f"{mode}_{target}/{name}"])
            ours = torch.from_numpy(batch(images)).permute(0, 3, 1, 2)
            yield _exact(f"{mode} {target} all", ours, tensors[f"{mode}_{target}/batch_all"])


def _exact(name: str, ours: Tensor, golden: Tensor) -> Difference:
    found = _difference(name, ours, golden)
    return Difference(name, found.largest, found.excess, found.largest == 0.0)
