# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``vggt4d bench model``: how long the network takes for a window, and where the time goes.

Windows slide by one step, as in the node: V new frames a window, the others known. ``--cold``
shows every frame for the first time instead.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vggt4d_ros.benchmark_machine import processor
from vggt4d_ros.benchmark_times import Times, percentile
from vggt4d_ros.benchmark_windows import sliding_windows
from vggt4d_ros.cli import CommandError
from vggt4d_ros.commands.pairs import pair
from vggt4d_ros.datatypes import Prediction

if TYPE_CHECKING:
    import torch

    from vggt4d_ros.model.predictor import Predictor
    from vggt4d_ros.model.speed import Speed
    from vggt4d_ros.model.vggt4d import VGGT4D

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
    parser.add_argument("--head-precision", default="fp32", choices=("fp32", "tf32", "bf16"))
    parser.add_argument("--weights", default="precision", choices=("precision", "int8"))
    parser.add_argument("--cross-view", default="checkpoint", choices=("window", "step"))
    parser.add_argument("--frame-wise-layers", type=int, default=0)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--threads", type=int, default=0, help="of torch on a CPU")
    parser.add_argument("--windows", type=int, default=30, help="timed windows")
    parser.add_argument("--warm-up", type=int, default=5, help="windows before")
    parser.add_argument("--points", action="store_true", help="point maps too")
    parser.add_argument("--cold", action="store_true", help="no frame seen before")
    parser.add_argument(
        "--reference",
        type=int,
        default=5,
        metavar="N",
        help="windows that the naive reference runs too (0: none): each whole, all heads in "
        "float32, all frames decoded",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there")


def run(arguments: argparse.Namespace) -> int:
    """Prints and writes milliseconds p50 and p95, memory, arithmetic and the share of stages."""
    pair(arguments.grid, "--grid")
    pair(arguments.size, "--size")
    if arguments.windows < 1 or arguments.warm_up < 0 or arguments.reference < 0:
        raise CommandError(
            "--windows must be at least 1, --warm-up and --reference must not be negative"
        )
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as load_engine does
    from vggt4d_ros.model.errors import CheckpointError, EngineError, OutOfMemory

    try:
        report = _report(arguments)
    except (CheckpointError, EngineError, OutOfMemory) as error:
        raise CommandError(str(error)) from error
    print("\n".join(_lines(report)))
    if arguments.json is not None:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0


def _report(arguments: argparse.Namespace) -> dict[str, object]:
    """Runs all windows; the reference runs on some of the same ones, in between."""
    import torch

    from vggt4d_ros.benchmark_arithmetic import count_flops, peak_flops
    from vggt4d_ros.benchmark_reference import NaiveReference, largest_differences
    from vggt4d_ros.model.memory import peak_memory
    from vggt4d_ros.model.precision import DTYPES

    predictor = _predictor(arguments)
    naive, peak_bytes = None, 0
    ours, theirs = Times(), Times()
    differences: dict[str, float] = {}
    grid, size = pair(arguments.grid, "--grid"), pair(arguments.size, "--size")
    source = sliding_windows(*grid, size, cold=arguments.cold)
    compared = set(np.linspace(0, arguments.windows - 1, arguments.reference).round().astype(int))
    points = arguments.points
    for index in range(-arguments.warm_up, arguments.windows):
        window = next(source)
        run = functools.partial(predictor.predict, window, points=points)
        found = ours.measure(run, keep=index >= 0)
        if naive is None:
            peak_bytes = peak_memory(predictor.device)  # the reference needs some of its own
        if arguments.reference and (index in compared or index == -1):
            if naive is None:
                model, _ = _model(arguments, "fp32", predictor.device)
                naive = NaiveReference(model, predictor.precision, predictor.image_size)
            run = functools.partial(naive.predict, window)
            wanted = theirs.measure(run, keep=index >= 0)
            for name, error in largest_differences(found, wanted).items():
                differences[name] = max(error, differences.get(name, 0.0))

    def metered(meter: Callable[[], float]) -> Prediction:
        predictor.meter = meter
        return predictor.predict(next(source), points=points)

    flops = count_flops(metered)
    report = _about(arguments, predictor) | ours.report()
    report["windows_per_s"] = 1e3 / percentile(ours.wall, 50)
    network = np.sum([ours.stages[name] for name in NETWORK], axis=0)
    report["overhead_share"] = float(1 - np.median(network / np.array(ours.wall)))
    report["peak_memory_bytes"] = peak_bytes
    report["stage_flops"] = flops
    peak = peak_flops(predictor.device, DTYPES[predictor.precision])
    report["peak_flops_per_s"] = peak
    trunk = [name for name in NETWORK if name != "heads"]
    for name, stages in (("network", NETWORK), ("trunk", trunk)):
        seconds = np.median(np.sum([ours.stages[s] for s in stages], axis=0)) / 1e3
        report[f"{name}_peak_share"] = sum(flops[s] for s in stages) / float(seconds) / peak
    if naive is not None:
        last = next(source)
        report["reference"] = theirs.report() | {
            "stage_flops": count_flops(lambda meter: naive.predict(last, meter)),
            "largest_differences": differences,
            "times_faster": percentile(theirs.wall, 50) / percentile(ours.wall, 50),
            "times_less_cpu": percentile(theirs.busy, 50) / percentile(ours.busy, 50),
        }
    report["torch"] = torch.__version__
    return report


def _model(
    arguments: argparse.Namespace, precision: str, device: torch.device
) -> tuple[VGGT4D, str]:
    """The network on its device, and where its weights came from."""
    from vggt4d_ros.model import checkpoint
    from vggt4d_ros.model.config import CONFIGS

    if arguments.model in CONFIGS:
        with device:
            model = checkpoint.untrained(CONFIGS[arguments.model]())
        if model.time_branch:  # an untrained release has closed gates, which would be skipped
            model.spatiotemporal_dense_fusion.alpha.data.fill_(1.0)
        return model, "random weights"
    path = checkpoint.resolve(arguments.model)
    return checkpoint.build(checkpoint.read(path), precision, device), str(path)


def _predictor(arguments: argparse.Namespace) -> Predictor:
    import torch

    from vggt4d_ros.model.precision import choose_device, choose_precision
    from vggt4d_ros.model.predictor import Predictor

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    device = choose_device(arguments.device)
    precision = choose_precision(arguments.precision, device)
    model, source = _model(arguments, precision, device)
    return Predictor(
        model,
        device=str(device),
        precision=precision,
        image_size=arguments.image_size,
        speed=_speed(arguments),
        checkpoint=source,
    )


def _speed(arguments: argparse.Namespace) -> Speed:
    from vggt4d_ros.model.speed import Speed

    return Speed(
        arguments.head_precision,
        arguments.cross_view,
        arguments.frame_wise_layers,
        arguments.compile,
        arguments.weights,
    )


def _about(arguments: argparse.Namespace, predictor: Predictor) -> dict[str, object]:
    """What was measured, and on what."""
    import torch

    from vggt4d_ros.model.memory import weight_bytes

    about = predictor.description
    on_gpu = predictor.device.type == "cuda"
    return {
        "model": about.name,
        "weights": about.checkpoint,
        "parameters": about.parameters,
        "weight_bytes": weight_bytes(predictor.model),
        "grid": list(pair(arguments.grid, "--grid")),
        "camera_size": list(pair(arguments.size, "--size")),
        "network_longer_side": predictor.image_size,
        "reuse": not arguments.cold,
        "points": arguments.points,
        "device": torch.cuda.get_device_name(predictor.device) if on_gpu else processor(),
        "precision": about.precision,
        "speed": asdict(_speed(arguments)),
        "threads": None if on_gpu else torch.get_num_threads(),
    }


def _lines(report: dict[str, Any]) -> Iterator[str]:
    grid, size = report["grid"], report["camera_size"]
    threads = "" if report["threads"] is None else f", {report['threads']} threads"
    yield (
        f"{report['model']} ({report['weights']}), {grid[0]} steps x {grid[1]} cameras of "
        f"{size[1]}x{size[0]}, network image {report['network_longer_side']}"
    )
    yield f"{report['device']}{threads}, {report['precision']}, torch {report['torch']}" + "".join(
        f", {name} {value}"
        for name, value in report["speed"].items()
        if value not in ("fp32", "checkpoint", "precision", 0)
    )
    yield (
        f"{report['ms_p50']:.1f} ms p50, {report['ms_p95']:.1f} ms p95 over {report['windows']} "
        f"windows, {report['windows_per_s']:.2f} windows/s, CPU time {report['cpu_ms_p50']:.1f} ms"
    )
    reference = report.get("reference")
    yield f"  {'stage':<12} {'ms':>9} {'GFLOP':>9}" + (
        f"   naive: {'ms':>9} {'GFLOP':>9}" if reference else ""
    )
    for name, value in report["stage_ms_p50"].items():
        line = f"  {name:<12} {value:9.2f} {report['stage_flops'].get(name, 0) / 1e9:9.2f}"
        if reference:
            flops = reference["stage_flops"].get(name, 0) / 1e9
            line += f"          {reference['stage_ms_p50'][name]:9.2f} {flops:9.2f}"
        yield line
    yield f"outside the network {report['overhead_share']:.1%}"
    yield (
        f"matrix products reach {report['peak_flops_per_s'] / 1e9:.0f} GFLOP/s here; the network "
        f"{report['network_peak_share']:.0%} of it, without heads {report['trunk_peak_share']:.0%}"
    )
    yield (
        f"peak memory {report['peak_memory_bytes'] / 2**20:.0f} MiB, "
        f"weights {report['weight_bytes'] / 2**20:.0f} MiB"
    )
    if reference:
        yield (
            f"naive reference {reference['ms_p50']:.1f} ms p50 over {reference['windows']} of the "
            f"same windows: {reference['times_faster']:.2f} times as long, "
            f"{reference['times_less_cpu']:.2f} times the CPU time"
        )
        errors = reference["largest_differences"].items()
        yield "largest differences: " + ", ".join(f"{name} {value:.1e}" for name, value in errors)
