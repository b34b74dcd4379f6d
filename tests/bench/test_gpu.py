"""bench/gpu.py without a GPU: the whole command on tiny models, and its GPU parts on stand-ins."""

import json
import subprocess
import sys
import time
import types
import warnings
from pathlib import Path

import gpu
import gpu_report
import pytest
import steps
import torch
from shapes import SHAPES, build

from sea.optimize import layers
from sea.optimize.loop import StepReport

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(steps, "WARM_UP", 1)
    monkeypatch.setattr(steps, "TIMED", 2)


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--device", "cpu", "--tiny", *arguments])
    gpu.main()


def test_the_command_on_the_cpu(quick, monkeypatch, tmp_path, capsys):
    graphs = []

    def backend(graph, _):
        graphs.append(graph)
        return graph.forward

    monkeypatch.setattr(layers, "BACKEND", backend)
    monkeypatch.setenv("OUT", str(tmp_path))
    run(monkeypatch, "--shape", "qwen2-vl-7b-video", "--batch", "1", "3", "--answer", "9", "--steps", "4")
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert found["skipped"] == [] and graphs  # one row of what was compiled
    rows = {(row["loop"], row["batch"]): row for row in found["rows"]}
    best = max((1, 3), key=lambda batch: rows["ours", batch]["tokens_a_second"])
    assert set(rows) == {("naive, frozen", 1), ("ours", 1), ("ours", 3), ("ours, compiled", best)}
    for (_, batch), row in rows.items():
        assert len(row["steps_s"]) == 2
        assert row["projected_s"] == pytest.approx(4 * row["step_s"] / batch)
        # The slot's tokens (160 rows of E, four of which make a token), and two pairs but for each last token.
        assert row["tokens_a_second"] * row["step_s"] == pytest.approx(batch * (40 + 2 * (20 + 9 - 1)))
    printed = capsys.readouterr().out
    assert "projected s a sample (x 4 steps)" in printed
    assert "matrix rate" not in printed and "peak" not in printed  # of GPUs alone
    times = rows["naive, frozen", 1]["step_s"] / rows["ours", 3]["step_s"] * 3
    assert f" {times:.2f} |" in next(line for line in printed.splitlines() if "| ours | 3 |" in line)


