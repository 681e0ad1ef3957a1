# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a network is: every size and choice of architecture, written into each checkpoint.

``release()`` is the public 4D-VGGT 1.0 geometry model, ``compact()`` the one that ships with the
package, ``tiny()`` the smallest, for tests.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

C = TypeVar("C")

# keys that older checkpoints lack: they are without
LATER = (
    "pairs",
    "mutual",
    "fine_matches",
    "sweep",
    "sharp_matches",
    "choice",
    "wide_mask",
    "sharp_flow",
)
_CHOICES = {
    "encoder.kind": ("dinov2", "conv", "stem"),
    "cross_view_scope": ("window", "step"),
    "temporal_mixer": ("attention", "conv"),
    "arrangement": ("parallel", "serial", "unified", "spatial"),
    "dense.kind": ("dpt", "pyramid"),
}


@dataclass(frozen=True)
class EncoderConfig:
    """Image encoder: one image to patch tokens.

    ``dinov2``: ViT with class and register tokens and a learned position embedding, as the
    release. ``conv``: one strided convolution. ``stem``: convolutional stem with skip maps at
    1/2, 1/4 and 1/8 for sharp edges, then rotary ViT blocks; patch size 16.
    """

    kind: str = "dinov2"
    depth: int = 24
    num_heads: int = 16
    name: str = "dinov2_vitl14_reg"  # what the release's configuration calls it
    channels: tuple[int, int, int] = (32, 48, 96)  # of the stem's skip maps


@dataclass(frozen=True)
class CameraConfig:
    """Camera head: iterative refinement of pose and field of view."""

    trunk_depth: int = 4
    num_heads: int = 16
    iterations: int = 4
    mlp_ratio: float = 4.0


@dataclass(frozen=True)
class DenseConfig:
    """Dense heads. ``dpt``: one DPT per output, as the release; ``pyramid``: one shared decoder."""

    kind: str = "dpt"
    features: int = 256
    out_channels: tuple[int, ...] = (256, 512, 1024, 1024)  # dpt: one for each of the four taps
    depth: bool = True
    points: bool = True


@dataclass(frozen=True)
class MotionConfig:
    """Flow, dynamic mask and point tracks on the spatiotemporal features (not in the release)."""

    match_dim: int = 96
    feature_dim: int = 32
    hidden_dim: int = 64
    radius: int = 3  # cells, of the local correlation at each refinement
    refinements: int = 2  # at 1/4 resolution; one more at 1/8
    dynamic: bool = True
    tracks: bool = True
    choice: bool = False  # flow chosen between motions found nearby; see flow_choice
    sharp_flow: bool = False  # flow corrected once more at 1/2; see the module
    wide_mask: bool = False  # a mask by more than its surroundings; pairs only; see the module


