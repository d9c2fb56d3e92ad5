"""Llama folders of Hugging Face: their numbers, their weights straight onto the device, and what opens and ends a text.

Everything that cannot be used is refused with a FolderError, whose message is a sentence for the person who gave the
folder: before any weight is read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor

from .config import ModelConfig
from .model import InfiniLlama, rope_table

HEADS_FILE = "memory_heads.safetensors"

# Plain Llamas by size, with the numbers of their config.json (vocabulary and rope of Llama 3.1 and 3.2).
_LLAMA3_ROPE = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                "original_max_position_embeddings": 8192}
_8B = ModelConfig(hidden_size=4096, intermediate_size=14336, num_hidden_layers=32, num_attention_heads=32, num_key_value_heads=8,
                  head_dim=128, vocab_size=128256, max_position_embeddings=131072, rms_norm_eps=1e-5, rope_theta=500000.0,
                  rope_scaling=_LLAMA3_ROPE, tie_word_embeddings=False, memory_heads=0, memory_kv_heads=0)
SHAPES = {
    "8b": _8B,
    "3b": replace(_8B, hidden_size=3072, intermediate_size=8192, num_hidden_layers=28, num_attention_heads=24, tie_word_embeddings=True,
                  rope_scaling=_LLAMA3_ROPE | {"factor": 32.0}),
    "1b": replace(_8B, hidden_size=2048, intermediate_size=8192, num_hidden_layers=16, head_dim=64, tie_word_embeddings=True,
                  rope_scaling=_LLAMA3_ROPE | {"factor": 32.0}),
    "tiny": replace(_8B, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                    head_dim=16, vocab_size=8192, max_position_embeddings=2048, rope_scaling=_LLAMA3_ROPE | {"original_max_position_embeddings": 64}),
}


class FolderError(ValueError):
    """A folder that cannot be used, in a sentence."""


def read_json(file: Path) -> dict:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise FolderError(f"{file} is no valid JSON: {error}") from None


def read_config(folder: Path) -> ModelConfig:
    """The numbers of a plain Llama. Refuses what the model's definition (model.py) does not compute."""
    folder = Path(folder)
    if not folder.is_dir():
        raise FolderError(f"There is no folder {folder}. Give the folder that holds the model's config.json.")
    if not (folder / "config.json").is_file():
        raise FolderError(f"{folder} has no config.json, so it is no model folder of Hugging Face.")
    data = read_json(folder / "config.json")
    if data.get("infini_attention") or (folder / HEADS_FILE).exists():
        raise FolderError(f"{folder} has memory heads already. Give the folder of the plain Llama that they were made for.")
    kind = (data.get("architectures") or ["LlamaForCausalLM" if data.get("model_type") == "llama" else "an unnamed one"])[0]
    if kind != "LlamaForCausalLM" and not (kind == "MistralForCausalLM" and data.get("sliding_window", 4096) is None):
        raise FolderError(f"{folder} is no Llama: its architecture is {kind}. Only LlamaForCausalLM, and MistralForCausalLM without a "
                          "sliding window, can be given memory heads.")
    if data.get("quantization_config"):
        raise FolderError(f"The weights of {folder} are quantised. Take the unquantised model (bf16, f16 or f32).")
    for field, usable in (("attention_bias", False), ("mlp_bias", False), ("hidden_act", "silu"), ("partial_rotary_factor", 1.0)):
        if data.get(field, usable) != usable:
            raise FolderError(f"{folder} cannot be used: its config.json has {field} = {data[field]}, and only {usable} is known.")
    config = ModelConfig.from_folder(folder)
    rope = (config.rope_scaling or {}).get("rope_type", (config.rope_scaling or {}).get("type", "default"))
    if rope not in ("default", "llama3"):
        raise FolderError(f"{folder} cannot be used: its rope type is {rope}, and only default and llama3 are known.")
    if config.num_attention_heads % config.num_key_value_heads:
        raise FolderError(f"{folder} cannot be used: {config.num_attention_heads} attention heads cannot share "
                          f"{config.num_key_value_heads} key-value heads.")
    return config


def weight_files(folder: Path) -> dict[str, Path]:
    """The file of each tensor, single or sharded."""
    index = folder / "model.safetensors.index.json"
    files = [folder / "model.safetensors"]
    if not files[0].exists():
        if not index.exists():
            raise FolderError(f"{folder} has neither model.safetensors nor model.safetensors.index.json. Fetch the safetensors files of the model.")
        files = [folder / name for name in sorted(set(read_json(index)["weight_map"].values()))]
    found: dict[str, Path] = {}
    for file in files:
        if not file.exists():
            raise FolderError(f"{folder} lacks the file {file.name}, which its index names.")
        try:
            with safe_open(file, "pt") as tensors:
                found |= {name: file for name in tensors.keys()}
        except SafetensorError as error:
            raise FolderError(f"{file} cannot be read as safetensors: {error}") from None
    return found


