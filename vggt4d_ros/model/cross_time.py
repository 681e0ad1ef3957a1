# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Cross-time local fusion: attention within each frame, then along time of each camera."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from vggt4d_ros.model.config import ModelConfig
from vggt4d_ros.model.cross_view import attend_frames, fusion_blocks
from vggt4d_ros.model.grid import GridShape, by_frame, by_view, select_steps
from vggt4d_ros.model.layers import MASKED, Attention, Block, Rope, attend


class WindowAttention(Attention):
    """Attention of each step to the tokens of its neighbouring steps, with a learned time bias.

    The bias of a key depends on its distance in time. It goes into extra channels of query and
    key: a key says which step it is (one-hot, modulo the window), a query says the bias of each,
    so that the keys of a step are the same for all queries and no mask is needed.
    """

    def __init__(self, dim: int, num_heads: int, window: int) -> None:
        super().__init__(dim, num_heads, qk_norm=True)
        self.window = window
        self.relative_time_bias = nn.Parameter(torch.zeros(num_heads, window))

    def forward(
        self,
        x: Tensor,
        rope: Rope | None = None,
        bias: Tensor | None = None,
        rows: Tensor | slice | None = None,
    ) -> Tensor:
        """Mixes tokens (N, T, P, C) along T; ``bias`` (N, T) is added to the logits of a step.

        ``rows`` are the steps wanted; the others are only attended to.
        """
        count, steps, tokens, _ = x.shape
        tables = None if rope is None else rope.tile(steps)
        query, key, value = self.project(x.flatten(1, 2), tables)  # (N, heads, T*P, D)
        key_bias = self._key_channels(count, steps, tokens, bias)
        radius = self.window // 2
        mixed = []
        for step in range(steps)[rows if isinstance(rows, slice) else slice(None)]:
            low, high = max(0, step - radius), min(steps, step + radius + 1)
            keys = slice(low * tokens, high * tokens)
            mixed.append(
                attend(
                    query[:, :, step * tokens : (step + 1) * tokens],
                    key[:, :, keys],
                    value[:, :, keys],
                    self._query_channels(step, low, high),
                    key_bias[:, :, keys],
                )
            )
        out = torch.stack(mixed, dim=1)  # (N, T, heads, P, D)
        return self.proj(out.transpose(2, 3).flatten(3))

    def _query_channels(self, step: int, low: int, high: int) -> Tensor:
        """Time bias to each step of the window, then 1 for the key's own; (1, heads, 1, w+1)."""
        first = low - step + self.window // 2
        bias = self.relative_time_bias[:, first : first + high - low]
        bias = functional.pad(bias, (0, self.window - (high - low)))  # no key is in these slots
        bias = bias.roll(low % self.window, dims=1)
        return functional.pad(bias, (0, 1), value=1.0)[None, :, None]

    def _key_channels(self, count: int, steps: int, tokens: int, bias: Tensor | None) -> Tensor:
        """Which slot a key is in, then its own bias; (N or 1, 1, T*P, w+1)."""
        device = self.relative_time_bias.device
        slots = torch.arange(steps, device=device) % self.window
        hot = functional.one_hot(slots, self.window + 1).float()[None]  # (1, T, w+1)
        if bias is not None:
            hot = torch.cat([hot[..., :-1].expand(count, -1, -1), bias[..., None]], dim=-1)
        return hot.repeat_interleave(tokens, dim=1)[:, None]