def test_without_a_gpu_the_command_says_so(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    with pytest.raises(SystemExit):
        gpu.main()
    assert "there is no GPU here" in capsys.readouterr().err


def test_the_budget_ends_the_command(quick, monkeypatch, tmp_path):
    monkeypatch.setattr(gpu, "_measure_shape", lambda *_: time.sleep(5))
    monkeypatch.setattr(gpu_report.Report, "attempt", without_estimate(gpu_report.Report.attempt))
    started = time.monotonic()
    run(monkeypatch, "--seconds", "0.2", "--json", str(tmp_path / "gpu.json"))
    assert time.monotonic() - started < 4
    (what,) = json.loads((tmp_path / "gpu.json").read_text())["skipped"]
    assert what.endswith("the time was up")


def without_estimate(attempt):
    return lambda self, what, needs_s, work: attempt(self, what, 0, work)


def test_a_part_that_fails_or_has_no_time_is_noted_and_the_next_runs():
    report = gpu_report.Report(None, time.monotonic() + 100, {"steps": 1})

    def fail(error):
        raise error

    done = []
    report.attempt("a", 1, lambda: fail(torch.OutOfMemoryError("x")))
    report.attempt("b", 1, lambda: fail(ValueError("no\nkernel")))
    report.attempt("c", 1000, lambda: done.append("c"))
    report.attempt("d", 1, lambda: done.append("d"))
    assert report.skipped == ["a: does not fit into memory", "b: ValueError: no kernel", "c: no time left"]
    assert done == ["d"]


def test_the_table_of_a_gpu():
    row = {"shape": "M", "batch": 1, "steps_s": [0.1, 0.3], "tokens_a_second": 5000.0, "projected_s": 1.4}
    naive = {**row, "loop": "naive, frozen", "step_s": 0.2, "peak_gib": 20.0, "share_of_matrix_rate": 0.25}
    ours = {**row, "loop": "ours", "batch": 2, "step_s": 0.1, "peak_gib": 30.0, "share_of_matrix_rate": 0.5}
    profile = {"shape": "M", "batch": 2, "wall": 0.1, **dict.fromkeys([*steps.GROUPS, steps.OTHER], 0.01)}
    report = gpu_report.Report(
        None, 0, {"steps": 7, "matrix_rate": 1e14}, [naive, {**ours, "host_syncs": 1}], [profile], ["X: no time left"]
    )
    text = gpu_report.table(report)
    assert "| M | naive, frozen | 1 | 200.0 (100.0 - 300.0) | 5,000 | 1.00 | 20.0 | 25.0% |  | 1.40 |" in text
    assert "| M | ours | 2 | 100.0 (100.0 - 300.0) | 5,000 | 4.00 | 30.0 | 50.0% | 1 | 1.40 |" in text
    assert "| M | 2 | 100.0 | 10.0% | 10.0% | 10.0% | 10.0% | 10.0% | 50.0% |" in text
    assert text.endswith("Left out: X: no time left")


class Steps:
    """A loop whose every step does something and reports."""

    def __init__(self, observe, do=lambda: None, active=2):
        self.observe, self.do, self.active = observe, do, active

    def __iter__(self):
        for step in range(1, 100):
            self.do()
            self.observe(StepReport(step, self.active, 0, 1.0, 0.0))
        yield types.SimpleNamespace(failure="not finite")


def test_a_smaller_batch_is_not_taken_for_the_one_asked_for():
    with pytest.raises(steps.DoesNotFitError):
        steps.seconds_of_steps(lambda observe: Steps(observe, active=1), batch=2)


def test_a_loop_that_ends_is_no_measurement():
    with pytest.raises(RuntimeError, match="not finite"):
        steps.watch(lambda observe: Steps(observe), 2, lambda step: None)


def test_the_first_steps_are_not_timed(monkeypatch):
    clock = iter([100.0, 200.0, 300.0, *(300.0 + step for step in range(1, 20))])
    monkeypatch.setattr(steps.time, "perf_counter", lambda: next(clock))
    assert steps.seconds_of_steps(lambda observe: Steps(observe), 2) == [1.0] * steps.TIMED


def test_slow_steps_are_timed_less_often_but_three_times(monkeypatch):
    stamps = [0.0, 1.0, 2.0]
    assert not steps.enough([*stamps, 32.0, 62.0])
    assert steps.enough([*stamps, 32.0, 62.0, 92.0])
    assert not steps.enough([*stamps, 3.0, 4.0, 5.0])


def test_host_syncs_are_those_of_one_step(monkeypatch):
    modes = []
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", modes.append)

    def do():
        for text in (
            "called a synchronizing CUDA operation",
            "something else",
            "called a synchronizing CUDA operation",
        ):
            warnings.warn(text, stacklevel=1)

    assert steps.host_syncs(lambda observe: Steps(observe, do), 2) == 2
    assert modes == ["warn", "default"]


def test_kernels_are_those_of_the_steps_that_are_seen(monkeypatch):
    calls = []

    def kernel(key, seconds, device="CUDA", annotation=False):
        kind = types.SimpleNamespace(name=device)
        spent = seconds * 1e6 * steps.SEEN
        return types.SimpleNamespace(
            key=key, self_device_time_total=spent, device_type=kind, is_user_annotation=annotation
        )

    events = [
        kernel("fmha_cutlassF_bf16_aligned_64x64_rf_sm80(PyTorchMemEffAttention)", 0.5),
        kernel("nvjet_tst_256x128_64x4_2x1_v_bz_coopA_NTN", 2.0),
        kernel("aten::mm", 2.0, device="CPU"),  # the same time, by the operation that started it
        kernel("a step", 9.0, annotation=True),
    ]
    profiler = types.SimpleNamespace(
        start=lambda: calls.append("start"), stop=lambda: calls.append("stop"), key_averages=lambda: events
    )
    monkeypatch.setattr(torch.profiler, "profile", lambda activities: profiler)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    found = steps.kernel_seconds(lambda observe: Steps(observe, lambda: calls.append("step")), 2)
    assert calls == ["step"] * steps.WARM_UP + ["start"] + ["step"] * steps.SEEN + ["stop"]
    assert found.pop("wall") > 0
    assert found == {**dict.fromkeys([*steps.GROUPS, steps.OTHER], 0.0), "attention": 0.5, "matrix products": 2.0}


@pytest.mark.parametrize(
    ("name", "group"),
    [
        (
            "void cutlass::Kernel2<cutlass_80_tensorop_bf16_s16816gemm_relu_bf16_256x128_32x3_nn_align8>",
            "matrix products",
        ),
        ("cudnn_generated_fort_native_sdpa_sm90_flash_fprop_wgmma_f16_knob_7", "attention"),
        ("void at::native::elementwise_kernel<128, 4, at::native::direct_copy_kernel_cuda>", "copies"),
        ("void at::native::vectorized_elementwise_kernel<4, at::native::silu_kernel>", "elementwise and sums"),
        ("triton_red_fused__to_copy_mean_mul_pow_rsqrt_0", "elementwise and sums"),
        ("Memcpy DtoH (Device -> Pinned)", "copies"),
        ("at_cuda_detail::cub::DeviceScanKernel", "other"),
    ],
)
def test_kernels_by_name(name, group):
    assert steps.grouped([(name, 1.0)])[group] == 1.0


def test_random_weights_are_numbers_of_a_sane_scale():
    loaded = build(SHAPES["llava-1.5-7b"], "cpu", tiny=True)
    weights = dict(loaded.model.named_parameters())
    assert not any(weight.requires_grad or weight.is_meta for weight in weights.values())
    (products,) = {name for name in weights if name.endswith("layers.0.mlp.up_proj.weight")}
    assert weights[products].std().item() == pytest.approx(0.02, rel=0.1)
    norms = [weight for name, weight in weights.items() if name.endswith("layernorm.weight")]
    assert norms and all(bool((weight == 1).all()) for weight in norms)


def test_the_shell_script_sets_the_environment_and_hands_on_arguments(tmp_path):
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$HF_HUB_OFFLINE|$PYTHONPATH|$*"\n')
    python.chmod(0o755)
    done = subprocess.run(
        ["sh", str(ROOT / "bench" / "gpu.sh"), "--tiny"],
        env={"PATH": "/usr/bin:/bin", "PYTHON": str(python)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    offline, path, arguments = done.stdout.splitlines()[-1].split("|")
    assert (offline, arguments) == ("1", "bench/gpu.py --tiny")
    assert path.split(":")[-1] == str(ROOT)
