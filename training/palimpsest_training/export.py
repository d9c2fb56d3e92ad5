"""Weights -> the Hugging Face folder of DESIGN: int8 in the compressed-tensors convention, or bf16 / f32.

    python -m palimpsest_training.export --weights FILE.pt --tokenizer DIR --out FOLDER [--dtype int8]

int8: each matrix as I8 `weight` [rows, cols] and F32 `weight_scale` [rows, 1], symmetric per row. The embedding stays
in bf16 unless --int8-embedding is given; norms and gates stay in f32.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from .config import ModelConfig
from .model import InfiniLlama

QUANTIZATION = {
    "quant_method": "compressed-tensors",
    "format": "int-quantized",
    "quantization_status": "compressed",
    "ignore": ["lm_head"],
    "config_groups": {
        "group_0": {
            "targets": ["Linear"],
            "weights": {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "channel", "dynamic": False},
            "input_activations": None,
            "output_activations": None,
        }
    },
}


def quantise(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    scale = (weight.float().abs().amax(1, keepdim=True) / 127).clamp_min(1e-12)
    return (weight.float() / scale).round().clamp(-127, 127).to(torch.int8), scale


def export(config: ModelConfig, weights: dict[str, torch.Tensor], tokenizer: Path, out: Path, dtype: str, name: str) -> None:
    out.mkdir(parents=True, exist_ok=True)
    files: dict[str, dict[str, torch.Tensor]] = {"model.safetensors": {}, "memory_heads.safetensors": {}}
    for key, w in weights.items():
        part = files["memory_heads.safetensors" if ".memory_" in key else "model.safetensors"]
        if w.dim() == 2 and dtype == "int8" and "embed_tokens" not in key and "lm_head" not in key:
            part[key], part[key + "_scale"] = quantise(w)
        elif w.dim() == 2:
            part[key] = w.to(torch.float32 if dtype == "float32" else torch.bfloat16).contiguous()
        else:
            part[key] = w.float().contiguous()
    for file, tensors in files.items():
        if tensors:
            save_file(tensors, out / file, metadata={"format": "pt"})
    data = config.to_json(name, "float32" if dtype == "float32" else "bfloat16")
    if dtype == "int8":
        data["quantization_config"] = QUANTIZATION
    (out / "config.json").write_text(json.dumps(data, indent=2) + "\n")
    generation = {"bos_token_id": config.bos_token_id, "eos_token_id": config.eos_token_id, "do_sample": False}
    (out / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")
    for file in ("tokenizer.json", "tokenizer_config.json"):
        if (tokenizer / file).resolve() != (out / file).resolve():
            shutil.copyfile(tokenizer / file, out / file)


def load_folder(folder: Path) -> InfiniLlama:
    """The PyTorch definition with the weights of a folder (exported, converted or a plain Llama's), int8 expanded."""
    config = ModelConfig.from_folder(folder)
    tensors: dict[str, torch.Tensor] = {}
    for file in sorted(Path(folder).glob("*.safetensors")):
        tensors |= load_file(file)
    config.memory_gate = any(key.endswith("memory_gate") for key in tensors)
    model = InfiniLlama(config)
    weights = {}
    for key, w in tensors.items():
        if key.endswith("_scale"):
            continue
        if key == "lm_head.weight" and config.tie_word_embeddings or key.endswith("rotary_emb.inv_freq"):
            continue  # some folders hold these, though the config says what they are
        weights[key] = w.float() * tensors[key + "_scale"] if key + "_scale" in tensors else w.float()
    model.load_state_dict(weights)
    return model


def load_model(path) -> InfiniLlama:
    """A checkpoint (.pt) of train.py or an exported folder."""
    path = Path(path)
    if path.is_dir():
        return load_folder(path)
    saved = torch.load(path, map_location="cpu", weights_only=True)
    model = InfiniLlama(ModelConfig(**saved["config"]))
    model.load_state_dict({k: v.float() for k, v in saved["weights"].items()})
    return model


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--weights", type=Path, required=True)
    p.add_argument("--tokenizer", type=Path, required=True)
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--dtype", choices=["int8", "bfloat16", "float32"], default="int8")
    p.add_argument("--name", default="palimpsest-mini")
    p.add_argument("--unknown-bias", type=float, help="instead of the checkpoint's (see config.py)")
    p.add_argument("--sections", type=int, help="likewise")
    p.add_argument("--sure-doubt", type=float, help="likewise")
    p.add_argument("--answers-in-steps", action=argparse.BooleanOptionalAction, help="likewise")
    a = p.parse_args()
    saved = torch.load(a.weights, map_location="cpu", weights_only=True)
    config = ModelConfig(**saved["config"])
    for name in ("unknown_bias", "sections", "sure_doubt", "answers_in_steps"):
        if (value := getattr(a, name)) is not None:
            setattr(config, name, value)
    export(config, saved["weights"], a.tokenizer, a.out, a.dtype, a.name)


if __name__ == "__main__":
    main()