class WindowConv(nn.Module):
    """Gated temporal convolution of the window's width, with as many parameters as attention.

    Attention has 4 C^2; gate and output projection take 2 C^2 of it, and a full convolution of
    w steps between a narrowing and a widening projection takes 2 C R + w R^2 = 2 C^2.
    """

    def __init__(self, dim: int, num_heads: int, window: int) -> None:
        super().__init__()
        narrow = round(dim * (math.sqrt(1 + 2 * window) - 1) / window)
        self.gate = nn.Linear(dim, dim)
        self.narrow = nn.Linear(dim, narrow)
        self.conv = nn.Conv1d(narrow, narrow, window, padding=window // 2)
        self.widen = nn.Linear(narrow, dim)
        self.proj = nn.Linear(dim, dim)

    def forward(
        self,
        x: Tensor,
        rope: Rope | None = None,
        bias: Tensor | None = None,
        rows: slice | None = None,
    ) -> Tensor:
        """Mixes tokens (N, T, P, C) along T; steps of negative ``bias`` (N, T) count as outside.

        ``rows`` are the steps wanted.
        """
        x = x.to(self.gate.weight.dtype)
        count, steps, tokens, _ = x.shape
        value = functional.gelu(self.narrow(x))
        if bias is not None:
            value = torch.where(bias[:, :, None, None] < 0, value.new_zeros(()), value)
        value = value.permute(0, 2, 3, 1).flatten(0, 1)  # (N*P, R, T)
        value = self.conv(value).unflatten(0, (count, tokens)).permute(0, 3, 1, 2)
        if rows is not None:
            value, x = value[:, rows], x[:, rows]
        return self.proj(self.widen(value) * torch.sigmoid(self.gate(x)))


class CrossTimeLocalFusion(nn.Module):
    """Time branch, along each camera's own frames."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.taps = config.taps
        self.unified = config.arrangement == "unified"
        self.window = config.window_size
        self.frame_blocks = fusion_blocks(config)
        if self.unified:
            self.temporal_blocks = fusion_blocks(config)
        else:
            mixer = WindowAttention if config.temporal_mixer == "attention" else WindowConv
            self.temporal_blocks = nn.ModuleList(
                Block(
                    config.embed_dim,
                    config.num_heads,
                    mlp_ratio=config.mlp_ratio,
                    init_values=config.init_values,
                    mixer=mixer(config.embed_dim, config.num_heads, config.window_size),
                )
                for _ in range(config.depth)
            )

    def forward(
        self, x: Tensor, shape: GridShape, rope: Rope, valid: Tensor | None
    ) -> list[Tensor]:
        """Gives the taps, each (B*S, P, 2C), of tokens (B*S, P, C)."""
        return self.finish(self.begin(x, rope), shape, rope, valid)

    def begin(self, x: Tensor, rope: Rope) -> Tensor:
        """What comes of tokens (N, P, C) before frames see one another, (N, P, C)."""
        return self.frame_blocks[0](x, rope)

    def finish(
        self,
        within: Tensor,
        shape: GridShape,
        rope: Rope,
        valid: Tensor | None,
        wanted: range | None = None,
    ) -> list[Tensor]:
        """Gives the taps, each (B*S, P, 2C), of frames that were started.

        ``wanted`` are the steps that the taps are wanted for; they are 0 elsewhere. Layers run for
        the steps that these depend on. None: all.
        """
        every = range(shape.steps)
        flat = None if valid is None else valid.flatten()
        bias = None if flat is None else by_view(torch.where(flat, 0.0, MASKED), shape)
        reach = self._reach(wanted or every, shape.steps)
        within = select_steps(within, shape, tuple(reach[0]))
        taps = []
        for layer, along in enumerate(self.temporal_blocks):
            seen, made = reach[layer], reach[layer + 1]
            here = shape._replace(steps=len(seen))
            if self.unified:
                x = attend_frames(along, within, rope, shape.batch, flat)
            else:
                rows = None if made == seen else _within(made, seen)
                near = bias if bias is None else bias[:, seen.start : seen.stop]
                x = by_frame(
                    along(by_view(within, here), rope, near, rows), shape._replace(steps=len(made))
                )
            if layer in self.taps:
                kept = select_steps(within, here, tuple(_steps(made, seen)))
                taps.append(_spread(torch.cat([kept, x], dim=-1), shape, made))
            if layer + 1 < len(self.frame_blocks):
                within = self.frame_blocks[layer + 1](x, rope)
        return taps

    def _reach(self, wanted: range, steps: int) -> list[range]:
        """The steps that each layer sees, and last those wanted."""
        if self.unified:
            return [range(steps)] * (len(self.temporal_blocks) + 1)
        radius = self.window // 2
        reach = [wanted]
        for _ in self.temporal_blocks:
            first = reach[0]
            reach.insert(0, range(max(0, first.start - radius), min(steps, first.stop + radius)))
        return reach


def _steps(part: range, whole: range) -> range:
    """Where the steps ``part`` are among ``whole``."""
    return range(part.start - whole.start, part.stop - whole.start)


def _within(part: range, whole: range) -> slice:
    steps = _steps(part, whole)
    return slice(steps.start, steps.stop)


def _spread(tap: Tensor, shape: GridShape, steps: range) -> Tensor:
    """A tap of some steps (B*len(steps)*V, ...) among all (B*S, ...), zeros elsewhere."""
    if len(steps) == shape.steps:
        return tap
    rest = tap.shape[1:]
    whole = tap.new_zeros(shape.batch, shape.steps, shape.views, *rest)
    whole[:, steps.start : steps.stop] = tap.reshape(shape.batch, len(steps), shape.views, *rest)
    return whole.flatten(0, 2)
