# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``vggt4d bench model``: how long the network takes for a window, and where the time goes.

Windows slide by one step, as in the node: V new frames a window, the others known. ``--cold``
shows every frame for the first time instead.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vggt4d_ros.cli import CommandError
from vggt4d_ros.commands.pairs import pair
from vggt4d_ros.datatypes import Frame, FrameSet, LazyImage, Window

NETWORK = ("encoder", "cross_view", "cross_time", "heads")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument(
        "--model",
        default="compact",
        help="compact, release, ... (random weights: time does not depend on them) or a file",
    )
    parser.add_argument("--grid", default="4x4", metavar="TxV", help="time steps x cameras")
    parser.add_argument("--size", default="480x640", metavar="HxW", help="of the camera images")
    parser.add_argument("--image-size", type=int, default=0, help="of the network's image")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--threads", type=int, default=0, help="of torch on a CPU")
    parser.add_argument("--windows", type=int, default=30, help="timed windows")
    parser.add_argument("--warm-up", type=int, default=5, help="windows before")
    parser.add_argument("--points", action="store_true", help="point maps too")
    parser.add_argument("--cold", action="store_true", help="no frame seen before")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there")


def run(arguments: argparse.Namespace) -> int:
    """Prints and writes milliseconds p50 and p95, memory and the share of each stage."""
    steps, views = pair(arguments.grid, "--grid")
    size = pair(arguments.size, "--size")
    if arguments.windows < 1 or arguments.warm_up < 0:
        raise CommandError("--windows must be at least 1 and --warm-up at least 0")
    predictor = _predictor(arguments)
    total: list[float] = []
    busy: list[float] = []
    stages: dict[str, list[float]] = {}
    source = _windows(steps, views, size, cold=arguments.cold)
    for index in range(arguments.warm_up + arguments.windows):
        window = next(source)
        started, used = time.perf_counter(), time.process_time()
        prediction = predictor.predict(window, points=arguments.points)
        elapsed = (time.perf_counter() - started) * 1e3
        if index >= arguments.warm_up:
            total.append(elapsed)
            busy.append((time.process_time() - used) * 1e3)
            for name, value in prediction.stage_ms.items():
                stages.setdefault(name, []).append(value)
    report = _report(arguments, predictor, (steps, views), size, total, busy, stages)
    print("\n".join(_lines(report)))
    if arguments.json is not None:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0


def _predictor(arguments: argparse.Namespace):  # type: ignore[no-untyped-def]  # imports torch
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as load_engine does
    import torch

    from vggt4d_ros.model import checkpoint
    from vggt4d_ros.model.config import CONFIGS
    from vggt4d_ros.model.errors import CheckpointError, EngineError, OutOfMemory
    from vggt4d_ros.model.precision import choose_device, choose_precision
    from vggt4d_ros.model.predictor import Predictor

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    try:
        device = choose_device(arguments.device)
        precision = choose_precision(arguments.precision, device)
        if arguments.model in CONFIGS:
            with device:
                model = checkpoint.untrained(CONFIGS[arguments.model]())
            if model.time_branch:  # an untrained release has closed gates, which would be skipped
                model.spatiotemporal_dense_fusion.alpha.data.fill_(1.0)
            source = "random weights"
        else:
            path = checkpoint.resolve(arguments.model)
            model = checkpoint.build(checkpoint.read(path), precision, device)
            source = str(path)
        return Predictor(
            model,
            device=str(device),
            precision=precision,
            image_size=arguments.image_size,
            checkpoint=source,
        )
    except (CheckpointError, EngineError, OutOfMemory) as error:
        raise CommandError(str(error)) from error


def _windows(steps: int, views: int, size: tuple[int, int], *, cold: bool) -> Iterator[Window]:
    """Windows of random images, sliding by one step, or all new each time."""
    rng = np.random.default_rng(0)
    stamp = 0

    def frame_set() -> FrameSet:
        nonlocal stamp
        stamp += 100_000_000
        frames = (
            Frame(view, stamp, LazyImage.from_array(rng.integers(0, 256, (*size, 3), np.uint8)))
            for view in range(views)
        )
        return FrameSet(tuple(frames))

    sets = [frame_set() for _ in range(steps)]
    index = 0
    while True:
        yield Window(tuple(sets), index)
        index += 1
        sets = [frame_set() for _ in range(steps)] if cold else [*sets[1:], frame_set()]


def _report(  # type: ignore[no-untyped-def]
    arguments: argparse.Namespace,
    predictor,
    grid: tuple[int, int],
    size: tuple[int, int],
    total: list[float],
    busy: list[float],
    stages: dict[str, list[float]],
) -> dict[str, object]:
    import torch

    from vggt4d_ros.model.memory import peak_memory, weight_bytes

    about = predictor.description
    on_gpu = predictor.device.type == "cuda"
    network = np.sum([stages[name] for name in NETWORK], axis=0)
    return {
        "model": about.name,
        "weights": about.checkpoint,
        "parameters": about.parameters,
        "weight_bytes": weight_bytes(predictor.model),
        "grid": list(grid),
        "camera_size": list(size),
        "network_longer_side": predictor.image_size,
        "reuse": not arguments.cold,
        "points": arguments.points,
        "device": torch.cuda.get_device_name(predictor.device) if on_gpu else _processor(),
        "precision": about.precision,
        "threads": None if on_gpu else torch.get_num_threads(),
        "torch": torch.__version__,
        "windows": len(total),
        "ms_p50": _percentile(total, 50),
        "ms_p95": _percentile(total, 95),
        # of all threads: what a loaded machine cannot stretch
        "cpu_ms_p50": _percentile(busy, 50),
        "windows_per_s": 1e3 / _percentile(total, 50),
        "stage_ms_p50": {name: _percentile(values, 50) for name, values in stages.items()},
        "overhead_share": float(1 - np.median(network / np.array(total))),
        "peak_memory_bytes": peak_memory(predictor.device),
    }


def _percentile(values: list[float], q: float) -> float:
    return float(np.percentile(values, q))


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _lines(report: dict[str, object]) -> Iterator[str]:
    grid, size, stages = report["grid"], report["camera_size"], report["stage_ms_p50"]
    assert isinstance(grid, list)
    assert isinstance(size, list)
    assert isinstance(stages, dict)
    threads = "" if report["threads"] is None else f", {report['threads']} threads"
    yield (
        f"{report['model']} ({report['weights']}), {grid[0]} steps x {grid[1]} cameras of "
        f"{size[1]}x{size[0]}, network image {report['network_longer_side']}"
    )
    yield f"{report['device']}{threads}, {report['precision']}, torch {report['torch']}"
    yield (
        f"{report['ms_p50']:.1f} ms p50, {report['ms_p95']:.1f} ms p95 over {report['windows']} "
        f"windows, {report['windows_per_s']:.2f} windows/s, CPU time {report['cpu_ms_p50']:.1f} ms"
    )
    for name, value in stages.items():
        yield f"  {name:<12} {value:9.2f} ms"
    yield f"outside the network {report['overhead_share']:.1%}"
    peak, weights = report["peak_memory_bytes"], report["weight_bytes"]
    assert isinstance(peak, int)
    assert isinstance(weights, int)
    yield f"peak memory {peak / 2**20:.0f} MiB, weights {weights / 2**20:.0f} MiB"
