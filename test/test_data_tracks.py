# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Point tracks of rendered windows against the flow and the images' own labels."""

from __future__ import annotations

import pytest
import torch

from vggt4d_ros.data.scenes import SceneConfig
from vggt4d_ros.data.synthetic import SyntheticWindows
from vggt4d_ros.data.windows import WindowBatch
from vggt4d_ros.train.sampler import mirror


@pytest.fixture(scope="module")
def batch() -> WindowBatch:
    return SyntheticWindows(SceneConfig(drop_share=0.0), seed=5).batch(range(4), 3, 2, 48, 64)


def test_track_to_the_next_step_is_the_flow(batch: WindowBatch) -> None:
    assert batch.queries is not None
    assert batch.tracks is not None
    assert batch.tracks_seen is not None
    step, view, row, column = batch.queries.unbind(-1)
    window = torch.arange(len(step))[:, None]
    at = (window, step, view, row, column)

    following = (step + 1).clamp(max=2)
    place = batch.tracks.gather(2, following[..., None, None].expand(-1, -1, 1, 2))[:, :, 0]
    seen = batch.tracks_seen.gather(2, following[..., None])[..., 0]
    expected = torch.stack([column, row], -1) + batch.flow_forward[at]
    use = batch.flow_forward_valid[at]

    assert use.float().mean() > 0.3
    assert (place - expected).norm(dim=-1)[use].max() < 0.01  # pixels
    assert torch.equal(seen[use], ~batch.occluded_forward[at][use])


def test_track_at_its_own_step_is_the_query(batch: WindowBatch) -> None:
    assert batch.queries is not None
    assert batch.tracks is not None
    assert batch.tracks_seen is not None
    step = batch.queries[..., 0]

    own = batch.tracks.gather(2, step[..., None, None].expand(-1, -1, 1, 2))[:, :, 0]

    torch.testing.assert_close(own, batch.queries[..., [3, 2]].float(), atol=1e-3, rtol=0)
    assert batch.tracks_seen.gather(2, step[..., None]).all()


def test_half_of_the_queries_are_on_moving_points(batch: WindowBatch) -> None:
    assert batch.queries is not None
    window = torch.arange(len(batch.queries))[:, None]
    moving = batch.dynamic[(window, *batch.queries.unbind(-1))].float().mean(1)
    some = batch.dynamic.flatten(1).any(1)

    assert some.any()
    assert (moving[some] >= 0.5).all()


def test_missing_frames_have_no_queries_and_no_known_places() -> None:
    config = SceneConfig(drop_share=1.0)
    batch = SyntheticWindows(config, seed=6).batch(range(6), 3, 2, 48, 64)
    assert batch.queries is not None
    assert batch.tracks_known is not None
    step, view = batch.queries[..., 0], batch.queries[..., 1]
    window = torch.arange(len(step))[:, None]

    assert not batch.valid.all()
    assert batch.valid[window, step, view].all()
    there = batch.valid.transpose(1, 2)[window, view]  # (B, N, T)
    assert not batch.tracks_known[~there].any()


def test_single_images_have_no_tracks() -> None:
    batch = SyntheticWindows(SceneConfig(), seed=1).batch([0], 1, 1, 48, 64)

    assert batch.queries is None
    assert batch.tracks is None


def test_mirrored_twice_tracks_are_as_before(batch: WindowBatch) -> None:
    once = mirror(batch)
    twice = mirror(once)
    assert batch.tracks is not None
    assert once.tracks is not None
    assert twice.tracks is not None
    assert batch.queries is not None
    assert twice.queries is not None

    torch.testing.assert_close(twice.tracks, batch.tracks)
    assert torch.equal(twice.queries, batch.queries)
    torch.testing.assert_close(once.tracks[..., 0], 63 - batch.tracks[..., 0])
