# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The demo's verdict: summary, checks and table from what was observed."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vggt4d_ros.demo.observed import Observed
from vggt4d_ros.demo.plan import Plan
from vggt4d_ros.messages.topics import TOPICS

SCALE_SOURCES = ("none", "rig", "motion", "given")  # by their numbers in WindowStatus.msg
OTHER_OUTPUTS = {"/tf": "tf2_msgs/TFMessage", "/diagnostics": "diagnostic_msgs/DiagnosticArray"}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must be true of a run."""

    name: str
    ok: bool
    detail: str


def expected_outputs(cameras: Sequence[str], node: str) -> dict[str, str]:
    """Gives the type of every topic that must come."""
    own = {
        entry.resolve(camera).replace("~", node, 1): entry.type
        for entry in TOPICS
        for camera in (cameras if entry.per_camera else ("",))
    }
    return {**own, **OTHER_OUTPUTS}


def check(observed: Observed, plan: Plan, cameras: Sequence[str], node: str) -> list[Check]:
    """Checks a run against what must hold on any machine."""
    dropped = sum(observed.frames_dropped.values())
    accounted = observed.frames_used + dropped + observed.frames_pending
    sent = plan.loops * plan.recording.sets
    short = [topic for topic, tally in observed.inputs.items() if tally.count < sent]
    expected = expected_outputs(cameras, node)
    silent = [
        topic
        for topic in expected
        if topic not in observed.outputs or not observed.outputs[topic].count
    ]
    return [
        Check("the run came to its end", observed.ended == "drained", observed.ended or "no end"),
        Check(
            "every image was sent",
            bool(observed.inputs) and not short,
            ", ".join(short) or f"{sent} on each of {len(observed.inputs)} topics",
        ),
        Check(
            "the node received every image",
            observed.frames_received == sent * len(observed.inputs),
            f"{observed.frames_received} of {sent * len(observed.inputs)}",
        ),
        Check(
            "received = used + dropped, none pending",
            observed.frames_received == accounted and observed.frames_pending == 0,
            f"{observed.frames_received} = {observed.frames_used} + {dropped}"
            f", {observed.frames_pending} pending",
        ),
        Check("the network finished windows", observed.windows > 0, f"{observed.windows}"),
        Check(
            "every output came",
            not silent,
            "nothing on " + ", ".join(silent) if silent else f"{len(expected)} topics",
        ),
        Check(
            "an instant has all outputs of all cameras",
            observed.picture_stamp_ns != 0,
            f"stamp {observed.picture_stamp_ns} ns" if observed.picture_stamp_ns else "none",
        ),
    ]


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Gives p50 and p95, rounded to 0.01; NaN-free."""
    p50, p95 = np.percentile(values, (50, 95))
    return {"p50": round(float(p50), 2), "p95": round(float(p95), 2)}


def summarize(
    observed: Observed,
    plan: Plan,
    checks: Sequence[Check],
    *,
    picture: Path | None,
    extra: Mapping[str, Any],
) -> dict[str, Any]:
    """Gives the content of summary.json."""
    latency = {name: percentiles(values) for name, values in observed.stage_ms.items() if values}
    if observed.image_to_depth_ms:
        latency["image_to_depth"] = percentiles(observed.image_to_depth_ms)
    return {
        "frames_received": observed.frames_received,
        "frames_used": observed.frames_used,
        "frames_dropped": observed.frames_dropped,
        "frames_pending": observed.frames_pending,
        "sets": observed.sets,
        "windows": observed.windows,
        "windows_superseded": observed.windows_superseded,
        "latency_ms": latency,
        "outputs": {
            topic: {"type": tally.type, "count": tally.count, "hz": round(tally.hz, 3)}
            for topic, tally in sorted(observed.outputs.items())
        },
        "picture": str(picture) if picture else None,
        "replay": {
            "rate": plan.rate,
            "loops": plan.loops,
            "seconds": round(plan.seconds, 2),
            "window_ms": round(plan.window_ms, 1),
            "why": plan.words,
        },
        "steps": observed.steps,
        "device": observed.device,
        "model": observed.model,
        "memory_mb": round(observed.memory_bytes / 1e6),
        "scale": {
            "source": SCALE_SOURCES[observed.scale_source],
            "metres_per_unit": observed.scale,
        },
        "warnings": observed.warnings,
        "checks": [{"name": item.name, "ok": item.ok, "detail": item.detail} for item in checks],
        "ok": all(item.ok for item in checks),
        **extra,
    }


def machine() -> dict[str, Any]:
    """Gives what the figures were measured on."""
    model = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    except OSError:
        pass  # no procfs: the architecture must do
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "ros": os.environ.get("ROS_DISTRO", ""),
    }


def commit(folder: Path) -> str:
    """Gives the git commit of a checkout, with + where it was changed; "" outside of one."""
    git = ["git", "-C", str(folder)]
    try:
        short = subprocess.run(
            [*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
        status = subprocess.run(
            [*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
    return short + ("+" if status else "")


def table(summary: Mapping[str, Any]) -> str:
    """Gives the summary as text for a terminal."""
    dropped = summary["frames_dropped"]
    causes = ", ".join(f"{cause} {count}" for cause, count in sorted(dropped.items()) if count)
    steps = summary["steps"]
    lines = [
        "",
        f"frames   {summary['frames_received']} received = {summary['frames_used']} used + "
        f"{sum(dropped.values())} dropped" + (f" ({causes})" if causes else ""),
        f"sets     {summary['sets']} (one image of every camera)",
        f"windows  {summary['windows']} of {steps} sets, "
        f"{summary['windows_superseded']} more replaced by newer ones",
        f"network  {summary['model']} on {summary['device']}; scale from "
        f"{summary['scale']['source']}; {summary['memory_mb']} MB",
        "",
        f"{'latency, ms':<22}{'p50':>9}{'p95':>9}",
    ]
    for stage, values in summary["latency_ms"].items():
        lines.append(f"  {stage:<20}{values['p50']:>9.1f}{values['p95']:>9.1f}")
    lines += ["", f"{'output':<42}{'type':<34}{'count':>6}{'Hz':>8}"]
    for topic, output in summary["outputs"].items():
        lines.append(f"  {topic:<40}{output['type']:<34}{output['count']:>6}{output['hz']:>8.2f}")
    lines.append("")
    for item in summary["checks"]:
        lines.append(f"{'ok  ' if item['ok'] else 'FAIL'}  {item['name']}: {item['detail']}")
    return "\n".join(lines)
