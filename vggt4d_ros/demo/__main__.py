# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``python -m vggt4d_ros.demo``: a real recording through the whole ROS graph, and its report."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import yaml

from vggt4d_ros.config import Config, config_from_flat
from vggt4d_ros.demo.launching import Run, run, tail
from vggt4d_ros.demo.observed import Observed
from vggt4d_ros.demo.plan import Plan, choose
from vggt4d_ros.demo.probe import examine, image_topics, measure_window_ms
from vggt4d_ros.demo.report import check, commit, machine, summarize, table
from vggt4d_ros.evaluation.bag import BagError, open_bag
from vggt4d_ros.model.errors import CheckpointError, EngineError
from vggt4d_ros.options import ConfigError

DEFAULT_SECONDS = 20.0
FOREIGN_SECTIONS = ("qos_overrides", "diagnostic_updater")  # parameters of libraries
SOURCE = Path(__file__).resolve().parents[2]


class DemoError(Exception):
    """The demo cannot run; one line."""


def find(*parts: str) -> Path:
    """Gives a file of the package, from the checkout or the installed share folder.

    Raises:
        DemoError: neither has it.
    """
    places = [SOURCE]
    try:
        from ament_index_python.packages import PackageNotFoundError, get_package_share_directory

        places.append(Path(get_package_share_directory("vggt4d_ros")))
    except ImportError:
        pass  # said by require_ros
    except PackageNotFoundError:
        pass
    for place in places:
        path = place.joinpath(*parts)
        if path.exists():
            return path
    raise DemoError(f"{'/'.join(parts)} is missing from {' and '.join(map(str, places))}")


def require_ros() -> None:
    """Checks that ROS and the built package are there.

    Raises:
        DemoError: says what is not.
    """
    try:
        import launch_ros  # noqa: F401
        import rclpy  # noqa: F401
    except ImportError as error:
        raise DemoError(f"no ROS 2 here ({error}): `make demo` sets one up") from error
    try:
        import vggt4d_ros.msg  # noqa: F401
    except ImportError as error:
        raise DemoError(
            "the package is not built: `make demo` builds it, or `colcon build` and source "
            "install/setup.bash"
        ) from error


def read_config(path: Path) -> Config:
    """Gives the node's configuration from a ROS parameter file.

    Raises:
        ConfigError: an unknown or wrong parameter.
    """
    if not path.is_file():
        raise ConfigError(f"{path}: no such file")
    try:
        tree = yaml.safe_load(path.read_text())
        (node,) = tree.values()
        flat = {
            f"{section}.{key}": value
            for section, part in node["ros__parameters"].items()
            if section not in FOREIGN_SECTIONS
            for key, value in part.items()
        }
    except (AttributeError, KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: not of the form of config/demo.yaml") from error
    return config_from_flat(flat)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the demo; gives 0 when every check holds."""
    parser = argparse.ArgumentParser(prog="python -m vggt4d_ros.demo", description=__doc__)
    parser.add_argument("--bag", type=Path, help="recording (default: demo/walk_4cam)")
    parser.add_argument("--params-file", type=Path, help="parameters (default: config/demo.yaml)")
    parser.add_argument("--out", type=Path, default=Path("out/demo"), help="folder for the report")
    parser.add_argument(
        "--seconds", type=float, default=DEFAULT_SECONDS, help="about how long to replay"
    )
    options = parser.parse_args(argv)
    try:
        if not options.seconds > 0:
            raise DemoError(f"--seconds must be above 0, got {options.seconds:g}")
        return demonstrate(options)
    except (DemoError, BagError, ConfigError, CheckpointError, EngineError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def demonstrate(options: argparse.Namespace) -> int:
    """Measures, replays, reports."""
    begin = time.monotonic()
    # Threads of torch that wait by spinning take the cores from DDS and the other processes:
    # on two busy cores a window took four times as long. Read when torch is first imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    require_ros()
    bag_path = (options.bag or find("demo", "walk_4cam")).resolve()
    params_file = (options.params_file or find("config", "demo.yaml")).resolve()
    config = read_config(params_file)
    cameras = config.cameras.names
    out = options.out.resolve()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    with open_bag(bag_path) as bag:
        inputs = image_topics(bag, cameras)
        recording, sets = examine(bag, inputs)
        print(
            f"{bag_path.name}: {len(cameras)} cameras, {recording.sets} instants in "
            f"{recording.duration_s:.1f} s. Measuring one window ...",
            flush=True,
        )
        plan = choose(measure_window_ms(sets, config), recording, options.seconds)
    print(plan.words, flush=True)
    drain_s = 10.0 + 4.0 * plan.window_ms * 1e-3
    what = Run(
        str(bag_path), str(params_file), cameras, inputs, plan.rate, plan.loops, str(out), drain_s
    )
    log = out / "launch.log"
    fault = run(what, plan.seconds, log)
    return report(out, log, plan, what, fault, time.monotonic() - begin)


def report(out: Path, log: Path, plan: Plan, what: Run, fault: str, seconds: float) -> int:
    """Writes summary.json and the picture, prints the table."""
    try:
        observed = Observed.read(out)
    except FileNotFoundError:
        with log.open() as file:
            print(tail(file, 30), file=sys.stderr)
        raise DemoError(f"{fault or 'nothing was observed'}; all that was said: {log}") from None
    checks = check(observed, plan, what.cameras, what.node)
    picture = None
    if observed.picture_stamp_ns:
        from vggt4d_ros.demo.sheet import draw

        picture = out / "demo.png"
        draw(out, picture, observed)
    player = out / "player.json"
    summary = summarize(
        observed,
        plan,
        checks,
        picture=picture,
        extra={
            "player": json.loads(player.read_text()) if player.exists() else None,
            "machine": machine(),
            "commit": commit(SOURCE),
            "launch": fault or "ended by itself",
            "seconds": round(seconds, 1),
        },
    )
    summary["ok"] = summary["ok"] and not fault
    (out / "summary.json").write_text(json.dumps(summary, indent=1))
    print(table(summary))
    if fault:
        print(f"FAIL  launch: {fault}; see {log}")
    print(f"\nsummary  {out / 'summary.json'}")
    if picture:
        print(f"picture  {picture}")
    return 0 if summary["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
