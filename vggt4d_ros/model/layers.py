# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Transformer parts that encoder, both fusions and the camera head share.

Mixed precision is by weights, not by autocast: matrices may be bfloat16 or float16 while norms,
gains and the residual stream stay float32. Each layer casts its input to its own matrix.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

# added to a logit: its softmax weight is exactly zero, and unlike -inf a row in which every key
# is out gives a mean instead of NaN
MASKED = -1e4


class Rope(NamedTuple):
    """Rotary tables, each (P, D) float32."""

    cos: Tensor
    sin: Tensor

    def tile(self, count: int) -> Rope:
        """Tables of ``count`` frames in a row, (count*P, D)."""
        return Rope(self.cos.repeat(count, 1), self.sin.repeat(count, 1))


def rope_tables(
    height: int, width: int, specials: int, dim: int, freq: float, device: torch.device
) -> Rope:
    """Rotary tables of one frame: ``specials`` tokens at (0, 0), then patches at (y, x) + 1.

    Half of the ``dim`` channels turn with y, half with x (axial RoPE, Heo et al. 2024,
    arXiv 2403.13298); in each half, channel i pairs with channel i + dim/4.
    """
    rows = torch.arange(1, height + 1, device=device, dtype=torch.float32)
    columns = torch.arange(1, width + 1, device=device, dtype=torch.float32)
    patches = torch.stack(
        [rows[:, None].expand(height, width), columns[None].expand(height, width)], dim=-1
    ).reshape(-1, 2)  # (h*w, 2)
    positions = torch.cat([patches.new_zeros(specials, 2), patches])  # (P, 2)
    quarter = dim // 4
    exponent = torch.arange(quarter, device=device, dtype=torch.float32) / quarter
    angles = positions[:, :, None] * freq**-exponent  # (P, 2, D/4)
    angles = angles[:, :, None].expand(-1, 2, 2, quarter).reshape(-1, dim)  # (P, D)
    return Rope(angles.cos(), angles.sin())


