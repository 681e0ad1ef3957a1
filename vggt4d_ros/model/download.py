# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Fetches checkpoints of the catalogue and checks that they are what they should be."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tqdm import tqdm

from vggt4d_ros.model.catalogue import Entry, sha256_of
from vggt4d_ros.model.errors import CheckpointError


def fetch(entry: Entry, source: Path | None = None, *, progress: bool = True) -> Path:
    """Puts a checkpoint in the checkpoint folder and gives its path.

    A file that is there and right stays. A download that was interrupted goes on where it
    stopped. A file with another hash never gets the checkpoint's name.

    Args:
        entry: what to fetch.
        source: a copy of the file that is there already; None: download.
        progress: shows a bar.

    Raises:
        CheckpointError: no room, no network, or another file than the catalogue's.
    """
    target = entry.path
    if target.is_file() and not mismatch(target, entry, progress=progress):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    _check_room(entry, target.parent)
    part = target.with_name(f"{target.name}.part")
    found = _copy(source, part) if source is not None else _download(entry, part.parent / "hub")
    problem = mismatch(found, entry, progress=progress)
    if problem:
        found.unlink()
        raise CheckpointError(f"{source or entry.url}: {problem}; the file was not kept")
    os.replace(found, target)
    return target


def mismatch(path: Path, entry: Entry, *, progress: bool = True) -> str:
    """How a file differs from the catalogue's, empty if it does not."""
    size = path.stat().st_size
    if size != entry.size:
        return f"has {size} bytes, the {entry.name} checkpoint has {entry.size}"
    with tqdm(
        total=size, unit="B", unit_scale=True, desc="sha256", disable=not progress, leave=False
    ) as bar:
        digest = sha256_of(path, bar.update)
    if digest != entry.sha256:
        return f"has sha256 {digest}, the {entry.name} checkpoint has {entry.sha256}"
    return ""


def _check_room(entry: Entry, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < entry.size:
        raise CheckpointError(
            f"{folder} has {free / 1e9:.1f} GB free, the {entry.name} checkpoint needs "
            f"{entry.size / 1e9:.1f} GB"
        )


def _copy(source: Path, part: Path) -> Path:
    if not source.is_file():
        raise CheckpointError(f"{source}: no such file")
    try:
        shutil.copyfile(source, part)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise CheckpointError(f"{source}: cannot be copied to {part.parent} ({error})") from error
    return part


def _download(entry: Entry, folder: Path) -> Path:
    """Downloads with the hub's own client: bar, retries, resumption."""
    try:
        from huggingface_hub import hf_hub_download
    except ModuleNotFoundError as error:
        raise CheckpointError(
            "downloads need the Python package huggingface_hub (pip install huggingface_hub); "
            f"or fetch {entry.url} yourself and give it with --from"
        ) from error
    try:
        return Path(hf_hub_download(entry.repository, entry.file, local_dir=folder))
    except (OSError, ValueError) as error:  # its network errors are OSErrors
        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise CheckpointError(f"{entry.url}: {reason}; run it again to go on") from error
