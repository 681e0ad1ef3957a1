# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Depth corrected by parallax: what is at other depths along a pixel's ray in other frames?

An option of the compact network (``ModelConfig.sweep``), in neither the paper nor the release. A
plane sweep (Collins 1996) around the depth that the dense head gives, with the estimated poses:
for every cell at 1/8 of the image and PLANES factors of its depth, how alike is what the nearest
frames show there? A small network, as in MVSNet (Yao et al. 2018), makes one correction of it.
What it corrects is swept once more. It holds in the
network's own unit of length, which poses and depth share.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from vggt4d_ros.model.camera_head import quaternion_to_matrix
from vggt4d_ros.model.correlation import enlarge
from vggt4d_ros.model.encoder import ResidualConv
from vggt4d_ros.model.grid import GridShape, select_steps
from vggt4d_ros.model.layers import Conv2d
from vggt4d_ros.model.pair_geometry import cell_rays, tangents_of
from vggt4d_ros.model.pair_refine import SHARPNESS, WIDTH, FineMaps

ROUNDS = 2
PLANES = 32
REACH = 1.2  # of the logarithm of the depth, to either side
SPREAD = 0.4  # of the logarithm: how far off the depth is before anything is compared
SOURCES = 4  # other frames that a frame is compared with
HIDDEN = 64
FINE = 32
NEAREST = 0.02  # a point nearer than this to a camera's plane is not seen by it
STRIDE = 3  # cells between those that tell which frames are the best
STEP = 0.1  # further away than a point: how far does its image move?
ENOUGH = 0.05  # more motion than this, in half images, makes a frame no better
UNMOVED = 0.1  # weight of frames that show the same without any motion


