"""Writes a Llama folder with random weights: the exact shape of a real one, for measuring and for trying the program.

    python training/random_llama.py --shape 8b --tokenizer resources/models/palimpsest-mini --out FOLDER [--device cuda]
    ... --memory-heads 8 --segment-length 2048      with random memory heads in every layer, for the engine's benchmark

Shapes: 8b (Llama 3.1 8B: 16 GB), 3b, 1b (Llama 3.2), tiny. bf16, sharded, the same weights for one --seed on one kind of
device. The tokenizer may know fewer tokens than the model has. It says nothing sensible.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file

sys.path.insert(0, str(Path(__file__).resolve().parent))

from palimpsest_training.config import ModelConfig  # noqa: E402
from palimpsest_training.llama_folder import HEADS_FILE, SHAPES, FolderError, bos_of, eos_of, meta_model, random_weights, tokenizer_of  # noqa: E402


def write(config: ModelConfig, name: str, tokenizer_folder: Path, out: Path, device: torch.device, shard_bytes: int, seed: int) -> int:
    """Returns the number of parameters. One shard stands in memory at a time, and the memory heads."""
    tokenizer = tokenizer_of(tokenizer_folder, config)
    out.mkdir(parents=True, exist_ok=True)
    source = random_weights(seed, device)
    shards: list[list[str]] = []  # names of the tensors of each
    places: dict[str, int] = {}  # tensor -> shard
    waiting: dict[str, torch.Tensor] = {}
    heads: dict[str, torch.Tensor] = {}
    size, total = 0, 0

    def finish() -> None:
        save_file({n: w.cpu().contiguous() for n, w in waiting.items()}, out / f"part-{len(shards)}", metadata={"format": "pt"})
        shards.append(list(waiting))
        waiting.clear()

    for tensor, p in meta_model(config).named_parameters():
        if ".memory_" in tensor:
            heads[tensor] = source(tensor, p.shape).cpu().contiguous()
            total += p.numel()
            continue
        if waiting and size + 2 * p.numel() > shard_bytes:
            finish()
            size = 0
        waiting[tensor] = source(tensor, p.shape)
        places[tensor] = len(shards)
        size, total = size + 2 * p.numel(), total + p.numel()
    finish()
    files = [f"model-{i + 1:05}-of-{len(shards):05}.safetensors" for i in range(len(shards))]
    for i, file in enumerate(files):
        (out / f"part-{i}").replace(out / file)
    if heads:
        save_file(heads, out / HEADS_FILE, metadata={"format": "pt"})
    base = total - sum(w.numel() for w in heads.values())
    index = {"metadata": {"total_size": 2 * base}, "weight_map": {tensor: files[i] for tensor, i in places.items()}}
    (out / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")
    bos = bos_of(tokenizer)
    config.bos_token_id, config.eos_token_id = 0 if bos is None else bos, eos_of(tokenizer_folder, tokenizer)
    (out / "config.json").write_text(json.dumps(config.to_json(name), indent=2) + "\n")
    for file in ("tokenizer.json", "tokenizer_config.json"):
        if (tokenizer_folder / file).exists():
            shutil.copyfile(tokenizer_folder / file, out / file)
    return total


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--shape", choices=list(SHAPES), default="8b")
    p.add_argument("--tokenizer", type=Path, required=True, help="folder with tokenizer.json")
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--memory-heads", type=int, default=0, help="per layer, each with an M and z of its own")
    p.add_argument("--memory-head-dim", type=int, help="the base's if not given")
    p.add_argument("--segment-length", type=int, default=2048)
    p.add_argument("--shard-gb", type=float, default=4.0)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    a = p.parse_args()
    shape = SHAPES[a.shape]
    config = replace(shape, memory_heads=a.memory_heads, memory_kv_heads=a.memory_heads, memory_head_dim=a.memory_head_dim or shape.head_dim,
                     segment_length=a.segment_length)
    try:
        total = write(config, f"random-{a.shape}", a.tokenizer, a.out, torch.device(a.device), int(a.shard_gb * 1e9), a.seed)
    except FolderError as error:
        sys.exit(f"random_llama: {error}")
    print(f"{total:,} parameters -> {a.out}")


if __name__ == "__main__":
    main()
