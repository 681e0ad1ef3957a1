# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The jobs of a fleet over a Ray cluster (https://docs.ray.io), an optional package.

Every machine of the cluster needs this package and sees bags and results under the same paths.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType

from vggt4d_ros.evaluation.fleet_jobs import Job, Outcome, Work, evaluate
from vggt4d_ros.evaluation.options import EvaluationError

LOCAL = "local"


def require_ray() -> ModuleType:
    """Gives the package.

    Raises:
        EvaluationError: it is not installed.
    """
    try:
        import ray
    except ImportError:
        raise EvaluationError(
            "--ray needs the package ray: pip install 'vggt4d_ros[fleet]'"
        ) from None
    module: ModuleType = ray
    return module


def over_ray(jobs: Sequence[Job], work: Work, address: str, local_cpus: int) -> Iterator[Outcome]:
    """Gives the outcomes as they come.

    Each job takes ``threads`` CPUs (1 where that is 0), and a GPU where ``model.device`` names
    one: Ray hides GPUs from jobs that do not ask.

    Args:
        jobs: what is to do.
        work: done for each.
        address: of the cluster's head, or "local" to start one here for the time of the run.
        local_cpus: of a cluster that is started here.

    Raises:
        EvaluationError: no package, or no cluster at the address.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray = require_ray()
    _connect(ray, address, local_cpus)
    try:
        task = ray.remote(max_retries=0)(evaluate)
        waiting = {task.options(**_needs(job)).remote(job, work): job for job in jobs}
        while waiting:
            (ready,), _ = ray.wait(list(waiting), num_returns=1)
            job = waiting.pop(ready)
            try:
                yield ray.get(ready)
            except ray.exceptions.RayError as error:
                reason = f"its process ended: {_last_line(error)}"
                yield Outcome(job.name, str(job.bag), "failed", reason)
    finally:
        ray.shutdown()


def _needs(job: Job) -> dict[str, int]:
    is_gpu = job.options.config.model.device.startswith("cuda")
    return {"num_cpus": max(1, job.threads), "num_gpus": int(is_gpu)}


def _connect(ray: ModuleType, address: str, local_cpus: int) -> None:
    try:
        if address == LOCAL:
            with _own_path():
                ray.init(
                    address=LOCAL, num_cpus=local_cpus, include_dashboard=False, log_to_driver=False
                )
        else:
            ray.init(address=address, log_to_driver=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        text = f"--ray {address}: no cluster there: {_last_line(error)}"
        raise EvaluationError(text) from error


@contextmanager
def _own_path() -> Iterator[None]:
    """Processes started here find the modules that this one finds, installed or not."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def _last_line(error: BaseException) -> str:
    """Where Python's reports have the reason."""
    return (str(error).strip() or type(error).__name__).splitlines()[-1].strip()
