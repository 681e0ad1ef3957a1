# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every cause by which a frame is dropped, with its meaning; README and reports read this."""

from __future__ import annotations

from vggt4d_ros.stream.ledger import STREAM_CAUSES

# Settled where messages come in or are decoded.
INPUT_CAUSES: dict[str, str] = {
    "unknown_encoding": "neither the table of encodings nor cv_bridge knows it",
    "bad_size": "width, height and step cannot be those of an image",
    "short_data": "the message ends too early, or there is less data than height x step",
    "corrupt_data": "a compressed image is truncated or no image, or the message is no CDR",
    "size_changed": "its size is not that of the camera's newest image",
    "no_camera_info": "no usable CameraInfo has come (cameras.require_info)",
    "camera_info_mismatch": "the CameraInfo is for an image of another shape",
    "future_stamp": "the stamp is more than sync.max_future_s ahead of the node's clock",
}
# Settled where the network runs.
NETWORK_CAUSES: dict[str, str] = {
    "paced": "deadline.* left it out: between windows that run, or in steps cut off one",
    "unwanted": "nobody listened to an output (output.lazy)",
    "undecodable": "no frame of its window could be used",
    "out_of_memory": "the device had no memory for so many steps",
    "failed": "the network failed on its window",
}

CAUSES: dict[str, str] = {**INPUT_CAUSES, **STREAM_CAUSES, **NETWORK_CAUSES}
