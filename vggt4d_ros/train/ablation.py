# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Does it pay to handle space and time apart? The same training for five ways of mixing them.

All variants see the same windows in the same order and have the same number of parameters within
2 %; what the network without a time branch saves goes into wider layers.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vggt4d_ros.data.readers.recording import Recording
from vggt4d_ros.model.vggt4d import VGGT4D
from vggt4d_ros.train.config import TrainConfig
from vggt4d_ros.train.loop import Trainer, model_config
from vggt4d_ros.train.metrics import evaluate
from vggt4d_ros.train.real import evaluate_recordings
from vggt4d_ros.train.sampler import held_out

logger = logging.getLogger(__name__)
SHOWN = ("abs_rel", "delta125", "epe", "rotation_deg", "translation_deg", "mask_iou")


@dataclass(frozen=True)
class Variant:
    """One way of mixing space and time."""

    summary: str
    arrangement: str
    temporal_mixer: str = "attention"
    mlp_ratio: float = 0.0  # 0: the model's own


VARIANTS = {
    "parallel": Variant("parallel branches, windowed attention along time", "parallel"),
    "parallel_conv": Variant("parallel branches, convolution along time", "parallel", "conv"),
    "serial": Variant("time after space", "serial"),
    "unified": Variant("one attention over all tokens of space and time", "unified"),
    "spatial": Variant("no time branch, wider layers", "spatial", "attention", 7.0),
}


def variant_config(config: TrainConfig, variant: Variant, seed: int) -> TrainConfig:
    """The training run of one variant and seed."""
    return replace(
        config,
        arrangement=variant.arrangement,
        temporal_mixer=variant.temporal_mixer,
        mlp_ratio=variant.mlp_ratio,
        seed=seed,
    )


def count_parameters(config: TrainConfig) -> int:
    """Number of weights of the network that a run trains."""
    with torch.device("meta"):
        return sum(p.numel() for p in VGGT4D(model_config(config)).parameters())


def run_ablation(
    config: TrainConfig,
    folder: Path,
    report: Path,
    seeds: Sequence[int] = (0, 1, 2),
    variants: Sequence[str] = tuple(VARIANTS),
    grids: Sequence[tuple[int, int]] = (),
    recordings: Mapping[str, Recording] | None = None,
) -> dict[str, Any]:
    """Trains and evaluates all variants; what is in ``folder`` already is taken up.

    Args:
        config: the run that all variants make.
        folder: a folder for each run goes here.
        report: JSON file, rewritten after every run.
        seeds: of the windows and the first weights.
        variants: names among VARIANTS.
        grids: further (T, V) to evaluate at.
        recordings: real ones to evaluate on.
    """
    runs: list[dict[str, Any]] = []
    result: dict[str, Any] = {"config": config.to_dict(), "runs": runs}
    for seed in seeds:  # outside: whatever is cut short, all variants have had the same seeds
        for name in variants:
            own = variant_config(config, VARIANTS[name], seed)
            trainer = Trainer(own, folder / f"{name}_{seed}")
            trainer.run(progress=False)
            model = trainer.averaged()
            run: dict[str, Any] = {
                "variant": name,
                "seed": seed,
                "parameters": count_parameters(own),
                "steps": trainer.state.step,
                "hours": round(trainer.state.seconds / 3600, 3),
                "metrics": trainer.evaluate(),
                "grids": {
                    f"{t}x{v}": evaluate(
                        model, held_out(own, own.evaluate_windows, (t, v), own.evaluate_size, 2)
                    )
                    for t, v in grids
                },
            }
            if recordings:
                size = max(own.evaluate_size)
                run["real"] = evaluate_recordings(model, recordings, size)
            runs.append(run)
            result["summary"] = summarise(runs)
            report.parent.mkdir(parents=True, exist_ok=True)
            report.write_text(json.dumps(result, indent=1) + "\n")
            logger.info("%s seed %d: %s", name, seed, run["metrics"])
    return result


def summarise(runs: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, list[float]]]:
    """Mean and spread (sample standard deviation over seeds) of each metric and variant."""
    summary: dict[str, dict[str, list[float]]] = {}
    for name in dict.fromkeys(run["variant"] for run in runs):
        rows = [run["metrics"] for run in runs if run["variant"] == name]
        summary[name] = {}
        for key in rows[0]:
            values = np.array([row[key] for row in rows if key in row])
            spread = float(values.std(ddof=1)) if len(values) > 1 else 0.0
            summary[name][key] = [float(values.mean()), spread]
    return summary


def table(summary: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    """The summary as a Markdown table."""
    lines = ["| variant | " + " | ".join(SHOWN) + " |", "|---" * (len(SHOWN) + 1) + "|"]
    for name, metrics in summary.items():
        cells = [
            f"{metrics[key][0]:.3f} ± {metrics[key][1]:.3f}" if key in metrics else "-"
            for key in SHOWN
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
