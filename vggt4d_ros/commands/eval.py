# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``vggt4d eval``: the node's own code over recordings and data sets, with numbers and pictures."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

from vggt4d_ros.cli import CommandError, UsageError
from vggt4d_ros.commands.eval_usage import check_options

if TYPE_CHECKING:
    from vggt4d_ros.evaluation.options import EvalOptions

SUITES = ("geometry", "compact", "samples")
_USAGE = """\
vggt4d eval BAG... --out FOLDER        a rosbag2 directory, .mcap, .db3 or ROS 1 .bag, or many
vggt4d eval DATASET PATH --out FOLDER  {datasets}
vggt4d eval --suite NAME [PATH]        {suites}
vggt4d eval compare RUN RUN...         run folders side by side"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    from vggt4d_ros.evaluation.dataset_names import DATASETS

    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _USAGE.format(datasets=", ".join(DATASETS), suites=", ".join(SUITES))
    parser.add_argument("what", nargs="*", metavar="WHAT", help="see below")
    parser.add_argument("--out", metavar="FOLDER", help="run folder to write")
    parser.add_argument("--params", metavar="FILE", help="the node's parameter file, as it is")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="one parameter of the node, e.g. window.length=2; wins over --params",
    )
    parser.add_argument(
        "--topic",
        action="append",
        default=[],
        metavar="CAM=TOPIC",
        help="image topic of a camera, once for each; default: all of the bag, by type",
    )
    parser.add_argument("--namespace", default="/", help="the node's, for relative topics")
    _truth_arguments(parser)
    parser.add_argument(
        "--real-time",
        type=float,
        metavar="LATENCY_MS",
        help="simulate the live node (newest window wins) with a network of this latency",
    )
    parser.add_argument("--sequence", metavar="NAME", help="of a data set; default: all in PATH")
    parser.add_argument("--pictures", type=int, default=6, metavar="N", help="windows to draw")
    parser.add_argument("--no-baselines", action="store_true", help="score the network alone")
    parser.add_argument("--no-progress", action="store_true", help="no progress bar")
    parser.add_argument("--record", metavar="MCAP", help="write the node's topics into a bag")
    parser.add_argument("--rerun", metavar="RRD", help="write a recording for the rerun viewer")
    parser.add_argument(
        "--outputs", action="store_true", help="the bag holds the node's outputs: score those"
    )
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="bags at a time")
    parser.add_argument("--ray", metavar="ADDRESS", help="spread bags over a Ray cluster")
    parser.add_argument("--suite", choices=SUITES, help="a fixed set of measurements")
    parser.add_argument("--json", metavar="FILE", help="with --suite or compare: also write this")
    parser.add_argument("--checkpoint", metavar="FILE", help="instead of the packaged network")
    parser.add_argument(
        "--bound",
        action="append",
        default=[],
        metavar="EXPR",
        help="with compare: fail where this does not hold, e.g. metrics.depth.median.abs_rel<=0.2",
    )


def _truth_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--truth", metavar="FILE", help="platform's trajectory, TUM or KITTI")
    parser.add_argument(
        "--truth-topic",
        default="",
        metavar="TOPIC",
        help="platform's poses (Odometry, PoseStamped), as truth; default: the best by type",
    )
    parser.add_argument(
        "--depth-topic",
        action="append",
        default=[],
        metavar="CAM=TOPIC",
        help="depth images of a camera, as truth; default: found by name and frame",
    )
    parser.add_argument(
        "--truth-tolerance",
        type=float,
        default=0.02,
        metavar="S",
        help="how far stamps of estimate and truth may lie apart (%(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Does what the first argument or --suite says."""
    from vggt4d_ros.evaluation.bag import BagError
    from vggt4d_ros.evaluation.options import EvaluationError
    from vggt4d_ros.model.errors import CheckpointError, EngineError
    from vggt4d_ros.options import ConfigError

    user_errors = (BagError, ConfigError, CheckpointError, EngineError)
    try:
        subject = _subject(arguments)
        check_options(arguments, _defaults(), subject)
        if subject == "compare":
            return _compare(arguments)
        if arguments.suite:
            return _run_suite(arguments)
        if arguments.jobs < 1:
            raise CommandError(f"--jobs must be 1 or more, got {arguments.jobs}")
        if not arguments.what:
            raise CommandError("name a bag or a data set and its folder (vggt4d eval --help)")
        if not arguments.out:
            raise CommandError("--out FOLDER is needed: numbers and pictures go there")
        return _evaluate(arguments)
    except (*user_errors, EvaluationError) as error:
        raise CommandError(str(error)) from error


def _subject(arguments: argparse.Namespace) -> str:
    """What is evaluated, as ``eval_usage`` calls it."""
    from vggt4d_ros.evaluation.dataset_names import DATASETS

    first = arguments.what[0] if arguments.what else ""
    if arguments.suite:
        return f"--suite {arguments.suite}"
    if first == "compare":
        return "compare"
    if first in DATASETS:
        return "a data set"
    return "recorded outputs" if arguments.outputs else "a bag"


def _defaults() -> dict[str, object]:
    parser = argparse.ArgumentParser()
    configure(parser)
    return vars(parser.parse_args([]))


