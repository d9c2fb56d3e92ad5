"""The numbers of a model, as config.json writes them (DESIGN: the Hugging Face folder, plus one file)."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

PROMPTS = {
    "question": "Question: {question}\nAnswer:",
    "turn": "Question: {question}\nAnswer: {answer}\n\n",
    "passages": "{passages}\n\n",
    "summary": "Book card:\n",
    "unknown": "The book does not say.",
}


@dataclass
class ModelConfig:
    hidden_size: int = 512
    intermediate_size: int = 1408
    num_hidden_layers: int = 8
    num_attention_heads: int = 8
    num_key_value_heads: int = 8
    head_dim: int = 64
    vocab_size: int = 8192
    max_position_embeddings: int = 2048
    rms_norm_eps: float = 1e-5
    rope_theta: float = 10000.0
    rope_scaling: dict | None = None
    tie_word_embeddings: bool = True
    bos_token_id: int = 0
    eos_token_id: int = 1
    # infini_attention
    segment_length: int = 256
    memory_update: str = "linear"  # or "delta"
    memory_heads: int = 4  # 0 = a plain Llama
    memory_kv_heads: int = 4
    memory_head_dim: int = 64  # of queries and keys
    memory_value_dim: int = 0  # of values; 0 = memory_head_dim
    memory_layers: list[int] | None = None  # the layers that have memory heads (gates: all of them have); None = every layer
    memory_scaled: bool = False  # what a memory head reads is scaled by a learned power of its size (model.scaled_read)
    memory_gate: bool = False  # beta on the base heads
    epsilon: float = 1e-6
    sections: int = 1  # so many parts of a book's memory are kept apart; one of them answers (sections.py)
    answers_in_steps: bool = False  # recalls sentences and asks on, as it was taught to (steps.py)
    sure_doubt: float = 0.0  # sections that doubt less are sure; the newest of them answers (sections.py)
    unknown_bias: float = 0.0  # nats taken from the first token of prompts["unknown"] when an answer begins
    prompts: dict = field(default_factory=lambda: dict(PROMPTS))

    def __post_init__(self) -> None:
        if self.memory_layers is None:
            return
        wrong = [i for i in self.memory_layers if not 0 <= i < self.num_hidden_layers]
        if wrong or not self.memory_layers:
            raise ValueError(f"There {'is no layer ' + str(wrong[0]) if wrong else 'are no layers chosen'} to have memory heads; "
                             f"the model's layers are 0 to {self.num_hidden_layers - 1}.")
        self.memory_layers = sorted(set(self.memory_layers))
        if len(self.memory_layers) == self.num_hidden_layers:
            self.memory_layers = None

    @property
    def has_memory(self) -> bool:
        return self.memory_heads > 0 or self.memory_gate

    @property
    def value_dim(self) -> int:
        """Of the memory heads' values."""
        return self.memory_value_dim or self.memory_head_dim

    def memory_heads_of(self, layer: int) -> int:
        return self.memory_heads if self.memory_layers is None or layer in self.memory_layers else 0

    def to_json(self, name: str, torch_dtype: str = "bfloat16") -> dict:
        out = {
            "_name_or_path": name,
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "hidden_act": "silu",
            "attention_bias": False,
            "mlp_bias": False,
            "torch_dtype": torch_dtype,
        }
        for key in ("hidden_size intermediate_size num_hidden_layers num_attention_heads num_key_value_heads head_dim vocab_size "
                    "max_position_embeddings rms_norm_eps rope_theta rope_scaling tie_word_embeddings bos_token_id eos_token_id").split():
            out[key] = getattr(self, key)
        if self.has_memory:
            # a number for every layer, or a list with one for each (the engine reads both)
            each = lambda n: n if self.memory_layers is None else [n if self.memory_heads_of(i) else 0 for i in range(self.num_hidden_layers)]
            out["infini_attention"] = {
                "segment_length": self.segment_length, "segment_cutter": 1, "memory_update": self.memory_update,
                "memory_heads": each(self.memory_heads), "memory_kv_heads": each(self.memory_kv_heads),
                "memory_head_dim": each(self.memory_head_dim),
                **({"memory_value_dim": each(self.value_dim)} if self.value_dim != self.memory_head_dim else {}),
                "epsilon": self.epsilon, "sections": self.sections, "unknown_bias": self.unknown_bias, "prompts": self.prompts,
            } | ({"memory_scaled": True} if self.memory_scaled else {}) | ({"sure_doubt": self.sure_doubt} if self.sure_doubt else {}) | (
                {"answers_in_steps": True} if self.answers_in_steps else {})
        return out

    @staticmethod
    def from_folder(folder: Path) -> "ModelConfig":
        data = json.loads((Path(folder) / "config.json").read_text())
        infini = data.pop("infini_attention", None) or {"memory_heads": 0, "memory_kv_heads": 0}
        rope = data.get("rope_parameters") or {}  # as transformers 5 writes it: rope_theta stands inside
        if rope:
            data["rope_theta"] = rope.get("rope_theta", data.get("rope_theta", 10000.0))
            data["rope_scaling"] = rope if rope.get("rope_type", "default") != "default" else None
        infini = _one_kind_of_heads(infini, data.get("num_hidden_layers", ModelConfig.num_hidden_layers))
        data.setdefault("num_key_value_heads", data["num_attention_heads"])
        data["head_dim"] = data.get("head_dim") or data["hidden_size"] // data["num_attention_heads"]
        for name, missing in (("tie_word_embeddings", False), ("rms_norm_eps", 1e-6)):  # transformers' defaults
            data.setdefault(name, missing)
        for name in ("bos_token_id", "eos_token_id"):
            ids = data.pop(name, None)
            ids = ids[0] if isinstance(ids, list) and ids else ids
            if isinstance(ids, int):
                data[name] = ids
        known = ModelConfig.__dataclass_fields__
        return ModelConfig(**{k: v for k, v in {**data, **infini}.items() if k in known})


def _one_kind_of_heads(infini: dict, layers: int) -> dict:
    """Lists with one number for each layer -> one number for all that have memory heads, and which these are."""
    infini = infini | {"memory_layers": None}
    lists = {k: infini[k] for k in ("memory_heads", "memory_kv_heads", "memory_head_dim", "memory_value_dim") if isinstance(infini.get(k), list)}
    for name, numbers in lists.items():
        if len(numbers) != layers:
            raise ValueError(f"{name} in config.json must have one entry for each of the {layers} layers, not {len(numbers)}.")
    heads = lists.get("memory_heads", [infini.get("memory_heads", 0)] * layers)
    chosen = [i for i, n in enumerate(heads) if n]
    for name, numbers in lists.items():
        kinds = sorted({numbers[i] for i in chosen})
        if len(kinds) > 1:
            raise ValueError(f"{name} in config.json differs from layer to layer ({', '.join(map(str, kinds))}); "
                             "only layers with the same memory heads, and layers without any, can be used in training.")
        infini[name] = kinds[0] if kinds else 0
    return infini | {"memory_layers": chosen} if chosen else infini
