# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The commands about the model: what they print, and how they fail."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import types
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from model_cases import lively, small_compact  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from vggt4d_ros.cli import main  # noqa: E402
from vggt4d_ros.model import catalogue, checkpoint  # noqa: E402
from vggt4d_ros.model.config import MotionConfig  # noqa: E402

GOLDEN = Path(__file__).parent / "data" / "golden"


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return checkpoint.save(tmp_path / "small.safetensors", lively(small_compact()), {"steps": 7})


def copy_case(name: str, folder: Path) -> Path:
    for suffix in (".json", ".safetensors"):
        shutil.copy(GOLDEN / f"{name}{suffix}", folder)
    return folder / name


def test_parity_prints_every_output_and_succeeds(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["parity", str(GOLDEN), "--only", "tiny", "pose", "preprocess"])

    out = capsys.readouterr().out
    assert status == 0
    assert "tiny         world_points " in out
    assert "preprocess   equal: 32 outputs" in out
    assert "DIFFERENT" not in out


def test_parity_fails_when_one_output_is_off(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = copy_case("pose", tmp_path)
    tensors = load_file(case.with_suffix(".safetensors"))
    tensors["decode/extrinsics"][0, 0, 0, 3] += 0.01
    save_file(tensors, case.with_suffix(".safetensors"))

    status = main(["parity", str(tmp_path)])

    out = capsys.readouterr().out
    assert status == 1
    assert "OUT OF IT" in out
    assert "pose         DIFFERENT" in out


def test_parity_of_a_folder_without_golden_files_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["parity", str(tmp_path)]) == 1
    assert "holds no golden files" in capsys.readouterr().err


def test_parity_names_the_cases_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["parity", str(GOLDEN), "--only", "huge"]) == 1
    assert "no case 'huge'; there are: dino_mini, full" in capsys.readouterr().err