def apply_rope(x: Tensor, rope: Rope) -> Tensor:
    """Turns x (..., P, D) by the tables."""
    first, second = x.unflatten(-1, (2, 2, -1)).unbind(-2)
    turned = torch.stack([-second, first], dim=-2).flatten(-3)
    return x * rope.cos + turned * rope.sin


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    query_bias: Tensor | None = None,
    key_bias: Tensor | None = None,
) -> Tensor:
    """Attention with logits q.k/sqrt(D) + query_bias.key_bias, as one fused kernel.

    A rank-K additive bias costs K more channels (padded to a multiple of 8, which the fused
    kernels want) instead of a (L, L) mask, which would rule those kernels out.

    Args:
        query: (N, heads, L, D).
        key: (N, heads, M, D).
        value: (N, heads, M, D).
        query_bias: (N or 1, heads or 1, L or 1, K).
        key_bias: (N or 1, heads or 1, M, K).
    """
    if query_bias is None or key_bias is None:
        return functional.scaled_dot_product_attention(query, key, value)
    dim = query.shape[-1]
    scale = dim**-0.5
    pad = -(-key_bias.shape[-1] // 8) * 8 - key_bias.shape[-1]
    query = _append(query, query_bias / scale, pad)
    key = _append(key, key_bias, pad)
    value = functional.pad(value, (0, query.shape[-1] - dim))
    out = functional.scaled_dot_product_attention(query, key, value, scale=scale)
    return out[..., :dim]


def _append(x: Tensor, extra: Tensor, pad: int) -> Tensor:
    extra = extra.to(x.dtype).expand(*x.shape[:-1], extra.shape[-1])
    return functional.pad(torch.cat([x, extra], dim=-1), (0, pad))


class LayerNorm(nn.LayerNorm):
    """Layer norm that computes in its own (float32) precision whatever comes in."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalises (..., C)."""
        dtype = x.dtype if self.weight is None else self.weight.dtype
        return super().forward(x.to(dtype))


class GroupNorm(nn.GroupNorm):
    """Group norm that computes in its own (float32) precision whatever comes in."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalises (N, C, H, W)."""
        return super().forward(x.to(self.weight.dtype))


class Conv2d(nn.Conv2d):
    """Convolution that casts its input to its own precision."""

    def forward(self, x: Tensor) -> Tensor:
        """Filters (N, C, H, W)."""
        return super().forward(x.to(self.weight.dtype))


class LayerScale(nn.Module):
    """Learned gain per channel."""

    def __init__(self, dim: int, init: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((dim,), init))

    def forward(self, x: Tensor) -> Tensor:
        """Scales (..., C)."""
        return x * self.gamma


class Mlp(nn.Module):
    """Linear, GELU, linear."""

    def __init__(self, dim: int, hidden: int, out: int | None = None) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, out or dim)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (..., dim) to (..., out)."""
        x = x.to(self.fc1.weight.dtype)
        return self.fc2(functional.gelu(self.fc1(x)))


class Attention(nn.Module):
    """Multi-head self-attention, optionally with normalised and rotated queries and keys."""

    def __init__(self, dim: int, num_heads: int, qk_norm: bool) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.q_norm = LayerNorm(dim // num_heads) if qk_norm else nn.Identity()
        self.k_norm = LayerNorm(dim // num_heads) if qk_norm else nn.Identity()
        self.proj = nn.Linear(dim, dim)

    def project(self, x: Tensor, rope: Rope | None) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of tokens (N, L, C), each (N, heads, L, D)."""
        qkv = self.qkv(x.to(self.qkv.weight.dtype)).unflatten(-1, (3, self.num_heads, -1))
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        query, key = self.q_norm(query), self.k_norm(key)
        if rope is not None:
            query, key = apply_rope(query, rope), apply_rope(key, rope)
        return query.to(value.dtype), key.to(value.dtype), value

    def forward(
        self,
        x: Tensor,
        rope: Rope | None = None,
        bias: Tensor | None = None,
        rows: Tensor | slice | None = None,
    ) -> Tensor:
        """Mixes tokens (N, L, C); ``bias`` (N, L) is added to each key's logits.

        ``rows`` are the indices of the tokens wanted; the others are only attended to.
        """
        query, key, value = self.project(x, rope)
        if rows is not None:
            query = query[:, :, rows]
        if bias is None:
            out = attend(query, key, value)
        else:
            out = attend(query, key, value, bias.new_ones(1, 1, 1, 1), bias[:, None, :, None])
        return self.proj(out.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Pre-norm transformer block with LayerScale."""

    def __init__(
        self,
        dim: int,
        num_heads: int,
        *,
        mlp_ratio: float = 4.0,
        init_values: float = 0.01,
        qk_norm: bool = False,
        eps: float = 1e-5,
        mixer: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.norm1 = LayerNorm(dim, eps=eps)
        self.attn = mixer if mixer is not None else Attention(dim, num_heads, qk_norm)
        self.ls1 = LayerScale(dim, init_values)
        self.norm2 = LayerNorm(dim, eps=eps)
        self.mlp = Mlp(dim, round(dim * mlp_ratio))
        self.ls2 = LayerScale(dim, init_values)

    def forward(
        self,
        x: Tensor,
        rope: Rope | None = None,
        bias: Tensor | None = None,
        rows: Tensor | slice | None = None,
    ) -> Tensor:
        """Updates tokens: (N, L, C), or (N, T, P, C) where the mixer runs along time.

        ``rows`` says which of L (indices) or T (a slice) are wanted, None: all.
        """
        mixed = self.attn(self.norm1(x), rope, bias, rows)
        x = (x if rows is None else x[:, rows]) + self.ls1(mixed)
        return x + self.ls2(self.mlp(self.norm2(x)))
