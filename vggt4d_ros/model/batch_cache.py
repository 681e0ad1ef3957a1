# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Keeps what the network made of parts of the last window that are seen again in the next."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Generic, TypeVar, cast

import torch
from torch import Tensor

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class BatchCache(Generic[K, V]):
    """Tensors by key: what was made for the last window is not made again.

    Everything is made in batches of one size, so that what comes out for a key never depends on
    how many others were new: matrix products of another size may round differently. Only the keys
    of the newest window are kept, which bounds the memory.
    """

    def __init__(self) -> None:
        self._kept: dict[K, V] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, key: K) -> bool:
        return key in self._kept

    def clear(self) -> None:
        """Forgets everything."""
        self._kept.clear()

    def take(self, keys: Sequence[K], size: int, make: Callable[[list[K]], V]) -> dict[K, V]:
        """Values of all keys, from the last window or made now.

        Args:
            keys: of this window.
            size: of a batch.
            make: gives tensors of ``size`` entries, or a (named) tuple of such, for at most
                ``size`` keys; entries beyond the keys do not matter.
        """
        fresh = [key for key in dict.fromkeys(keys) if key not in self._kept]
        kept = {key: self._kept[key] for key in keys if key in self._kept}
        for start in range(0, len(fresh), size):
            part = fresh[start : start + size]
            made = make(part)
            each = len(_first(made)) // size
            for index, key in enumerate(part):
                kept[key] = pick(made, index * each, each)
        self._kept = kept
        return kept


def pick(value: V, start: int, count: int = 1) -> V:
    """Copies ``count`` entries of each tensor in nested tuples."""
    return _map(lambda x: x[start : start + count].clone(), value)


def join(values: Sequence[V]) -> V:
    """Strings the tensors of equal nested tuples together along their first axis."""
    first: Any = values[0]
    if first is None:
        return cast(V, None)
    if isinstance(first, Tensor):
        return cast(V, torch.cat(cast(list[Tensor], list(values))))
    return _like(first, [join(parts) for parts in zip(*cast(Any, values), strict=True)])


def blank(value: V) -> V:
    """Zeros of the same shapes."""
    return _map(torch.zeros_like, value)


def filled(value: Tensor, size: int) -> Tensor:
    """Adds zeros up to ``size`` entries."""
    return torch.cat([value, value.new_zeros(size - len(value), *value.shape[1:])])


def _map(function: Callable[[Tensor], Tensor], value: V) -> V:
    item: Any = value
    if item is None:
        return value
    if isinstance(item, Tensor):
        return cast(V, function(item))
    return _like(value, [_map(function, part) for part in item])


def _like(value: V, parts: list[Any]) -> V:
    kind: Any = type(value)
    return cast(V, kind(*parts) if hasattr(kind, "_fields") else kind(parts))


def _first(value: object) -> Tensor:
    while not isinstance(value, Tensor):
        value = cast(Any, value)[0]
    return value
