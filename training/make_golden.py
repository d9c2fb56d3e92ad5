"""Writes tests/data/golden: tiny random models with what PyTorch computes from them, for the engine's parity test.

    python training/make_golden.py               # same files each time

Each case is a model folder without tokenizer, and golden.safetensors beside it:
    tokens [n], lengths [segments], bos [1] (-1 = none)      what is read, segment after segment
    logits.{s} [L, V]                                        of segment s, BOS included, reading the memory before it
    prompt [p], prompt_logits [p, V]                         a question that reads the memory after all of them
    layers.{i}.{base,added}.{M,z}                            that memory; base: only KV heads whose gates are not all 0
    reply [r]                                                the greedy continuation of the prompt
Computed in f32 by palimpsest_training/reference.py, and plain Llamas by transformers.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from palimpsest_training.config import ModelConfig
from palimpsest_training.model import InfiniLlama
from palimpsest_training.reference import Memory, segment

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "data" / "golden"
INFINITY = float("inf")
LLAMA3 = {"rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}

BASE = ModelConfig(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=4,
                   head_dim=8, vocab_size=40, max_position_embeddings=48, segment_length=12, memory_heads=2, memory_kv_heads=2,
                   memory_head_dim=8, memory_gate=False)

# name: config, beta of the base heads, whether a BOS opens each segment, lengths of the segments
CASES = {
    "memory-heads": (BASE, None, True, (12, 9, 11)),
    "memory-heads-without-bos": (BASE, None, False, (12, 1, 10)),
    "gates-gqa": (replace(BASE, memory_heads=0, memory_kv_heads=0, num_key_value_heads=2, memory_gate=True, tie_word_embeddings=False),
                  (0.3, -INFINITY, -INFINITY, -INFINITY), True, (12, 10)),
    "gates-and-heads": (replace(BASE, num_key_value_heads=2, memory_gate=True, memory_heads=4, memory_kv_heads=2, memory_head_dim=12),
                        (2.0, -1.0, 0.5, -INFINITY), True, (11, 12, 7)),
    "delta-heads": (replace(BASE, memory_update="delta", memory_heads=3, memory_kv_heads=1, memory_head_dim=6), None, True, (12, 12, 5)),
    "delta-gates-and-heads": (replace(BASE, memory_update="delta", memory_gate=True, num_key_value_heads=2, memory_head_dim=12),
                              (-0.5, 1.5, 0.0, 3.0), False, (9, 12, 12)),
    "rope-llama3": (replace(BASE, num_key_value_heads=1, rope_theta=500.0, rope_scaling=LLAMA3, tie_word_embeddings=False,
                            max_position_embeddings=160, segment_length=96), None, True, (96, 80)),
    "plain-llama": (replace(BASE, memory_heads=0, memory_kv_heads=0, num_key_value_heads=2, rope_theta=500.0, rope_scaling=LLAMA3,
                            max_position_embeddings=160, tie_word_embeddings=False), None, True, ()),
    "heads-in-some-layers": (replace(BASE, num_hidden_layers=4, memory_layers=[1, 3], memory_heads=4, memory_kv_heads=2, memory_head_dim=12), None, True,
                             (12, 9, 11)),
    "scaled-heads": (replace(BASE, memory_heads=4, memory_kv_heads=2, memory_head_dim=12, memory_scaled=True), None, True, (12, 9, 11)),
    "long-keys": (replace(BASE, num_hidden_layers=3, memory_layers=[1, 2], memory_heads=3, memory_kv_heads=3, memory_head_dim=24, memory_value_dim=10),
                  None, True, (12, 9, 11)),
    "long-keys-delta": (replace(BASE, memory_update="delta", memory_heads=2, memory_kv_heads=1, memory_head_dim=8, memory_value_dim=12), None, False,
                        (12, 10, 7)),
}


def random_model(config: ModelConfig, beta, generator: torch.Generator) -> InfiniLlama:
    """Weights of ordinary size that bf16 holds exactly, so that the files are small and every reader has the same numbers."""
    model = InfiniLlama(config)
    for name, p in model.named_parameters():
        if name.endswith("memory_gate"):
            value = torch.tensor(beta)
        elif name.endswith("memory_power"):
            value = 0.5 * torch.randn(p.shape, generator=generator)
        elif p.dim() == 1:
            value = 1 + 0.2 * torch.randn(p.shape, generator=generator)
        else:
            value = torch.randn(p.shape, generator=generator) * (1.0 if "embed" in name else 1.2 * p.shape[1] ** -0.5)
        p.data.copy_(value.bfloat16().float())
    return model


def export(model: InfiniLlama, name: str, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(model.c.to_json(name), indent=1) + "\n")
    base, added = {}, {}
    for key, value in model.state_dict().items():
        (added if "memory_" in key else base)[key] = value.bfloat16().contiguous()
    save_file(base, folder / "model.safetensors", metadata={"format": "pt"})
    if added:
        save_file(added, folder / "memory_heads.safetensors", metadata={"format": "pt"})


@torch.no_grad()
def read(model: InfiniLlama, beta, bos: int | None, lengths, prompt: list[int], generator: torch.Generator) -> dict:
    c = model.c
    memory = Memory(model)
    out, tokens = {}, []
    for s, length in enumerate(lengths):
        own = torch.randint(2, c.vocab_size, (length,), generator=generator).tolist()
        tokens += own
        out[f"logits.{s}"] = segment(model, own, memory, write=True, bos=bos)
    out["prompt_logits"] = segment(model, prompt, memory.clone(), write=False, bos=bos)
    reply: list[int] = []
    for _ in range(6):
        reply.append(int(segment(model, prompt + reply, memory.clone(), write=False, bos=bos)[-1].argmax()))
    for i, layer in enumerate(memory.parts):
        for part, (M, z) in layer.items():
            if part == "base":
                group = c.num_attention_heads // c.num_key_value_heads
                open_ = [g for g in range(c.num_key_value_heads) if any(b > -INFINITY for b in beta[g * group : (g + 1) * group])]
                M, z = M[open_], z[open_]
            out[f"layers.{i}.{part}.M"], out[f"layers.{i}.{part}.z"] = M, z
    out |= {"tokens": torch.tensor(tokens, dtype=torch.int32), "lengths": torch.tensor(lengths, dtype=torch.int32)}
    out["reply"] = torch.tensor(reply, dtype=torch.int32)
    return out


@torch.no_grad()
def plain(folder: Path, prompt: list[int], bos: int) -> dict:
    """The same by transformers, which must read the folder as it is."""
    from transformers import LlamaForCausalLM

    llama = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    ids = torch.tensor([[bos] + prompt])
    reply = llama.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=6, do_sample=False, eos_token_id=None, pad_token_id=0)
    return {"prompt_logits": llama(ids).logits[0], "reply": reply[0, ids.shape[1] :].int(),
            "tokens": torch.zeros(0, dtype=torch.int32), "lengths": torch.zeros(0, dtype=torch.int32)}


def main() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    for number, (name, (config, beta, with_bos, lengths)) in enumerate(CASES.items()):
        generator = torch.Generator().manual_seed(number)
        model = random_model(config, beta, generator)
        folder = FOLDER / name
        export(model, name, folder)
        bos = 0 if with_bos else None
        prompt = torch.randint(2, config.vocab_size, (100 if config.max_position_embeddings > 100 else 20,), generator=generator).tolist()
        golden = read(model, beta, bos, lengths, prompt, generator) if lengths else plain(folder, prompt, 0)
        golden["prompt"] = torch.tensor(prompt, dtype=torch.int32)
        golden["bos"] = torch.tensor([-1 if bos is None else bos], dtype=torch.int32)
        save_file({k: v.contiguous() for k, v in golden.items()}, folder / "golden.safetensors")
        print(f"{name:28s} {sum(f.stat().st_size for f in folder.iterdir()) / 1024:.0f} KB")


if __name__ == "__main__":
    main()