@dataclass(frozen=True)
class ModelConfig:
    """Architecture of one network.

    ``cross_view_scope``: global attention over all frames of the ``window`` (release) or within
    each time ``step`` (paper). ``temporal_mixer``: windowed ``attention`` along time (release) or
    temporal ``conv``. ``arrangement``: ``parallel`` space and time branches (release); ``serial``:
    time after space; ``unified``: as serial, with attention over all frames instead of along time;
    ``spatial``: no time branch.
    """

    name: str = "release"
    img_size: int = 518  # longer image side the network is made for; pos. embedding of dinov2
    patch_size: int = 14
    embed_dim: int = 1024
    depth: int = 24  # pairs of blocks in each branch
    num_heads: int = 16
    mlp_ratio: float = 4.0
    num_register_tokens: int = 4
    init_values: float = 0.01  # LayerScale
    rope_freq: float = 100.0
    window_size: int = 5  # time steps seen by the temporal mixer, odd
    taps: tuple[int, ...] = (4, 11, 17, 23)  # layers whose output the dense heads see
    alpha_init: float = 0.0  # gate of the temporal branch
    cross_view_scope: str = "window"
    temporal_mixer: str = "attention"
    arrangement: str = "parallel"
    pairs: bool = False  # compare frames by geometry, see pair_head; needs the stem encoder
    mutual: bool = False  # pairs, with matches that lead back; see pair_head
    fine_matches: bool = False  # pairs, with places corrected on finer maps; see pair_refine
    sharp_matches: bool = False  # fine matches, corrected once more; see pair_sharpen
    sweep: bool = False  # fine matches, with depth corrected by parallax; see plane_sweep
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    camera: CameraConfig = field(default_factory=CameraConfig)
    dense: DenseConfig = field(default_factory=DenseConfig)
    motion: MotionConfig | None = None

    def __post_init__(self) -> None:
        for path, choices in _CHOICES.items():
            value: Any = self
            for part in path.split("."):
                value = getattr(value, part)
            if value not in choices:
                raise ValueError(f"{path} must be one of {', '.join(choices)}, got {value!r}")
        if self.embed_dim % self.num_heads or (self.embed_dim // self.num_heads) % 4:
            raise ValueError(
                f"embed_dim / num_heads must be a multiple of 4, got {self.embed_dim} / "
                f"{self.num_heads}"
            )
        if self.window_size < 1 or self.window_size % 2 == 0:
            raise ValueError(f"window_size must be odd and positive, got {self.window_size}")
        if not self.taps or self.taps[-1] != self.depth - 1 or self.taps[0] < 0:
            raise ValueError(f"taps must end at layer {self.depth - 1}, got {self.taps}")
        if list(self.taps) != sorted(set(self.taps)):
            raise ValueError(f"taps must rise, got {self.taps}")
        if self.dense.kind == "dpt" and not len(self.taps) == len(self.dense.out_channels) == 4:
            raise ValueError(f"the dpt head needs four taps and out_channels, got {self.taps}")
        if (self.encoder.kind == "stem") != (self.dense.kind == "pyramid"):
            raise ValueError("the pyramid head and the stem encoder need each other")
        if self.pairs and self.encoder.kind != "stem":
            raise ValueError("pairs need the maps of the stem encoder")
        if self.mutual and not self.pairs:
            raise ValueError("mutual matches need pairs")
        if self.fine_matches and not self.pairs:
            raise ValueError("fine matches need pairs")
        if self.sweep and not self.fine_matches:
            raise ValueError("a sweep needs the maps of fine matches")
        if self.sharp_matches and not self.fine_matches:
            raise ValueError("sharp matches need fine matches")
        if self.motion is not None and self.motion.wide_mask and not self.pairs:
            raise ValueError("a wide mask needs pairs")
        if self.encoder.kind == "stem" and self.patch_size != 16:
            raise ValueError(f"the stem encoder has patch size 16, got {self.patch_size}")

    def to_dict(self) -> dict[str, Any]:
        """Nested plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelConfig:
        """The inverse of ``to_dict``; unknown or missing keys and wrong types raise ValueError."""
        return _build(cls, values, "config")


def _build(kind: type[C], values: object, path: str) -> C:
    if not isinstance(values, Mapping):
        raise ValueError(f"{path} must be a mapping, got {values!r}")
    assert is_dataclass(kind)
    names = [spec.name for spec in fields(kind)]
    values = {**{name: False for name in LATER if name in names}, **values}
    odd = sorted(set(map(str, values)) ^ set(names))
    if odd:
        raise ValueError(f"{path}: unknown or missing key {odd[0]!r}; known: {', '.join(names)}")
    hints = get_type_hints(kind)
    return kind(**{name: _convert(hints[name], values[name], f"{path}.{name}") for name in names})


def _convert(hint: Any, value: Any, path: str) -> Any:
    if get_origin(hint) in (Union, types.UnionType):
        if value is None:
            return None
        hint = next(part for part in get_args(hint) if part is not type(None))
    if is_dataclass(hint):
        return _build(typing.cast(type, hint), value, path)
    if get_origin(hint) is tuple:
        if not isinstance(value, (list, tuple)) or not all(type(item) is int for item in value):
            raise ValueError(f"{path} must be a list of integers, got {value!r}")
        return tuple(value)
    if hint is float and type(value) is int:
        value = float(value)
    if type(value) is not hint:
        raise ValueError(f"{path} must be of type {hint.__name__}, got {value!r}")
    return value


def release() -> ModelConfig:
    """4D-VGGT 1.0 geometry: 1.80 G parameters; its checkpoint loads strictly."""
    return ModelConfig()


def compact() -> ModelConfig:
    """The network that ships with the package."""
    return ModelConfig(
        name="compact",
        img_size=160,
        patch_size=16,
        embed_dim=160,
        depth=3,
        num_heads=5,
        mlp_ratio=3.0,
        num_register_tokens=4,
        init_values=0.5,
        taps=(0, 1, 2),
        alpha_init=1.0,
        pairs=True,
        mutual=True,
        fine_matches=True,
        sharp_matches=True,
        sweep=True,
        encoder=EncoderConfig("stem", depth=3, num_heads=5, name="stem"),
        camera=CameraConfig(trunk_depth=1, num_heads=5, iterations=4, mlp_ratio=2.0),
        dense=DenseConfig("pyramid", features=64, out_channels=(32, 48, 64)),
        motion=MotionConfig(choice=True, sharp_flow=True, wide_mask=True),
    )


def ablation() -> ModelConfig:
    """A smaller ``compact``: cheap enough to train every way of mixing space and time anew."""
    return ModelConfig(
        name="ablation",
        img_size=96,
        patch_size=16,
        embed_dim=96,
        depth=2,
        num_heads=3,
        mlp_ratio=3.0,
        num_register_tokens=2,
        init_values=0.5,
        taps=(0, 1),
        alpha_init=1.0,
        encoder=EncoderConfig("stem", depth=2, num_heads=3, name="stem", channels=(16, 24, 48)),
        camera=CameraConfig(trunk_depth=1, num_heads=3, iterations=2, mlp_ratio=2.0),
        dense=DenseConfig("pyramid", features=48, out_channels=(16, 24, 32)),
        motion=MotionConfig(match_dim=48, feature_dim=24, hidden_dim=32, refinements=1),
    )


def tiny() -> ModelConfig:
    """The release's architecture at test size."""
    return ModelConfig(
        name="tiny",
        img_size=56,
        embed_dim=64,
        depth=4,
        num_heads=4,
        taps=(0, 1, 2, 3),
        encoder=EncoderConfig("conv", depth=0, num_heads=1, name="conv"),
        camera=CameraConfig(trunk_depth=2, num_heads=4),
        dense=DenseConfig("dpt", features=16, out_channels=(16, 32, 64, 64)),
    )


def tiny_motion() -> ModelConfig:
    """``tiny`` with the motion heads."""
    small = MotionConfig(match_dim=16, feature_dim=8, hidden_dim=16, radius=2, refinements=1)
    return replace(tiny(), name="tiny_motion", alpha_init=0.5, motion=small)


CONFIGS = {
    "release": release,
    "compact": compact,
    "ablation": ablation,
    "tiny": tiny,
    "tiny_motion": tiny_motion,
}