def test_info_says_what_a_checkpoint_is(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(saved)]) == 0
    out = capsys.readouterr().out
    digest = hashlib.sha256(saved.read_bytes()).hexdigest()
    assert f"sha256      {digest}" in out
    assert "outputs     pose, depth, points, flow, dynamic, tracks" in out
    assert "steps       7" in out

    assert main(["info", str(saved), "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    assert about["config"] == json.loads(json.dumps(small_compact().to_dict()))
    assert about["bytes"] == saved.stat().st_size
    assert about["catalogue"] is None


def test_info_of_a_damaged_file_is_one_line(
    saved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved.write_bytes(saved.read_bytes()[:500])

    assert main(["info", str(saved)]) == 1
    error = capsys.readouterr().err
    assert "damaged or truncated" in error
    assert error.count("\n") == 1


@pytest.fixture
def entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> catalogue.Entry:
    """A catalogue entry of eleven bytes under the release's name."""
    content = b"hello robot"
    small = replace(
        catalogue.CATALOGUE["release"],
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )
    monkeypatch.setenv("VGGT4D_HOME", str(tmp_path / "home"))
    monkeypatch.setitem(catalogue.CATALOGUE, "release", small)
    (tmp_path / "copy.pt").write_bytes(content)
    return small


def test_download_from_a_copy_verifies_and_prints_the_licence(
    entry: catalogue.Entry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(["download", "release", "--from", str(tmp_path / "copy.pt")])

    out = capsys.readouterr().out
    assert status == 0
    assert entry.path.read_bytes() == b"hello robot"
    assert "CC-BY-NC-4.0" in out
    assert entry.sha256 in out
    assert sorted(p.name for p in entry.path.parent.iterdir()) == [entry.file]


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"hello robos", "has sha256"), (b"hello", "has 5 bytes"), (b"", "has 0 bytes")],
)
def test_download_of_another_file_is_refused_and_leaves_nothing(
    entry: catalogue.Entry,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    content: bytes,
    message: str,
) -> None:
    copy = tmp_path / "copy.pt"
    copy.write_bytes(content)

    assert main(["download", "release", "--from", str(copy)]) == 1

    assert message in capsys.readouterr().err
    assert list(entry.path.parent.iterdir()) == []
    assert copy.read_bytes() == content


def test_download_keeps_a_right_file_and_replaces_a_wrong_one(
    entry: catalogue.Entry, tmp_path: Path
) -> None:
    entry.path.parent.mkdir()
    entry.path.write_bytes(b"hello robos")
    assert main(["download", "release", "--from", str(tmp_path / "copy.pt")]) == 0
    assert entry.path.read_bytes() == b"hello robot"

    before = entry.path.stat().st_mtime_ns
    assert main(["download", "release", "--from", str(tmp_path / "missing.pt")]) == 0
    assert entry.path.stat().st_mtime_ns == before


def fake_hub(monkeypatch: pytest.MonkeyPatch, content: bytes | None) -> list[tuple[str, str]]:
    """Stands in for the hub's client: writes the content, or has no network."""
    asked: list[tuple[str, str]] = []

    def hf_hub_download(repository: str, file: str, *, local_dir: Path) -> str:
        asked.append((repository, file))
        if content is None:
            raise OSError("We couldn't connect to the hub\nmany more lines")
        path = Path(local_dir) / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return str(path)

    module = types.ModuleType("huggingface_hub")
    module.hf_hub_download = hf_hub_download  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    return asked


def test_download_takes_the_file_of_the_catalogue(
    entry: catalogue.Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = fake_hub(monkeypatch, b"hello robot")

    assert main(["download", "release"]) == 0

    assert asked == [("Aurora03/4D-VGGT-models", "4d-vggt-geometry-v1.pt")]
    assert entry.path.read_bytes() == b"hello robot"


def test_download_without_network_is_one_line(
    entry: catalogue.Entry, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_hub(monkeypatch, None)

    assert main(["download", "release"]) == 1

    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "couldn't connect" in error
    assert "run it again to go on" in error


def test_download_without_the_hubs_client_says_what_to_do(
    entry: catalogue.Entry, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)

    assert main(["download", "release"]) == 1
    assert "pip install huggingface_hub" in capsys.readouterr().err


def test_download_without_room_is_one_line(
    entry: catalogue.Entry, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(catalogue.CATALOGUE, "release", replace(entry, size=10**18))

    assert main(["download", "release"]) == 1
    assert "GB free, the release checkpoint needs" in capsys.readouterr().err


def test_catalogue_knows_the_published_release() -> None:
    from vggt4d_ros.model.config import release
    from vggt4d_ros.model.vggt4d import VGGT4D

    entry = catalogue.CATALOGUE["release"]
    with torch.device("meta"):
        count = sum(tensor.numel() for tensor in VGGT4D(release()).state_dict().values())

    assert entry.parameters == count
    # float32 weights and some 800 kB of names and zip records
    assert 4 * count < entry.size < 4 * count + 10**6
    assert len(entry.sha256) == 64


# of a bench that takes no time
SMALL = ("--size", "48x64", "--device", "cpu", "--threads", "1")


def test_bench_measures_the_network_and_writes_json(
    tmp_path: Path, saved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "bench.json"
    options = [*SMALL, "--grid", "2x3", "--windows", "3"]

    status = main(["bench", "model", "--model", str(saved), *options, "--json", str(out)])

    report = json.loads(out.read_text())
    assert status == 0
    assert report["grid"] == [2, 3]
    assert report["windows"] == 3
    assert 0 < report["ms_p50"] <= report["ms_p95"]
    assert sum(report["stage_ms_p50"].values()) < 2 * report["ms_p95"]
    assert set(report["stage_ms_p50"]) >= {"encoder", "cross_view", "cross_time", "heads"}
    assert report["peak_memory_bytes"] > report["weight_bytes"] > 10_000
    assert "ms p50" in capsys.readouterr().out


def test_bench_compares_with_windows_run_whole(
    tmp_path: Path, saved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "bench.json"
    options = [*SMALL, "--grid", "3x2", "--windows", "4"]

    main(
        ["bench", "model", "--model", str(saved), *options, "--reference", "2", "--json", str(out)]
    )

    report = json.loads(out.read_text())
    naive = report["reference"]
    assert naive["windows"] == 2
    assert naive["times_faster"] == pytest.approx(naive["ms_p50"] / report["ms_p50"])
    # one of three steps is new and decoded: that much less arithmetic, of work that is per frame
    # (the first blocks, counted with the encoder here, come on top)
    assert naive["stage_flops"]["encoder"] > 2.2 * report["stage_flops"]["encoder"] > 0
    assert naive["stage_flops"]["heads"] > 2 * report["stage_flops"]["heads"] > 0
    assert {"depth", "dynamic", "flow_backward", "rotation_deg"} <= set(
        naive["largest_differences"]
    )
    errors = naive["largest_differences"]
    assert errors.pop("flow_backward") < 0.05  # pixels; random weights magnify rounding here
    assert all(error < 1e-3 for error in errors.values()), errors
    assert report["peak_flops_per_s"] > 1e8
    assert 0 < report["trunk_peak_share"] < 10
    assert "times as long" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--grid", "4"], "--grid must be two numbers like 4x4, got '4'"),
        (["--grid", "0x4"], "--grid must be two numbers"),
        (["--size", "axb"], "--size must be two numbers"),
        (["--model", "huge"], "neither a file nor one of"),
        (["--device", "cuda:99"], "is not there"),
        (["--windows", "0"], "--windows must be at least 1"),
    ],
)
def test_bench_refuses_nonsense_in_one_line(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "model", *options]) == 1

    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_bench_imports_a_subject_only_when_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[object] = []
    module = types.ModuleType("vggt4d_ros.benchmark_node")
    module.configure = lambda parser: parser.add_argument("--rate", type=float)  # type: ignore
    module.run = lambda arguments: seen.append(arguments.rate) or 3  # type: ignore
    monkeypatch.setitem(sys.modules, "vggt4d_ros.benchmark_node", module)

    assert main(["bench", "node", "--rate", "30"]) == 3
    assert seen == [30.0]
    with pytest.raises(SystemExit):
        main(["bench", "nothing"])
    assert "invalid choice" in capsys.readouterr().err


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    """A network of one layer: tracing takes seconds a layer."""
    motion = MotionConfig(match_dim=8, feature_dim=8, hidden_dim=8, radius=1, refinements=1)
    config = small_compact(depth=1, taps=(0,), motion=motion)
    return checkpoint.save(tmp_path / "flat.safetensors", lively(config))


def test_export_writes_a_graph_that_says_the_same(
    flat: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "small.pt2"
    options = ["--checkpoint", str(flat), "--grid", "2x2", "--image", "32x48"]

    status = main(["export", str(out), *options])

    lines = capsys.readouterr().out
    assert status == 0
    assert out.stat().st_size > 100_000
    assert "flow_backward          largest difference" in lines
    assert [path.name for path in tmp_path.iterdir() if "part" in path.name] == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_onnx_file_says_the_same_with_a_missing_frame(flat: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    options = ["--checkpoint", str(flat), "--grid", "2x2", "--image", "32x48"]

    assert main(["export", str(tmp_path / "small.onnx"), *options]) == 0


def test_export_is_checked_on_a_picture_that_moves() -> None:
    from vggt4d_ros.model.export import STEP_PIXELS, VIEW_PIXELS, example

    model = lively(small_compact())
    images, valid = example(model, (2, 2), (64, 80), mask=True)

    step, view = images[0, 1, 0], images[0, 0, 1]
    first = images[0, 0, 0]
    assert images.shape == (1, 2, 2, 3, 64, 80)
    torch.testing.assert_close(step[:, :-2, :-2], first[:, STEP_PIXELS:, STEP_PIXELS:])
    torch.testing.assert_close(view[:, :-8, :-8], first[:, VIEW_PIXELS:, VIEW_PIXELS:])
    assert valid.sum() == 3
    assert not torch.equal(example(model, (2, 2), (64, 80), mask=True, seed=1)[0], images)


@pytest.mark.parametrize("off", [1.0, float("nan")])
def test_export_that_differs_fails(
    saved: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    off: float,
) -> None:
    from vggt4d_ros.model import export

    monkeypatch.setattr(export, "export", lambda model, inputs: None)
    monkeypatch.setattr(
        export, "write", lambda *args: lambda inputs: [x + off for x in expected(inputs)]
    )
    model = checkpoint.load(saved)

    def expected(inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return export.NewestStep(model)(*inputs)

    out = tmp_path / "x.pt2"
    out.write_bytes(b"")
    options = ["--checkpoint", str(saved), "--grid", "1x1", "--image", "32x48"]

    assert main(["export", str(out), *options]) == 1
    assert "differs from the network by more than 0.0001" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["x.engine"], "must end in one of .pt2, .onnx"),
        (["x.pt2", "--image", "100x160"], "multiple of 16 pixels"),
        (["x.pt2", "--grid", "4"], "--grid must be two numbers"),
        (["x.pt2", "--checkpoint", "none"], "neither a file"),
    ],
)
def test_export_refuses_nonsense_in_one_line(
    options: list[str],
    message: str,
    saved: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    if "--checkpoint" not in options:
        options = [*options, "--checkpoint", str(saved)]
    if "--grid" not in options:
        options = [*options, "--grid", "1x1"]

    assert main(["export", *options]) == 1
    assert message in capsys.readouterr().err