def _run_suite(arguments: argparse.Namespace) -> int:
    path = _path(arguments.json)
    if len(arguments.what) > 1:
        raise UsageError(f"--suite takes one folder of samples, got {len(arguments.what)}")
    samples = Path(arguments.what[0]) if arguments.what else None
    if arguments.suite == "samples":
        from vggt4d_ros.evaluation import suite_samples

        if samples is None:
            raise CommandError("--suite samples needs the folder of the samples")
        suite_samples.run(path, samples, options_of(arguments), arguments.out)
    elif arguments.suite == "geometry":
        from vggt4d_ros.evaluation import suite_geometry

        suite_geometry.run(path, samples=samples)
    else:
        from vggt4d_ros.evaluation import suite_compact

        has_bar = not arguments.no_progress
        suite_compact.run(path, arguments.checkpoint or "", progress=has_bar, samples=samples)
    return 0


def _compare(arguments: argparse.Namespace) -> int:
    from vggt4d_ros.evaluation import compare

    folders = [Path(name) for name in arguments.what[1:]]
    if len(folders) < 2:
        raise UsageError("compare needs two run folders or more")
    return int(compare.run(folders, arguments.bound, json_path=_path(arguments.json)))


def _evaluate(arguments: argparse.Namespace) -> int:
    from vggt4d_ros.evaluation import console
    from vggt4d_ros.evaluation.complete_run import run_to_folder
    from vggt4d_ros.evaluation.dataset_names import DATASETS

    options = options_of(arguments)
    out = Path(arguments.out)
    if arguments.what[0] in DATASETS:
        if len(arguments.what) != 2:
            raise CommandError(f"{arguments.what[0]} needs one folder")
        return _evaluate_dataset(arguments, options, out)
    paths = [Path(name) for name in arguments.what]
    if len(paths) > 1 or arguments.jobs > 1 or arguments.ray:
        from vggt4d_ros.evaluation import fleet

        jobs, ray = arguments.jobs, arguments.ray
        return fleet.run(paths, options, out, jobs=jobs, ray=ray, outputs=arguments.outputs)
    hidden, outputs = arguments.no_progress, arguments.outputs
    with console.telling_empty_runs(), console.progress_bar("images", hidden=hidden) as progress:
        result = run_to_folder(paths[0], options, out, progress=progress, outputs=outputs)
    console.print_result(result, out)
    return 0


def _evaluate_dataset(arguments: argparse.Namespace, options: EvalOptions, out: Path) -> int:
    from vggt4d_ros.evaluation import console
    from vggt4d_ros.evaluation.complete_run import EmptyRun, recording_to_folder
    from vggt4d_ros.evaluation.datasets import open_recordings

    name, path = arguments.what
    recordings = open_recordings(name, Path(path), arguments.sequence)
    said_nothing = []
    for recording in recordings:
        folder = out if len(recordings) == 1 else out / recording.name.replace("/", "-")
        try:
            with console.progress_bar("images", hidden=arguments.no_progress) as progress:
                result = recording_to_folder(recording, options, folder, progress=progress)
        except EmptyRun as error:
            result = error.result
            said_nothing.append(str(error))
        console.print_result(result, folder)
    if said_nothing:
        raise CommandError("; ".join(said_nothing))
    return 0


def options_of(arguments: argparse.Namespace) -> EvalOptions:
    """The options that the arguments name.

    Raises:
        ConfigError: a parameter file or value that the node would refuse.
        CommandError: an argument that cannot be read.
    """
    from vggt4d_ros.evaluation.options import EvalOptions
    from vggt4d_ros.evaluation.parameter_file import Parameters, read_parameters

    parameters = Parameters()
    if arguments.params:
        parameters = read_parameters(Path(arguments.params), arguments.namespace)
    parameters = parameters.with_texts(arguments.set)
    if arguments.checkpoint:
        parameters = parameters.with_values({"model.checkpoint": arguments.checkpoint})
    for option in ("real_time", "truth_tolerance", "pictures"):
        _require_no_negative(option, getattr(arguments, option))
    return EvalOptions(
        config=parameters.config(),
        namespace=arguments.namespace,
        topics=_assignments(arguments.topic, "--topic"),
        depth_topics=_assignments(arguments.depth_topic, "--depth-topic"),
        truth_file=_path(arguments.truth),
        truth_topic=arguments.truth_topic,
        truth_tolerance_s=arguments.truth_tolerance,
        real_time_ms=arguments.real_time,
        baselines=not arguments.no_baselines,
        pictures=arguments.pictures,
        record=_path(arguments.record),
        rerun=_path(arguments.rerun),
        notes=parameters.notes,
    )


def _require_no_negative(option: str, value: float | None) -> None:
    if value is not None and not 0 <= value < math.inf:
        name = option.replace("_", "-")
        raise CommandError(f"--{name} must not be negative and must be finite, got {value:g}")


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None


def _assignments(texts: list[str], option: str) -> dict[str, str]:
    found = {}
    for text in texts:
        name, equals, topic = text.partition("=")
        if not (name and equals and topic):
            raise CommandError(f"{option} must be CAM=TOPIC, got {text!r}")
        if name in found:
            raise CommandError(f"{option} names camera {name} twice")
        found[name] = topic
    return found