class PlaneSweep(nn.Module):
    """Factors that correct the depth of frames, and how sure the depth is then."""

    def __init__(self, skip: int) -> None:
        """Takes the channels of the encoder's map at 1/4."""
        super().__init__()
        self.context = Conv2d(skip, WIDTH, 4, stride=2, padding=1)
        self.mix = Conv2d(2 * PLANES + 2 * WIDTH + 4, HIDDEN, 1)
        self.refine = ResidualConv(HIDDEN)
        self.down = Conv2d(HIDDEN, HIDDEN, 4, stride=2, padding=1)
        self.wide = nn.Sequential(ResidualConv(HIDDEN), ResidualConv(HIDDEN))
        self.merge = ResidualConv(HIDDEN)
        self.planes = Conv2d(HIDDEN, PLANES, 1)
        self.gain = nn.Parameter(torch.zeros(2))
        self.lateral = Conv2d(skip, FINE, 1)
        self.narrow = Conv2d(HIDDEN, FINE, 1)
        self.sharpen = ResidualConv(FINE)
        self.out = Conv2d(FINE + 2, 2, 3, padding=1)

    def start(self) -> None:
        """Untrained, it changes nothing much."""
        nn.init.normal_(self.planes.weight, std=1e-4)
        nn.init.normal_(self.out.weight, std=1e-4)

    def forward(
        self,
        depth: Tensor,
        confidence: Tensor,
        quarter: Tensor,
        fine: FineMaps,
        pose: Tensor,
        placed: Tensor,
        shape: GridShape,
        steps: tuple[int, ...],
    ) -> tuple[Tensor, Tensor]:
        """Better depth and confidence.

        Args:
            depth: (N, H, W) > 0 of the N = B*D*V dense frames.
            confidence: (N, H, W) >= 1.
            quarter: (N, K, H/4, W/4) the encoder's maps of these frames.
            fine: what all B*S frames are compared by.
            pose: (B, S, 9) pose encodings; no path for gradients.
            placed: (B, S) bool, frames whose poses are right; others are compared with none.
            shape: of the grid.
            steps: the dense ones, rising.

        Returns:
            Depth (N, H, W) and confidence (N, H, W).
        """
        views = _Views(pose.detach(), placed, shape, steps)
        cells = select_steps(fine.cells, shape, steps)
        looks = torch.cat([cells / SHARPNESS**0.5, self.context(quarter).float()], dim=1)
        lateral = self.lateral(quarter)
        for _ in range(ROUNDS):
            middle = functional.avg_pool2d(depth.detach().log()[:, None], 8)  # (N, 1, h, w)
            alike = self.compare(middle[:, 0], cells, fine.around, views)
            depth, confidence = self._once(depth, confidence, middle, alike, looks, lateral)
        return depth, confidence

    def _once(
        self,
        depth: Tensor,
        confidence: Tensor,
        middle: Tensor,
        alike: Tensor,
        looks: Tensor,
        lateral: Tensor,
    ) -> tuple[Tensor, Tensor]:
        level = depth.detach().log().mean((1, 2), keepdim=True)[:, None]
        sure = functional.avg_pool2d(confidence.detach().log()[:, None], 8)
        seen = [alike, looks, middle - level, sure]
        x = self.refine(self.mix(torch.cat(seen, dim=1)))
        x = self.merge(x + enlarge(self.wide(self.down(x)), 2))
        logits = self.planes(functional.relu(x)).float()
        mean, best = alike[:, :PLANES], alike[:, PLANES : 2 * PLANES]
        logits = logits + 8.0 * (self.gain[0] * mean + self.gain[1] * best)
        # where nothing is seen at any depth, the depth stays what it is
        offsets = _offsets(depth.device)[:, None, None]
        chance = (logits - 0.5 * (offsets / SPREAD).square()).softmax(1)
        moved = (chance * offsets).sum(1, keepdim=True)
        spread = (chance * (offsets - moved).square()).sum(1, keepdim=True)
        coarse = torch.cat([moved, (spread + 1e-4).log() / 4], dim=1)  # (N, 2, h, w)
        x = enlarge(self.narrow(functional.relu(x)), 2) + lateral
        coarse = enlarge(coarse, 2)
        x = torch.cat([functional.relu(self.sharpen(x)).float(), coarse], dim=1)
        change, surer = self.out(x).float().split(1, dim=1)
        change = enlarge(coarse[:, :1] + change, 4)[:, 0]
        surer = enlarge(surer, 4)[:, 0].clamp(-5, 5)
        return depth * change.clamp(-2, 2).exp(), 1 + (confidence - 1) * surer.exp()

    def compare(
        self,
        log_depth: Tensor,
        cells: Tensor,
        around: Tensor,
        views: _Views,
    ) -> Tensor:
        """Likeness of N frames' cells to other frames, at other depths: (N, 2 PLANES + 2, h, w).

        The mean and the best of the frames that show a place, in [-1, 1], 0 where none does; the
        share of all that shows any; how much an image moves with the depth.
        """
        height, width = log_depth.shape[-2:]
        base = log_depth.flatten(1)  # (N, P)
        rays = cell_rays(views.tangents, (height, width))  # (N, P, 3)
        few = (rays * base[..., None].exp()).unflatten(1, (height, width))
        few = few[:, STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE].flatten(1, 2)
        row, weight, moves = views.nearest(few)  # (N, L)
        planes = _offsets(base.device)[:, None] + base[:, None]  # (N, K, P)
        points = (rays[:, None] * planes[..., None].exp()).flatten(1, 2)
        sought = cells.flatten(2)[:, :, None]  # (N, D, 1, P)
        nobody = torch.zeros_like(planes)
        likeness, shown = [nobody], [nobody]
        for chosen, there in zip(row.unbind(1), weight.unbind(1), strict=True):
            place, depth = views.project(points, chosen)
            inside = (place.abs() < 1).all(-1) & (depth > NEAREST)
            shown.append(inside.unflatten(1, (PLANES, -1)) * there[:, None, None])
            found = functional.grid_sample(
                around[chosen], place.unflatten(1, (PLANES, -1)), align_corners=False
            )  # (N, D, K, P)
            likeness.append((found * sought).sum(1) / SHARPNESS)
        count = torch.stack(shown)
        alike = torch.where(count > 0, torch.stack(likeness), 0.0)  # a pose that is no number: 0
        number = count.sum(0)
        mean = alike.sum(0) / number.clamp(min=1)
        best = torch.where(number > 0, torch.where(count > 0, alike, -1.0).amax(0), 0.0)
        share = (number > 0).float().mean(1, keepdim=True)
        moves = moves[:, None, None].expand_as(share)
        return torch.cat([mean, best, share, moves], dim=1).unflatten(2, (height, width))


