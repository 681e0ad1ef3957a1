# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The public release's own description of its network, to and from ours.

Its checkpoint is a ``torch.save`` payload: architecture name, schema version, the model's 25
constructor arguments, and one state dict of float32 tensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vggt4d_ros.model.config import CameraConfig, DenseConfig, EncoderConfig, ModelConfig

ARCHITECTURE = "4d-vggt-geometry-v1"
SCHEMA_VERSION = 2
# depth and heads of the DINOv2 sizes (Oquab et al. 2023, table 17)
DINO_SIZES = {
    "dinov2_vits14_reg": (12, 6),
    "dinov2_vitb14_reg": (12, 12),
    "dinov2_vitl14_reg": (24, 16),
    "dinov2_vitg2_reg": (40, 24),
}
# what the architecture fixes; another value is another architecture
FIXED: dict[str, object] = {
    "enable_spatial": True,
    "profile": ARCHITECTURE,
    "enable_cross_time": True,
    "enable_dense_fusion": True,
    "aa_block_size": 1,
    "qkv_bias": True,
    "proj_bias": True,
    "ffn_bias": True,
    "qk_norm": True,
}


def config_from_release(
    values: Mapping[str, Any], encoder: Mapping[str, int] | None = None
) -> ModelConfig:
    """Our configuration of the release's constructor arguments.

    Args:
        values: all 25 arguments.
        encoder: depth and num_heads of an encoder of another size than its name says.

    Raises:
        ValueError: arguments are missing, unknown or of another architecture.
    """
    known = set(config_to_release(ModelConfig()))
    odd = sorted(known ^ set(values))
    if odd:
        raise ValueError(f"model_config has unknown or missing key {odd[0]!r}")
    for name, value in FIXED.items():
        if values[name] != value:
            raise ValueError(f"model_config {name} is {values[name]!r}, must be {value!r}")
    name = values["patch_embed"]
    if name == "conv":
        options = EncoderConfig("conv", 0, 1, name)
    elif name in DINO_SIZES:
        depth, heads = DINO_SIZES[name]
        if encoder is not None:
            depth, heads = encoder["depth"], encoder["num_heads"]
        options = EncoderConfig("dinov2", depth, heads, name)
    else:
        raise ValueError(f"model_config patch_embed {name!r} is unknown")
    return ModelConfig(
        name="release",
        img_size=values["img_size"],
        patch_size=values["patch_size"],
        embed_dim=values["embed_dim"],
        depth=values["depth"],
        num_heads=values["num_heads"],
        mlp_ratio=float(values["mlp_ratio"]),
        num_register_tokens=values["num_register_tokens"],
        init_values=float(values["init_values"]),
        rope_freq=float(values["rope_freq"]),
        window_size=values["window_size"],
        taps=tuple(values["cached_layer_indices"]),
        encoder=options,
        camera=_camera(values["spatial_head_options"]),
        dense=_dense(values),
    )


def _camera(options: Mapping[str, Any]) -> CameraConfig:
    _only(options, "spatial_head_options", {"trunk_depth", "num_heads"})
    return CameraConfig(**options)


def _dense(values: Mapping[str, Any]) -> DenseConfig:
    options = values["dense_head_options"]
    _only(options, "dense_head_options", {"features", "out_channels", "intermediate_layer_idx"})
    taps = list(values["cached_layer_indices"])
    if list(options.get("intermediate_layer_idx", taps)) != taps:
        raise ValueError("dense heads that skip cached layers are not supported")
    default = DenseConfig()
    return DenseConfig(
        kind="dpt",
        features=options.get("features", default.features),
        out_channels=tuple(options.get("out_channels", default.out_channels)),
        depth=values["enable_depth"],
        points=values["enable_point"],
    )


def _only(options: Mapping[str, Any], name: str, known: set[str]) -> None:
    odd = sorted(set(options) - known)
    if odd:
        raise ValueError(f"model_config {name} has unknown key {odd[0]!r}")


def config_to_release(config: ModelConfig) -> dict[str, Any]:
    """The release's 25 constructor arguments of a configuration with its architecture."""
    camera, dense, plain = {}, {}, ModelConfig()
    if config.camera != plain.camera:
        camera = {"num_heads": config.camera.num_heads, "trunk_depth": config.camera.trunk_depth}
    if (config.dense.features, config.dense.out_channels) != (
        plain.dense.features,
        plain.dense.out_channels,
    ):
        dense = {
            "features": config.dense.features,
            "out_channels": list(config.dense.out_channels),
        }
    return {
        "img_size": config.img_size,
        "patch_size": config.patch_size,
        "embed_dim": config.embed_dim,
        "enable_point": config.dense.points,
        "enable_depth": config.dense.depth,
        "window_size": config.window_size,
        "depth": config.depth,
        "num_heads": config.num_heads,
        "mlp_ratio": config.mlp_ratio,
        "num_register_tokens": config.num_register_tokens,
        "patch_embed": config.encoder.name,
        "cached_layer_indices": list(config.taps),
        "rope_freq": config.rope_freq,
        "init_values": config.init_values,
        "spatial_head_options": camera,
        "dense_head_options": dense | {"intermediate_layer_idx": list(config.taps)},
        **FIXED,
    }
