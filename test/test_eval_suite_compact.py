# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The compact suite on a handful of windows with a tiny untrained network."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from vggt4d_ros.evaluation import suite_compact
from vggt4d_ros.evaluation.options import EvaluationError
from vggt4d_ros.evaluation.suite_table import goals_of, look_up, report_lines
from vggt4d_ros.model.checkpoint import untrained
from vggt4d_ros.model.config import tiny_motion
from vggt4d_ros.model.predictor import Predictor
from vggt4d_ros.train.config import TrainConfig
from vggt4d_ros.train.sampler import held_out

pytestmark = pytest.mark.usefixtures("one_thread")
WINDOWS = 2
MAIN = "held_out_2x2"


def network(seed: int = 0) -> Predictor:
    return Predictor(untrained(tiny_motion(), seed), device="cpu", precision="fp32")


def run(seed: int = 0, path: Path | None = None, **options: Any) -> dict[str, Any]:
    return suite_compact.run(path, windows=WINDOWS, progress=False, engine=network(seed), **options)


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Threads of tiny tensors do little but wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one stereo pair of a wall, as the Middlebury sample is laid out."""
    folder = tmp_path_factory.mktemp("samples") / "middlebury_motorcycle"
    folder.mkdir()
    noise = np.random.default_rng(0).uniform(0, 255, (96, 300, 3)).astype(np.float32)
    wide = cv2.GaussianBlur(noise, (0, 0), 1.5)
    wide = ((wide - wide.min()) / np.ptp(wide) * 255).astype(np.uint8)
    cv2.imwrite(str(folder / "left.png"), wide[:, 100:228])
    cv2.imwrite(str(folder / "right.png"), wide[:, 112:240])
    calib = {"K": [[120, 0, 64], [0, 120, 48], [0, 0, 1]], "baseline_m": 0.2, "doffs_px": 0.0}
    (folder / "calib.json").write_text(json.dumps(calib))
    np.savez(folder / "disparity.npz", disp=np.full((96, 128), 12.0, np.float32))
    return folder.parent


@pytest.fixture(scope="module")
def first(
    one_thread: None, samples: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], Path]:
    path = tmp_path_factory.mktemp("report") / "compact.json"
    return run(path=path, samples=samples), path


def test_what_is_written_is_what_is_given(first: tuple[dict[str, Any], Path]) -> None:
    document, path = first

    assert json.loads(path.read_text()) == document
    assert "NaN" not in path.read_text()


def test_numbers_lie_where_comparisons_look_for_them(first: tuple[dict[str, Any], Path]) -> None:
    document, _ = first

    assert document["source"]["kind"] == "suite"
    assert document["model"]["name"] == "tiny_motion"
    assert document["metrics"] == document["sets"][MAIN]["metrics"]
    for name in (
        "depth.median.abs_rel",
        "depth.median.delta1",
        "calibration.depth.aurg",
        "flow.all.epe",
        "flow.all.fl_all",
        "mask.head.iou",
        "poses.all.rotation_deg_median",
        "poses.all.translation_deg_median",
    ):
        assert isinstance(look_up(document["metrics"], name), float), name
    assert look_up(document["baselines"], "constant_depth.depth.median.abs_rel") > 0
    assert look_up(document["baselines"], "dis.flow.all.epe") > 0


def test_every_grid_and_every_sample_is_there(first: tuple[dict[str, Any], Path]) -> None:
    document, _ = first

    windows = {name: part["windows"] for name, part in document["sets"].items()}
    others = {f"held_out_{grid}": 1 for grid in ("1x1", "4x1", "2x3")}
    # real images once as large as the network is made for, once twice as large
    real = {"middlebury_motorcycle": 1, "middlebury_motorcycle@112": 1}
    assert windows == {MAIN: WINDOWS, **others, **real}
    assert document["windows"]["done"] == WINDOWS + 5
    assert set(document["timing"]) == set(windows)
    # one camera at one time neither moves nor has neighbours
    found = set(document["sets"]["held_out_1x1"]["metrics"])
    assert found == {"depth", "calibration", "poses"}


def test_real_images_are_not_blown_up_beyond_what_is_sensible(
    samples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suite_compact, "LARGEST", 100)
    made = network()

    document = suite_compact.run(None, windows=1, progress=False, engine=made, samples=samples)

    assert [n for n in document["sets"] if n.startswith("middlebury")] == ["middlebury_motorcycle"]
    assert made.image_size == made.model.config.img_size


def test_twice_as_large_an_image_is_another_result(first: tuple[dict[str, Any], Path]) -> None:
    small, large = (
        first[0]["sets"][name] for name in ("middlebury_motorcycle", "middlebury_motorcycle@112")
    )

    assert small["metrics"] != large["metrics"]
    assert small["baselines"] == large["baselines"]  # they see the camera's own images


def test_windows_are_those_held_out_from_training_each_once() -> None:
    batch = next(held_out(TrainConfig(), 2, (1, 1), suite_compact.SIZE))

    windows = list(suite_compact.rendered((1, 1), 2))

    assert len(windows) == 2
    for row, known in enumerate(windows):
        expected = batch.images[row, 0, 0].permute(1, 2, 0).numpy()
        np.testing.assert_allclose(known.rgb((0, 0)) / 255, expected, atol=0.51 / 255)
    assert (windows[0].rgb((0, 0)) != windows[1].rgb((0, 0))).mean() > 0.5


def test_a_stereo_sample_is_matched_too(first: tuple[dict[str, Any], Path]) -> None:
    part = first[0]["sets"]["middlebury_motorcycle"]

    assert part["kind"] == "real"
    assert part["rig_scale"]["of"] == 1
    assert part["baselines"]["sgbm"]["depth"]["metric"]["abs_rel"] < 0.02
    assert part["baselines"]["constant_depth"]["depth"]["median"]["abs_rel"] < 1e-6


def test_the_same_run_gives_the_same_numbers(
    first: tuple[dict[str, Any], Path], samples: Path
) -> None:
    again = run(samples=samples)

    assert {k: v for k, v in again.items() if k != "timing"} == {
        k: v for k, v in first[0].items() if k != "timing"
    }


def test_baselines_do_not_depend_on_the_network(first: tuple[dict[str, Any], Path]) -> None:
    other = run(seed=1)

    assert other["baselines"] == first[0]["baselines"]
    assert other["metrics"] != first[0]["metrics"]


def test_a_folder_of_samples_that_is_not_there_is_said_and_does_not_fail(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suite_compact, "GRIDS", ((1, 1),))

    gone = run(samples=tmp_path / "gone")
    empty = run(samples=tmp_path)

    assert gone["faults"] == [
        f"{tmp_path / 'gone'}: no such folder of real samples: rendered windows only"
    ]
    assert "none of the known real samples" in empty["faults"][0]
    assert gone["faults"][0] in capsys.readouterr().out


def test_what_a_user_gets_wrong_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suite_compact, "GRIDS", ((1, 1),))
    (tmp_path / "kitti_stereo_seq1").mkdir()

    with pytest.raises(EvaluationError, match="kitti_stereo_seq1: no stereo recording: expected"):
        run(samples=tmp_path)
    with pytest.raises(EvaluationError, match="there is no such folder"):
        run(path=tmp_path / "gone" / "report.json")
    with pytest.raises(EvaluationError, match="cannot be written: Is a directory"):
        run(path=tmp_path)


def test_no_windows_are_refused() -> None:
    with pytest.raises(ValueError, match="got 0"):
        suite_compact.run(None, windows=0, engine=network())


def judged(epe: float = 2.4, **metrics: float) -> dict[str, bool | None]:
    part = {
        "kind": "rendered",
        "metrics": {"depth": {"median": metrics}, "flow": {"all": {"epe": epe}}},
        "baselines": {"zero_flow": {"flow": {"all": {"epe": 5.0}}}},
    }
    document = {"source": {"main": "a"}, "sets": {"a": part}}
    return {f"{goal['metric']} {goal['goal']}": goal["reached"] for goal in goals_of(document)}


def test_goals_are_judged_by_numbers_and_by_baselines() -> None:
    good, bad = judged(abs_rel=0.12, delta1=0.9), judged(abs_rel=0.13, delta1=0.8)

    assert good["depth.median.abs_rel <= 0.12"] is True
    assert good["depth.median.delta1 >= 0.88"] is True
    assert bad["depth.median.abs_rel <= 0.12"] is False
    assert bad["depth.median.delta1 >= 0.88"] is False
    assert good["flow.all.epe <= 0.5 x zero"] is True
    assert judged(epe=2.6)["flow.all.epe <= 0.5 x zero"] is False
    # there is no DIS and no mask here
    assert good["flow.all.epe <= DIS"] is None
    assert good["mask.head.iou >= 0.5"] is None


def test_a_real_sample_is_judged_by_the_truth_it_has() -> None:
    real = {
        "kind": "real",
        "metrics": {"flow": {"all": {"epe": 7.0}}},
        "baselines": {"zero_flow": {"flow": {"all": {"epe": 6.0}}}},
    }
    main = {"kind": "rendered", "metrics": {}, "baselines": {}}
    document = {"source": {"main": "a"}, "sets": {"a": main, "b": real}}

    goals = [goal for goal in goals_of(document) if goal["set"] == "b"]

    assert [(goal["metric"], goal["reached"]) for goal in goals] == [("flow.all.epe", False)]


def test_the_table_names_each_goal_and_whether_it_is_reached(
    first: tuple[dict[str, Any], Path],
) -> None:
    lines = list(report_lines(first[0]))

    depth = next(line for line in lines if "depth AbsRel, median-scaled" in line)
    constant = look_up(first[0]["baselines"], "constant_depth.depth.median.abs_rel")
    assert f"constant {constant:.3f}" in depth
    assert depth.endswith(": NOT reached")
    assert lines[-1].startswith("goals reached: ")
    assert lines[0].startswith("tiny_motion (1.68 M parameters, cpu fp32)")
