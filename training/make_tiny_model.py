"""Writes tests/data/tiny-model: a Llama of three layers with random weights and memory heads, for the engine's tests.

    python training/make_tiny_model.py            # same files each time

It says nothing sensible, but has every part of a real folder: grouped queries, bf16 weights, tied embeddings, added
memory heads in each layer, gates on one layer's own heads (one KV group of them without any memory), a byte-level BPE
tokenizer with digits one by one and a BOS. The tokenizer is trained on the bundled book (Standard Ebooks, CC0).
"""

from __future__ import annotations

import html
import json
import re
import zipfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "resources" / "books" / "se_the-time-machine.epub"
FOLDER = ROOT / "tests" / "data" / "tiny-model"
BOS, EOS = "<s>", "</s>"

HIDDEN, INTERMEDIATE, LAYERS, HEADS, KV_HEADS, HEAD_DIM, VOCAB = 64, 128, 3, 4, 2, 16, 512
MEMORY_HEADS, MEMORY_KV_HEADS, MEMORY_HEAD_DIM = 2, 1, 16

CONFIG = {
    "_name_or_path": "tiny-model",
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_act": "silu",
    "attention_bias": False,
    "mlp_bias": False,
    "torch_dtype": "bfloat16",
    "hidden_size": HIDDEN,
    "intermediate_size": INTERMEDIATE,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "head_dim": HEAD_DIM,
    "vocab_size": VOCAB,
    "max_position_embeddings": 256,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "tie_word_embeddings": True,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "infini_attention": {
        "segment_length": 32,
        "segment_cutter": 1,
        "memory_update": "linear",
        "memory_heads": MEMORY_HEADS,
        "memory_kv_heads": MEMORY_KV_HEADS,
        "memory_head_dim": MEMORY_HEAD_DIM,
        "epsilon": 1e-6,
        "prompts": {
            "question": "Question: {question}\nAnswer:",
            "turn": "Question: {question}\nAnswer: {answer}\n\n",
            "passages": "{passages}\n\n",
            "summary": "Book card:\n",
            "unknown": "The book does not say.",
        },
    },
}


def book_paragraphs() -> list[str]:
    """The paragraphs of the bundled EPUB, tags taken out: enough for a vocabulary."""
    paragraphs = []
    with zipfile.ZipFile(BOOK) as archive:
        for name in sorted(archive.namelist()):
            if "/text/chapter" in name and name.endswith(".xhtml"):
                page = archive.read(name).decode("utf-8")
                for match in re.finditer(r"<p[ >].*?</p>", page, re.S):
                    paragraphs.append(" ".join(html.unescape(re.sub(r"<[^>]*>", "", match.group())).split()))
    return paragraphs


def make_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB,
        special_tokens=[BOS, EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(book_paragraphs(), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{BOS} $A", pair=f"{BOS} $A {BOS} $B", special_tokens=[(BOS, 0)])
    return tokenizer


def make_weights() -> tuple[dict, dict]:
    """Names as in DESIGN; every value is exact in bf16. Matrices have entries of about 1 / sqrt(columns)."""
    random = np.random.default_rng(2404_07143)

    def matrix(rows: int, columns: int, scale: float = 1.0) -> torch.Tensor:
        values = random.standard_normal((rows, columns)) * scale / np.sqrt(columns)
        return torch.tensor(values, dtype=torch.float32).to(torch.bfloat16)

    def norm() -> torch.Tensor:
        return torch.tensor(1.0 + 0.1 * random.standard_normal(HIDDEN), dtype=torch.float32).to(torch.bfloat16)

    base = {"model.embed_tokens.weight": matrix(VOCAB, HIDDEN, scale=2.0), "model.norm.weight": norm()}
    memory = {}
    for i in range(LAYERS):
        layer, attention = f"model.layers.{i}.", f"model.layers.{i}.self_attn."
        base[layer + "input_layernorm.weight"] = norm()
        base[layer + "post_attention_layernorm.weight"] = norm()
        base[attention + "q_proj.weight"] = matrix(HEADS * HEAD_DIM, HIDDEN)
        base[attention + "k_proj.weight"] = matrix(KV_HEADS * HEAD_DIM, HIDDEN)
        base[attention + "v_proj.weight"] = matrix(KV_HEADS * HEAD_DIM, HIDDEN)
        base[attention + "o_proj.weight"] = matrix(HIDDEN, HEADS * HEAD_DIM)
        base[layer + "mlp.gate_proj.weight"] = matrix(INTERMEDIATE, HIDDEN)
        base[layer + "mlp.up_proj.weight"] = matrix(INTERMEDIATE, HIDDEN)
        base[layer + "mlp.down_proj.weight"] = matrix(HIDDEN, INTERMEDIATE)
        memory[attention + "memory_q_proj.weight"] = matrix(MEMORY_HEADS * MEMORY_HEAD_DIM, HIDDEN)
        memory[attention + "memory_k_proj.weight"] = matrix(MEMORY_KV_HEADS * MEMORY_HEAD_DIM, HIDDEN)
        memory[attention + "memory_v_proj.weight"] = matrix(MEMORY_KV_HEADS * MEMORY_HEAD_DIM, HIDDEN)
        memory[attention + "memory_o_proj.weight"] = matrix(HIDDEN, MEMORY_HEADS * MEMORY_HEAD_DIM)
    # beta of layer 1's own heads: the first KV group mixes memory and attention, the second is purely local.
    off = float("-inf")
    memory["model.layers.1.self_attn.memory_gate"] = torch.tensor([1.5, -0.5, off, off], dtype=torch.float32)
    return base, memory


def write_json(name: str, value: dict) -> None:
    (FOLDER / name).write_text(json.dumps(value, indent=2) + "\n")


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    base, memory = make_weights()
    save_file(base, FOLDER / "model.safetensors", metadata={"format": "pt"})
    save_file(memory, FOLDER / "memory_heads.safetensors", metadata={"format": "pt"})
    make_tokenizer().save(str(FOLDER / "tokenizer.json"))
    write_json("config.json", CONFIG)
    write_json("generation_config.json", {"bos_token_id": 0, "eos_token_id": [1]})
    write_json(
        "tokenizer_config.json",
        {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": BOS, "eos_token": EOS, "model_max_length": 256, "clean_up_tokenization_spaces": False},
    )


if __name__ == "__main__":
    main()
