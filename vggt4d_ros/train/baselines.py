# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What simple methods reach on the same windows, to be printed beside the network's numbers."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
import torch

from vggt4d_ros.data.windows import WindowBatch
from vggt4d_ros.evaluation.metrics.flow import flow_metrics


def evaluate_dis(batches: Iterable[WindowBatch]) -> dict[str, float]:
    """Mean end-point errors of OpenCV's DIS flow (Kroeger et al. 2016), medium preset.

    Keys: ``epe_dis`` and ``epe_visible_dis``, both directions of time, averaged as ``evaluate``
    does: per time direction, over the known pixels of each window.
    """
    matcher = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    every: list[float] = []
    visible: list[float] = []
    for batch in batches:
        count, steps, views, _, _ = batch.shape
        gray = (batch.images.mean(3) * 255).round().to(torch.uint8).cpu().numpy()
        for name, sign in (("forward", 1), ("backward", -1)):
            truth = getattr(batch, f"flow_{name}").cpu()
            known = getattr(batch, f"flow_{name}_valid").cpu()
            hidden = getattr(batch, f"occluded_{name}").cpu()
            found = torch.zeros_like(truth)
            for row, step, view in np.ndindex(count, steps, views):
                if 0 <= step + sign < steps and known[row, step, view].any():
                    pair = gray[row, step, view], gray[row, step + sign, view]
                    flow = matcher.calc(*pair, None)
                    found[row, step, view] = torch.from_numpy(flow)
            for row in range(count):
                for use, errors in ((known[row], every), (known[row] & ~hidden[row], visible)):
                    if use.any():
                        flows = found[row].numpy(), truth[row].numpy()
                        errors.append(flow_metrics(*flows, use.numpy())["epe"])
    if not every:
        return {}
    return {"epe_dis": float(np.mean(every)), "epe_visible_dis": float(np.mean(visible))}
