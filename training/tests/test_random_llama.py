"""A folder of random weights is one that can be loaded, with memory heads or without."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from palimpsest_training.config import ModelConfig
from palimpsest_training.export import load_model

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
