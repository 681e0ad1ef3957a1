# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every frame has one fate."""

from __future__ import annotations

import pytest
from stream_frames import frame

from vggt4d_ros.stream import STREAM_CAUSES, CameraCounts, FrameLedger


def test_a_frame_is_pending_until_it_is_used() -> None:
    ledger = FrameLedger(2)
    one = frame(1, 0)

    ledger.receive(one)
    before = ledger.counts()
    ledger.use([one])
    after = ledger.counts()

    assert before.cameras == (CameraCounts(), CameraCounts(received=1, pending=1))
    assert after.cameras == (CameraCounts(), CameraCounts(received=1, used=1))


def test_a_frame_is_dropped_when_its_last_holder_lets_go() -> None:
    ledger = FrameLedger(1)
    one = frame(0, 0)
    ledger.receive(one)
    ledger.hold([one])

    ledger.release([one], "unmatched")
    held = ledger.counts()
    ledger.release([one], "unmatched")

    assert (held.pending, held.dropped) == (1, {})
    assert (ledger.counts().pending, ledger.counts().dropped) == (0, {"unmatched": 1})


def test_a_used_frame_is_never_dropped_and_counts_once() -> None:
    ledger = FrameLedger(1)
    one = frame(0, 0)
    ledger.receive(one)
    ledger.hold([one])

    ledger.use([one])
    ledger.release([one], "superseded")
    ledger.use([one])
    ledger.release([one], "superseded")

    assert ledger.counts().cameras == (CameraCounts(received=1, used=1),)


@pytest.mark.parametrize(
    ("causes", "counted"),
    [
        (["superseded", "shutdown"], "superseded"),
        (["shutdown", "superseded"], "superseded"),
        (["stride", "time_jump", "superseded"], "superseded"),
        (["superseded", "corrupt_image"], "corrupt_image"),
        (["corrupt_image", "superseded"], "corrupt_image"),
        (["corrupt_image", "network_failed"], "corrupt_image"),
    ],
)
def test_of_several_causes_the_most_telling_is_counted(causes: list[str], counted: str) -> None:
    ledger = FrameLedger(1)
    one = frame(0, 0)
    ledger.receive(one)
    for _ in causes[1:]:
        ledger.hold([one])

    for cause in causes:
        ledger.release([one], cause)

    assert ledger.counts().dropped == {counted: 1}


def test_totals_add_up_the_cameras() -> None:
    ledger = FrameLedger(3)
    ledger.reject(0, "unknown_encoding")
    ledger.reject(2, "unknown_encoding")
    ledger.reject(2, "short_data")
    ledger.receive(frame(1, 0))

    counts = ledger.counts()

    assert (counts.received, counts.used, counts.pending) == (4, 0, 1)
    assert counts.dropped == {"unknown_encoding": 2, "short_data": 1}
    assert counts.cameras[2] == CameraCounts(
        received=2, dropped={"unknown_encoding": 1, "short_data": 1}
    )


def test_a_snapshot_does_not_change_afterwards() -> None:
    ledger = FrameLedger(1)
    ledger.reject(0, "late")

    counts = ledger.counts()
    ledger.reject(0, "late")

    assert counts.dropped == {"late": 1}


def test_misuse_names_the_frame_or_the_camera() -> None:
    ledger = FrameLedger(2)
    one = frame(0, 0)

    with pytest.raises(ValueError, match="nobody holds frame of camera 0 at 17"):
        ledger.use([one])
    ledger.receive(one)
    with pytest.raises(ValueError, match="received before"):
        ledger.receive(one)
    with pytest.raises(ValueError, match=r"0\.\.1, got 2"):
        ledger.receive(frame(2, 0))
    with pytest.raises(ValueError, match=r"0\.\.1, got -1"):
        ledger.reject(-1, "late")
    with pytest.raises(ValueError, match="at least 1, got 0"):
        FrameLedger(0)


def test_every_cause_has_a_meaning_in_one_line() -> None:
    assert all(meaning and "\n" not in meaning for meaning in STREAM_CAUSES.values())
