# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The report's pictures, inline, with the legends that are needed to read them."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from itertools import groupby

import cv2
import numpy as np
from numpy.typing import NDArray

from vggt4d_ros.evaluation.pictures import depth_rgb, flow_rgb, gray_rgb
from vggt4d_ros.evaluation.report_html import Child, Markup, element
from vggt4d_ros.evaluation.results import Picture, RunResult

_ORDER = (
    "input",
    "depth",
    "depth_truth",
    "error",
    "confidence",
    "flow",
    "dynamic",
    "cloud",
)
_QUALITY = 82  # of JPEG
_WHEEL = 96  # pixels


def pictures(run: RunResult, start_ns: int) -> list[Child]:
    """All pictures by window and camera."""
    if not run.pictures:
        return [element("p", "No pictures were drawn.", class_="soft")]
    ordered = sorted(run.pictures, key=lambda p: (p.window, p.camera == "", p.camera, _rank(p)))
    parts: list[Child] = [_legend({picture.kind for picture in run.pictures})]
    for index, (window, group) in enumerate(groupby(ordered, key=lambda p: p.window)):
        shown = list(group)
        seconds = (max(p.stamp_ns for p in shown) - start_ns) * 1e-9
        heading = f"Window {window}, {seconds:.2f} s"
        parts.append(
            element(
                "details",
                element("summary", heading),
                [_camera(list(same)) for _, same in groupby(shown, key=lambda p: p.camera)],
                open=index == 0,
            )
        )
    return parts


def _rank(picture: Picture) -> int:
    return _ORDER.index(picture.kind) if picture.kind in _ORDER else len(_ORDER)


def _camera(shown: Sequence[Picture]) -> Child:
    name = shown[0].camera
    figures = [
        element(
            "figure",
            element("img", src=data_uri(p.png), alt=_alt(p), **_size(p.png)),
            element("figcaption", p.caption),
            class_=p.kind,
        )
        for p in shown
    ]
    return [
        element("h3", f"Camera {name}" if name else "All cameras"),
        element("div", figures, class_="pictures"),
    ]


def _alt(picture: Picture) -> str:
    whose = f"camera {picture.camera}" if picture.camera else "all cameras"
    kind = picture.kind.replace("_", " ")
    words = picture.caption if picture.caption.startswith(kind) else f"{kind}: {picture.caption}"
    return f"{words}, {whose}, window {picture.window}"


def _size(png: bytes) -> dict[str, int]:
    """Width and height, so that the page does not jump while it loads; from the PNG's head."""
    if png[:8] != b"\x89PNG\r\n\x1a\n":
        return {}
    return {
        "width": int.from_bytes(png[16:20], "big"),
        "height": int.from_bytes(png[20:24], "big"),
    }


def data_uri(png: bytes) -> str:
    """The picture as it is, or as JPEG where that is smaller."""
    image = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    kind, content = "png", png
    if image is not None:
        jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()
        if len(jpeg) < len(png):
            kind, content = "jpeg", jpeg
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _png(colours: NDArray[np.uint8]) -> str:
    """(H, W, 3) RGB or (H, W, 4) RGBA as a data URI."""
    code = cv2.COLOR_RGBA2BGRA if colours.shape[-1] == 4 else cv2.COLOR_RGB2BGR
    content = cv2.imencode(".png", cv2.cvtColor(colours, code))[1].tobytes()
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def _legend(kinds: set[str]) -> Markup:
    """What the colours mean; drawn by the code that drew the pictures."""
    ramp = np.tile(np.linspace(0.0, 1.0, 128), (12, 1)).astype(np.float32)
    parts: list[Child] = []
    if kinds & {"depth", "depth_truth"}:
        inverse = depth_rgb((1.0 / (1.0 - 0.9 * ramp)).astype(np.float32), 1.0, 10.0)
        words = "Depth, even steps of 1 / depth: near to far; black: not known"
        parts.append(_strip(inverse, words, "colours of depth: red near, blue far"))
    if kinds & {"confidence", "error"}:
        words = "Confidence and error: small to large; black: not known"
        bright = gray_rgb(ramp, 0.0, 1.0)
        parts.append(_strip(bright, words, "colours of confidence: dark small, bright large"))
    if "flow" in kinds:
        side = np.linspace(-1.0, 1.0, _WHEEL, dtype=np.float32)
        flow = np.stack(np.meshgrid(side, side), axis=-1)
        inside = np.hypot(flow[..., 0], flow[..., 1]) <= 1.0
        wheel = np.dstack([flow_rgb(flow, 1.0), np.where(inside, 255, 0).astype(np.uint8)])
        words = (
            "Flow: a pixel has the colour of the place on the disc that it moved to, the middle "
            "being no motion; right is right and down is down. The rim is the full colour that "
            "the caption gives in pixels."
        )
        parts.append(
            element(
                "figure",
                element(
                    "img",
                    src=_png(wheel),
                    alt="colour wheel of flow: right red, down green, left cyan, up violet",
                    width=_WHEEL,
                    height=_WHEEL,
                ),
                element("figcaption", words),
            )
        )
    return element("div", parts, class_="wheel")


def _strip(rgb: NDArray[np.uint8], words: str, alt: str) -> Markup:
    height, width = rgb.shape[:2]
    return element(
        "figure",
        element("img", src=_png(rgb), alt=alt, width=width, height=height),
        element("figcaption", words),
    )
