"""The shipped folder: its PyTorch definition gives what the engine's parity test expects, and its base is a plain Llama."""

import sys
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "training"))

from make_shipped_golden import MODEL, golden  # noqa: E402
from palimpsest_training.export import load_folder  # noqa: E402


def test_golden_file_is_what_the_definition_computes():
    stored = load_file(ROOT / "tests" / "data" / "shipped_golden.safetensors")
    computed = golden()
    assert stored.keys() == computed.keys()
    for name, value in computed.items():
        torch.testing.assert_close(value, stored[name], rtol=2e-3, atol=2e-3, msg=lambda m, n=name: f"{n}: {m}")


def test_on_an_empty_memory_the_model_is_the_llama_that_transformers_knows():
    ours = load_folder(MODEL).eval()
    c = ours.c
    theirs = LlamaForCausalLM(LlamaConfig(
        hidden_size=c.hidden_size, intermediate_size=c.intermediate_size, num_hidden_layers=c.num_hidden_layers,
        num_attention_heads=c.num_attention_heads, num_key_value_heads=c.num_key_value_heads, head_dim=c.head_dim,
        vocab_size=c.vocab_size, max_position_embeddings=c.max_position_embeddings, rms_norm_eps=c.rms_norm_eps,
        rope_theta=c.rope_theta, tie_word_embeddings=c.tie_word_embeddings)).eval()
    missing, unexpected = theirs.load_state_dict({k: v for k, v in ours.state_dict().items() if "memory_" not in k}, strict=False)
    assert not unexpected and set(missing) <= {"lm_head.weight"}
    ids = torch.randint(2, c.vocab_size, (1, 50), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        hidden, _, _ = ours.read_and_ask(ids.unsqueeze(0), torch.ones(1, 1, 50, dtype=torch.bool))
        torch.testing.assert_close(ours.head(hidden[0]), theirs(ids).logits, rtol=1e-3, atol=1e-3)
