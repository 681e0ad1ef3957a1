# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``vggt4d eval BAG BAG... --jobs N``: many bags, a process for each, one table."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

from vggt4d_ros.evaluation.fleet_jobs import (
    Job,
    Outcome,
    Work,
    evaluate,
    find_bags,
    is_done,
    make_job,
    run_bag,
    score_outputs,
)
from vggt4d_ros.evaluation.fleet_ray import LOCAL, over_ray
from vggt4d_ros.evaluation.fleet_table import counts, merge, table
from vggt4d_ros.evaluation.options import EvalOptions, EvaluationError


def run(
    paths: Sequence[Path],
    options: EvalOptions,
    out: Path,
    jobs: int = 1,
    ray: str | None = None,
    *,
    outputs: bool = False,
    work: Work | None = None,
) -> int:
    """Evaluates all bags into folders below ``out``; 0 when every one is done, else 1.

    A bag that fails is told and does not stop the others. Called again with the same options it
    does only what is not done yet.

    Args:
        paths: bags, and folders that are searched for bags.
        options: of each run.
        out: gets a folder for each bag, fleet.csv and fleet.json.
        jobs: bags at a time; each then has its share of the CPU's threads.
        ray: address of a Ray cluster, or "local"; None: processes on this machine.
        outputs: the bags hold outputs of the node, which are scored.
        work: done for each bag; None: by ``outputs``.

    Raises:
        EvaluationError: a folder without a bag, no Ray, or nowhere to write.
    """
    if jobs < 1:
        raise EvaluationError(f"--jobs must be 1 or more, got {jobs}")
    work = work or (score_outputs if outputs else run_bag)
    threads = _threads(jobs, ray)
    todo = [
        make_job(name, bag, options, out, kind=work.__name__, threads=threads)
        for name, bag in find_bags(list(paths), out)
    ]
    done = {job.name for job in todo if is_done(job)}
    left = [job for job in todo if job.name not in done]
    outcomes = {
        job.name: Outcome(job.name, str(job.bag), "skipped") for job in todo if job.name in done
    }
    if done:
        print(f"{len(done)} of {len(todo)} bags are done already", flush=True)
    if left:
        if ray:
            ending = over_ray(left, work, ray, local_cpus=jobs * max(1, threads))
        else:
            ending = over_processes(left, work, jobs)
        for outcome in ending:
            outcomes[outcome.name] = outcome
            print(f"[{len(outcomes)}/{len(todo)}] {_words(outcome)}", flush=True)
    rows = merge([outcomes[job.name] for job in todo], out)
    for line in table(rows):
        print(line)
    print(f"written: {out / 'fleet.csv'}, fleet.json and a folder for each bag")
    return 1 if counts(rows)["failed"] else 0


def _threads(jobs: int, ray: str | None) -> int:
    """Threads of each bag; 0: as many as it likes, where nobody shares the machine with it."""
    if ray and ray != LOCAL:
        return 1  # how many share a machine is the cluster's affair
    return max(1, (os.cpu_count() or 1) // jobs) if jobs > 1 else 0


def _words(outcome: Outcome) -> str:
    return f"{outcome.name}: {outcome.status}" + (f": {outcome.reason}" if outcome.reason else "")


def over_processes(jobs: Sequence[Job], work: Work, count: int) -> Iterator[Outcome]:
    """Gives the outcomes as they come.

    Each bag has a process of its own: one that is killed, by a crash or for its memory, takes no
    other bag along, and what it held is free afterwards.
    """
    with ThreadPoolExecutor(count) as pool:
        futures = [pool.submit(_in_own_process, job, work) for job in jobs]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            for future in futures:  # interrupted: what has not begun shall not
                future.cancel()


def _in_own_process(job: Job, work: Work) -> Outcome:
    # spawned: a forked process would share torch's threads and locks
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        try:
            return process.submit(evaluate, job, work).result()
        except BrokenProcessPool:
            reason = "its process was killed (out of memory, or a crash in a library)"
            return Outcome(job.name, str(job.bag), "failed", reason)
