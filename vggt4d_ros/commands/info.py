# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``vggt4d info FILE``: says what a checkpoint is."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from vggt4d_ros.cli import CommandError

if TYPE_CHECKING:
    from vggt4d_ros.model.checkpoint import Checkpoint


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument(
        "checkpoint", nargs="?", default="", help="file or catalogue name; none: the packaged one"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Reads the file, checks every tensor's name and shape, and prints what it is."""
    from vggt4d_ros.model.catalogue import CATALOGUE, PACKAGED, sha256_of
    from vggt4d_ros.model.checkpoint import describe, read, resolve
    from vggt4d_ros.model.errors import CheckpointError

    try:
        if not arguments.checkpoint and not PACKAGED.is_file():
            raise CommandError("this package was built without weights; name a checkpoint")
        path = resolve(arguments.checkpoint) if arguments.checkpoint else PACKAGED
        checkpoint = read(path)
        heads = describe(checkpoint)
    except CheckpointError as error:
        raise CommandError(str(error)) from error
    digest = sha256_of(path)
    known = [entry.name for entry in CATALOGUE.values() if entry.sha256 == digest]
    about = {
        "file": str(path),
        "bytes": path.stat().st_size,
        "sha256": digest,
        "catalogue": known[0] if known else None,
        "kind": checkpoint.kind,
        "tensors": len(checkpoint.tensors),
        "parameters": sum(tensor.numel() for tensor in checkpoint.tensors.values()),
        "dtypes": dict(
            Counter(str(t.dtype).partition(".")[2] for t in checkpoint.tensors.values())
        ),
        "outputs": heads,
        "config": checkpoint.config.to_dict(),
        "extra": dict(checkpoint.extra),
    }
    print(json.dumps(about, indent=2) if arguments.json else "\n".join(_lines(about, checkpoint)))
    return 0


def _lines(about: dict[str, object], checkpoint: Checkpoint) -> Iterator[str]:
    config = checkpoint.config
    dtypes = ", ".join(f"{n} {kind}" for kind, n in _items(about["dtypes"]))
    outputs = about["outputs"]
    assert isinstance(outputs, list)
    yield f"file        {about['file']}"
    yield f"size        {about['bytes']} bytes"
    yield f"sha256      {about['sha256']}"
    yield f"catalogue   {about['catalogue'] or 'not in it'}"
    yield f"kind        {about['kind']}"
    yield f"tensors     {about['tensors']} ({dtypes})"
    yield f"parameters  {about['parameters']}"
    yield f"network     {config.name}: {config.embed_dim} channels, {config.depth} layers"
    yield f"encoder     {config.encoder.kind}, patch {config.patch_size}, image {config.img_size}"
    yield f"cross-view  scope {config.cross_view_scope}"
    yield f"cross-time  {config.temporal_mixer}, window {config.window_size}, {config.arrangement}"
    yield f"outputs     {', '.join(outputs)}"
    for key, value in _items(about["extra"]):
        yield f"{key:<11} {value}"


def _items(values: object) -> list[tuple[str, object]]:
    assert isinstance(values, dict)
    return list(values.items())
