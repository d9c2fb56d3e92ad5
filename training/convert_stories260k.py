"""Converts stories260K, a real pretrained Llama of 260 thousand parameters, from llama2.c's format to a Hugging Face folder.

    python training/convert_stories260k.py stories260K.bin tok512.bin tests/data/stories260K

The formats: karpathy/llama2.c, export.py (legacy_export) and tokenizer.py. MIT licence, kept beside the model.
"""

from __future__ import annotations

import argparse
import json
import struct
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

# How the model goes on by itself at temperature 0 (llama2.c's own test). A right conversion finds this text very likely.
STORY = "Once upon a time, there was a little girl named Lily. She loved to play outside in the park."
MARK = "\u2581"  # SentencePiece writes a space as this


def straightened(matrix: np.ndarray, times: int) -> np.ndarray:
    """Undoes an export that transposed this matrix in its loop over the layers, `times` times instead of never.

    Each time its numbers were read in rows of the wrong length, [columns, rows], and put down transposed; the shape was
    left as it is.
    """
    shape, numbers = matrix.shape, matrix.reshape(-1)
    for _ in range(times):
        numbers = numbers.reshape(shape).T.reshape(-1)
    return numbers.reshape(shape)


def read_weights(file: Path, transposed: bool = False) -> tuple[dict, dict]:
    """config.json fields and tensors by their Hugging Face names. `transposed`: of a file that has to be straightened()."""
    data = file.read_bytes()
    dim, hidden, layers, heads, kv_heads, vocab, positions = struct.unpack_from("<7i", data)
    tied, vocab, head_dim = vocab > 0, abs(vocab), dim // heads
    floats, at = np.frombuffer(data, np.float32, offset=28), 0

    def take(*shape: int) -> np.ndarray:
        nonlocal at
        size = int(np.prod(shape))
        block = floats[at : at + size].reshape(shape)
        at += size
        return block

    def unrotated(matrix: np.ndarray, count: int) -> np.ndarray:
        # llama2.c rotates neighbours (2i, 2i + 1), transformers the halves (i, i + dim / 2): the rows are put in that order.
        return matrix.reshape(count, head_dim // 2, 2, dim).swapaxes(1, 2).reshape(count * head_dim, dim)

    tensors = {"model.embed_tokens.weight": take(vocab, dim)}
    parts = {
        "input_layernorm": take(layers, dim),
        "self_attn.q_proj": take(layers, heads * head_dim, dim),
        "self_attn.k_proj": take(layers, kv_heads * head_dim, dim),
        "self_attn.v_proj": take(layers, kv_heads * head_dim, dim),
        "self_attn.o_proj": take(layers, dim, heads * head_dim),
        "post_attention_layernorm": take(layers, dim),
        "mlp.gate_proj": take(layers, hidden, dim),
        "mlp.down_proj": take(layers, dim, hidden),
        "mlp.up_proj": take(layers, hidden, dim),
    }
    for name, stack in parts.items():
        for i in range(layers):
            matrix = straightened(stack[i], layers) if transposed and stack[i].ndim == 2 else stack[i]
            if name == "self_attn.q_proj":
                matrix = unrotated(matrix, heads)
            elif name == "self_attn.k_proj":
                matrix = unrotated(matrix, kv_heads)
            tensors[f"model.layers.{i}.{name}.weight"] = matrix
    tensors["model.norm.weight"] = take(dim)
    take(2, positions, head_dim // 2)  # tables of sines and cosines that nobody reads any more
    if not tied:
        tensors["lm_head.weight"] = take(vocab, dim)
    assert at == len(floats), f"{file}: {len(floats) - at} numbers are left over"
    config = {
        "_name_or_path": "stories260K",
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "torch_dtype": "float32",
        "hidden_size": dim,
        "intermediate_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head_dim,
        "vocab_size": vocab,
        "max_position_embeddings": positions,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": tied,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    return config, {name: torch.from_numpy(values.copy()) for name, values in tensors.items()}


def read_vocabulary(file: Path, size: int) -> list[tuple[str, float]]:
    """(entry, score) by id. llama2.c writes spaces for marks and puts newlines around <s> and </s>."""
    data, at, entries = file.read_bytes(), 4, []
    for i in range(size):
        score, length = struct.unpack_from("<fi", data, at)
        at += 8
        text = data[at : at + length].decode("utf-8")
        at += length
        entries.append(({1: "<s>", 2: "</s>"}.get(i, text).replace(" ", MARK), score))
    assert at == len(data), f"{file}: bytes are left over"
    return entries


def tokenizer_json(entries: list[tuple[str, float]]) -> dict:
    """SentencePiece merges the neighbours whose joined entry has the best score: as a list of merges, best first."""
    ids = {entry: i for i, (entry, _) in enumerate(entries)}
    special = {"<unk>", "<s>", "</s>"}
    merges = []
    for entry, score in entries:
        if entry not in special and not (entry.startswith("<0x") and len(entry) == 6):
            merges += [(-score, ids[entry[:k]], ids[entry[k:]]) for k in range(1, len(entry)) if entry[:k] in ids and entry[k:] in ids]
    names = [entry for entry, _ in entries]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": ids[name], "content": name, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
            for name in ("<unk>", "<s>", "</s>")
        ],
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": MARK}, {"type": "Replace", "pattern": {"String": " "}, "content": MARK}]},
        "pre_tokenizer": None,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
        },
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": MARK}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0},
            ],
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": "<unk>",
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": ids,
            "merges": [f"{names[left]} {names[right]}" for _, left, right in sorted(merges)],
        },
    }


def story_loss(folder: Path) -> float:
    """Mean loss per token of the model's own story: about 1 when all is well, log(512) = 6.2 for blind guessing."""
    ids = torch.tensor([Tokenizer.from_file(str(folder / "tokenizer.json")).encode(STORY).ids])
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        return model(ids, labels=ids).loss.item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path)
    parser.add_argument("vocabulary", type=Path)
    parser.add_argument("folder", type=Path)
    a = parser.parse_args()
    a.folder.mkdir(parents=True, exist_ok=True)
    for transposed in (False, True):  # there are files of both kinds, and they look alike
        config, tensors = read_weights(a.weights, transposed)
        tokenizer = tokenizer_json(read_vocabulary(a.vocabulary, config["vocab_size"]))
        save_file(tensors, a.folder / "model.safetensors", metadata={"format": "pt"})
        (a.folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        (a.folder / "tokenizer.json").write_text(json.dumps(tokenizer, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        generation = {"bos_token_id": config["bos_token_id"], "eos_token_id": config["eos_token_id"]}
        (a.folder / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")
        loss = story_loss(a.folder)
        if loss < 3.0:
            print(f"{a.folder}: loss {loss:.2f} on the model's own story" + (", its matrices straightened" if transposed else ""))
            return
    raise SystemExit(f"{a.weights}: the converted model has a loss of {loss:.1f} on its own story, so these weights are damaged; fetch the file again")


if __name__ == "__main__":
    main()
