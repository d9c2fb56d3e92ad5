"""A folder of random weights is one that can be loaded, with memory heads or without."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import measure_usual  # noqa: E402

from palimpsest_training.config import ModelConfig  # noqa: E402
from palimpsest_training.export import load_model  # noqa: E402

HERE = Path(__file__).resolve().parents[1]
SHIPPED = HERE.parent / "resources" / "models" / "palimpsest-mini"


@pytest.mark.parametrize("heads", [0, 3])
def test_what_is_written_loads(tmp_path, heads):
    flags = ["--memory-heads", str(heads), "--memory-head-dim", "32", "--segment-length", "128"] if heads else []
    done = subprocess.run([sys.executable, HERE / "random_llama.py", "--shape", "tiny", "--tokenizer", SHIPPED, "--out", tmp_path, "--device", "cpu",
                           "--shard-gb", "0.0005", *flags], capture_output=True, text=True, check=True)
    config = ModelConfig.from_folder(tmp_path)
    assert (config.memory_heads, (tmp_path / "memory_heads.safetensors").exists()) == (heads, heads > 0)
    assert json.loads((tmp_path / "config.json").read_text())["_name_or_path"] == "random-tiny"
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    model = load_model(tmp_path)
    assert done.stdout.startswith(f"{sum(p.numel() for p in model.parameters()):,} parameters")
    if heads:
        assert (config.memory_head_dim, config.segment_length) == (32, 128)
        read = model.model.layers[1].self_attn
        assert read.memory_k_proj.weight.shape == (3 * 32, config.hidden_size)
        assert read.memory_o_proj.weight.abs().sum() > 0  # what is read is heard
    logits = model.head(model.read_and_ask(torch.arange(32).view(1, 1, 32), None)[0])
    assert torch.isfinite(logits).all()


def test_the_usual_implementation_is_measured_on_it(tmp_path):
    subprocess.run([sys.executable, HERE / "random_llama.py", "--shape", "tiny", "--tokenizer", SHIPPED, "--out", tmp_path / "model", "--device", "cpu"], check=True)
    subprocess.run([sys.executable, HERE / "measure_usual.py", "--model", tmp_path / "model", "--contexts", "64", "1K", "--portion", "256", "--decode", "24",
                    "--compile-modes", "", "--gigabytes", "0.01", "--seconds", "0.01", "--device", "cpu", "--out", tmp_path / "usual.json"], check=True)
    report = json.loads((tmp_path / "usual.json").read_text())
    assert [row["tokens"] for row in report["reading"]] == [64, 1024]
    assert all(row["tokens_per_second"] > 0 and row["decoding_eager"] > 0 for row in report["reading"])
    assert report["copy_gb_per_second"] > 0 and report["read_gb_per_second"] > 0
    (generated,) = report["generating"]  # on a CPU nothing is compiled
    assert generated["tokens"] == 64 and generated["tokens_per_second"] != 0


def test_what_fails_or_takes_too_long_is_said_in_its_place():
    assert measure_usual.tried(lambda: {"tokens": 1}, 5) == {"tokens": 1}
    assert measure_usual.tried(lambda: {"tokens": 1 // 0}, 5)["error"].startswith("ZeroDivisionError: ")
    assert measure_usual.tried(lambda: time.sleep(9), 1)["error"] == "TimeoutError: took longer than 1 s"
