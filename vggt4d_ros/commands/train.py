# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``vggt4d train``: trains a network; the same command takes a run up again."""

from __future__ import annotations

import argparse
import json
import logging
import signal
from pathlib import Path

from vggt4d_ros.cli import CommandError


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument("--config", required=True, metavar="YAML", help="e.g. train_compact.yaml")
    parser.add_argument(
        "--out", required=True, metavar="FOLDER", help="state, log and model go here; resumes"
    )
    parser.add_argument("--until", type=int, metavar="STEP", help="stop there (default: the end)")
    parser.add_argument("--no-progress", action="store_true", help="no progress bar")
    parser.add_argument(
        "--evaluate",
        type=int,
        metavar="N",
        help="train no more; print the metrics of the saved model on N held-out windows",
    )
    parser.add_argument(
        "--samples",
        metavar="FOLDER",
        help="with --evaluate or --ablation: also the metrics on real recordings in this folder",
    )
    parser.add_argument(
        "--export",
        metavar="FILE",
        help="with --evaluate: also write the model, its metrics inside, to this safetensors file",
    )
    parser.add_argument(
        "--ablation",
        metavar="JSON",
        help="train all ways of mixing space and time, each with three seeds; report there",
    )
    parser.add_argument("--seed", type=int, help="instead of the configuration's")


def run(arguments: argparse.Namespace) -> int:
    """Trains, or evaluates what was trained."""
    from dataclasses import replace

    from vggt4d_ros.data.readers.recording import DatasetError
    from vggt4d_ros.data.readers.samples import open_samples
    from vggt4d_ros.train.ablation import run_ablation, table
    from vggt4d_ros.train.config import TrainConfigError, load_config
    from vggt4d_ros.train.loop import NonFiniteLoss, Trainer
    from vggt4d_ros.train.real import evaluate_recordings

    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    try:
        config = load_config(arguments.config)
        if arguments.seed is not None:
            config = replace(config, seed=arguments.seed)
        if arguments.evaluate is not None:
            config = replace(config, evaluate_windows=arguments.evaluate)
        if arguments.export is not None and arguments.evaluate is None:
            raise CommandError("--export needs --evaluate N: a model ships with its metrics")
        if arguments.ablation is not None:
            recordings = None if arguments.samples is None else open_samples(arguments.samples)
            table_file = Path(arguments.ablation)
            found = run_ablation(config, Path(arguments.out), table_file, recordings=recordings)
            print(table(found["summary"]))
            return 0
        trainer = Trainer(config, Path(arguments.out))
        if arguments.evaluate is not None:
            numbers = {**trainer.evaluate(), **trainer.baselines()}
            report: dict[str, object] = {"held_out": numbers}
            if arguments.samples is not None:
                recordings = open_samples(arguments.samples)
                model = trainer.averaged()
                size = max(config.evaluate_size)
                report["real"] = evaluate_recordings(model, recordings, size)
            print(json.dumps(report, indent=2))
            if arguments.export is not None:
                trainer.export(Path(arguments.export), numbers)
        else:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda *_: setattr(trainer, "stopping", True))
            trainer.run(arguments.until, progress=not arguments.no_progress)
    except (TrainConfigError, NonFiniteLoss, DatasetError) as error:
        raise CommandError(str(error)) from error
    return 0