def checked_files(folder: Path, config: ModelConfig) -> dict[str, Path]:
    """weight_files(), once every tensor that the config calls for is known to be there in its shape."""
    found = weight_files(folder)
    for name, p in meta_model(replace(config, memory_heads=0, memory_kv_heads=0)).named_parameters():
        if name not in found:
            raise FolderError(f"{folder} has no tensor {name}; config.json asks for {list(p.shape)}.")
        with safe_open(found[name], "pt") as tensors:
            part = tensors.get_slice(name)
            shape, dtype = part.get_shape(), part.get_dtype()
        if list(shape) != list(p.shape):
            raise FolderError(f"In {found[name]}, {name} is {shape} where config.json asks for {list(p.shape)}.")
        if dtype not in ("BF16", "F16", "F32"):
            raise FolderError(f"In {found[name]}, {name} is of type {dtype}; BF16, F16 and F32 can be used.")
    return found


def meta_model(config: ModelConfig, dtype: torch.dtype = torch.bfloat16) -> InfiniLlama:
    """Shapes without memory: the base of type `dtype`, frozen; memory heads fp32, to be trained."""
    with torch.device("meta"):
        model = InfiniLlama(config).to(dtype)
        for name, p in model.named_parameters():
            if ".memory_" in name:
                p.data = p.data.float()
            else:
                p.requires_grad_(False)
    return model


Source = Callable[[str, torch.Size], Tensor]  # name, shape -> the whole tensor, on whatever device


def base_weights(files: dict[str, Path], device: torch.device) -> Source:
    """Read one by one from the folder, straight onto the device."""

    def source(name: str, shape: torch.Size) -> Tensor:
        with safe_open(files[name], "pt", device=str(device)) as tensors:
            return tensors.get_tensor(name)

    return source


def random_weights(seed: int, device: torch.device, dtype: torch.dtype = torch.bfloat16) -> Source:
    """A base that says nothing sensible, made on the device."""
    generator = torch.Generator(device).manual_seed(seed)

    def source(name: str, shape: torch.Size) -> Tensor:
        if len(shape) == 1:
            return torch.ones(shape, device=device, dtype=dtype)
        std = 0.02 if "embed_tokens" in name or "lm_head" in name else shape[1] ** -0.5
        return torch.empty(shape, device=device, dtype=dtype).normal_(0, std, generator=generator)

    return source


def new_heads(seed: int) -> Source:
    """As InfiniLlama.reset_parameters makes them: an output projection of zero changes nothing until it has learned
    something. On the CPU, so that every rank has the same."""
    generator = torch.Generator().manual_seed(seed)

    def source(name: str, shape: torch.Size) -> Tensor:
        if name.endswith("memory_o_proj.weight"):
            return torch.zeros(shape)
        return torch.empty(shape).normal_(0, 1 / math.sqrt(shape[1]), generator=generator)

    return source


def materialise(model: InfiniLlama, base: Source, heads: Source, device: torch.device) -> None:
    """Gives a meta model its weights, one tensor at a time; of a sharded one each rank keeps its part."""
    filled = {}
    for name, p in model.named_parameters():
        w = (heads if ".memory_" in name else base)(name, p.shape).to(device=device, dtype=p.dtype)
        filled[name] = distribute_tensor(w, p.device_mesh, p.placements, src_data_rank=None) if isinstance(p, DTensor) else w
        del w
    model.load_state_dict(filled, assign=True)
    model.cos, model.sin = (t.to(device) for t in rope_table(model.c, model.c.max_position_embeddings))


def tokenizer_of(folder: Path, config: ModelConfig) -> Tokenizer:
    file = Path(folder) / "tokenizer.json"
    if not file.exists():
        raise FolderError(f"{folder} has no tokenizer.json. Fetch it from where the model came from.")
    tokenizer = Tokenizer.from_file(str(file))
    if tokenizer.get_vocab_size(with_added_tokens=False) > config.vocab_size:
        raise FolderError(f"The tokenizer of {folder} has {tokenizer.get_vocab_size()} tokens, but the model has only {config.vocab_size}.")
    return tokenizer


def bos_of(tokenizer: Tokenizer) -> int | None:
    """The token that the tokenizer puts before each text, if it does: what the engine goes by, too."""
    plain, opened = (tokenizer.encode("a", add_special_tokens=added).ids for added in (False, True))
    return opened[0] if len(opened) > len(plain) and opened[1 : len(plain) + 1] == plain else None


def eos_of(folder: Path, tokenizer: Tokenizer) -> int:
    """The token with which answers end: the tokenizer's own, if it is one of those at which the model stops."""
    stops: list[int] = []
    for file in ("config.json", "generation_config.json"):
        ids = read_json(folder / file).get("eos_token_id") if (folder / file).exists() else None
        stops += ids if isinstance(ids, list) else [] if ids is None else [ids]
    named = read_json(folder / "tokenizer_config.json").get("eos_token") if (folder / "tokenizer_config.json").exists() else None
    own = tokenizer.token_to_id(named["content"] if isinstance(named, dict) else named) if named else None
    if not stops and own is None:
        raise FolderError(f"{folder} does not say which token ends a text: eos_token_id is missing in config.json and generation_config.json.")
    return own if own is not None and (own in stops or not stops) else stops[0]
