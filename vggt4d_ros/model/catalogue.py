# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints that the package knows by name."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PACKAGED = Path(__file__).resolve().parent.parent / "weights" / "compact.safetensors"


@dataclass(frozen=True)
class Entry:
    """One checkpoint to download."""

    name: str
    repository: str  # on the Hugging Face hub
    file: str
    size: int  # bytes
    sha256: str
    parameters: int
    memory: str  # what it takes to run
    licence: str

    @property
    def url(self) -> str:
        """Where the file is."""
        return f"https://huggingface.co/{self.repository}/resolve/main/{self.file}"

    @property
    def path(self) -> Path:
        """Where ``vggt4d download`` puts the file."""
        return checkpoint_folder() / self.file


CATALOGUE = {
    entry.name: entry
    for entry in (
        Entry(
            name="release",
            repository="Aurora03/4D-VGGT-models",
            file="4d-vggt-geometry-v1.pt",
            size=7_215_706_998,
            sha256="b6be863f30b74f7a7bebd2be79e349f38e0d6c3540a469205f287b3997a037c8",
            parameters=1_803_726_236,
            memory="4.2 GB in bf16 and 7.2 GB in fp32 for the weights, and more per window",
            licence=(
                "The 4D-VGGT authors publish these weights under MIT. They derive from VGGT-1B, "
                "whose weights are CC-BY-NC-4.0 (https://huggingface.co/facebook/VGGT-1B): unless "
                "you have cleared it with their owners, take it that commercial use is not "
                "allowed. This package neither contains nor relicenses them."
            ),
        ),
    )
}


def checkpoint_folder() -> Path:
    """Where downloaded checkpoints live: $VGGT4D_HOME, else the user's cache folder."""
    home = os.environ.get("VGGT4D_HOME")
    if home:
        return Path(home).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache).expanduser() / "vggt4d"


def sha256_of(path: Path, progress: Callable[[int], object] | None = None) -> str:
    """Hash of a file as hex digits; ``progress`` is told how many bytes were read since."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
            if progress is not None:
                progress(len(block))
    return digest.hexdigest()