def _offsets(device: torch.device) -> Tensor:
    """Logarithms of the factors of a depth that are tried, (PLANES,)."""
    return torch.linspace(-REACH, REACH, PLANES, device=device)


class _Views:
    """Cameras of all frames as those of the N dense ones see them."""

    def __init__(
        self, pose: Tensor, placed: Tensor, shape: GridShape, steps: tuple[int, ...]
    ) -> None:
        frames = pose.shape[1]
        tangents = tangents_of(pose[..., 7:9])  # (B, S, 2)
        rotation = quaternion_to_matrix(functional.normalize(pose[..., 3:7], dim=-1, eps=1e-3))
        self.tangents = select_steps(tangents.flatten(0, 1), shape, steps)
        dense = shape.views * len(steps)
        own = select_steps(rotation.flatten(0, 1), shape, steps).unflatten(0, (-1, dense))
        shift = select_steps(pose[..., :3].flatten(0, 1), shape, steps).unflatten(0, (-1, dense))
        between = rotation[:, None] @ own.transpose(-1, -2)[:, :, None]  # (B, DV, S, 3, 3)
        moved = pose[:, None, :, :3] - (between @ shift[:, :, None, :, None])[..., 0]
        self.rotation, self.shift = between.flatten(0, 1), moved.flatten(0, 1)  # (N, S, ...)
        self.other = tangents.repeat_interleave(dense, dim=0)  # (N, S, 2)
        self.first = torch.arange(shape.batch, device=pose.device).repeat_interleave(dense) * frames
        # a frame is no source for itself
        at = torch.arange(shape.batch * frames, device=pose.device)
        itself = select_steps(at, shape, steps) - self.first
        there = placed.repeat_interleave(dense, dim=0) & placed.flatten()[itself + self.first, None]
        self.there = there & (torch.arange(frames, device=pose.device) != itself[:, None])
        self.count = min(SOURCES, frames - 1)

    def project(self, points: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Places (N, P, 2) in half images and depths (N, P) of points in frames (N,) of all."""
        rows = torch.arange(len(chosen), device=chosen.device)
        at = chosen - self.first
        return _project(points, self.rotation[rows, at], self.shift[rows, at], self.other[rows, at])

    def nearest(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The frames that show most of some points (N, M, 3), and those moving with their depth.

        Returns:
            Frames (N, L) of all B*S, 1 where they are there else 0 (N, L), and how much the
            images move in the best of them, (N,).
        """
        several = points[:, None].expand(-1, self.rotation.shape[1], -1, -1).flatten(0, 1)
        camera = self.rotation.flatten(0, 1), self.shift.flatten(0, 1), self.other.flatten(0, 1)
        place, depth = _project(several, *camera)
        further, _ = _project(several * (1 + STEP), *camera)
        inside = (place.abs() < 1).all(-1) & (depth > NEAREST)
        move = (further - place).norm(dim=-1).clamp(max=ENOUGH) / ENOUGH
        score = (inside * (UNMOVED + move)).mean(1).view_as(self.there)
        move = (inside * move).mean(1).view_as(self.there)
        score = torch.where(self.there & score.isfinite(), score, -1.0)
        order = score.topk(self.count, dim=1).indices
        weight = self.there.gather(1, order).float()
        most = torch.where(self.there, move, 0.0).amax(1)
        return order + self.first[:, None], weight, most


def _project(
    points: Tensor, rotation: Tensor, shift: Tensor, tangents: Tensor
) -> tuple[Tensor, Tensor]:
    """Points (N, P, 3) in cameras: places (N, P, 2), the image is [-1, 1], and depths (N, P)."""
    moved = points @ rotation.transpose(1, 2) + shift[:, None]
    depth = moved[..., 2]
    place = moved[..., :2] / (depth.clamp(min=NEAREST)[..., None] * tangents[:, None])
    return place, depth
