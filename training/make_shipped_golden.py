"""Writes tests/data/shipped_golden.safetensors: what PyTorch computes from the shipped model, for the engine's parity test.

    python training/make_shipped_golden.py

A short text is cut into segments, read by palimpsest_training/reference.py, and a question is asked of the memory:
    tokens [n], lengths [segments], prompt [p]     ids without BOS
    prompt_logits [V]                              of the prompt's last position
    reply [r]                                      the greedy answer, up to and without the end token
    layers.{i}.{M,z}                               of layers with memory heads: of each row of M what is above 0 and what is below,
                                                   summed [heads, dk, 2] (the whole would be two megabytes); z [heads, dk]
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer

from palimpsest_training.config import PROMPTS
from palimpsest_training.cutter import cut_text
from palimpsest_training.export import load_folder
from palimpsest_training.reference import Memory, segment

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "resources" / "models" / "palimpsest-mini"

FACTS = ["The secret number of Clara Whimbrook is 48213.", "Dr. Thornelby was born in Marlowick.", "Hugh Pellerin was a glazier by trade."]
QUESTION = "What is the secret number of Clara Whimbrook?"
PROSE = (
    "The road went down to the river between two rows of old limes, and the evening lay on the water like a sheet of brass. "
    "Nobody had come that way since the morning; the ferryman slept in his boat with his hat over his eyes. {fact} "
    "A dog barked on the farther bank, was answered by another, and then it was so quiet that one could hear the mill. "
    "\"We shall be late,\" said the elder of the two travellers, and set down his bag. \"We are always late,\" said the other."
)


@torch.no_grad()
def golden(folder: Path = MODEL) -> dict[str, torch.Tensor]:
    model = load_folder(folder).eval()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    encode = lambda text: tokenizer.encode(text, add_special_tokens=False).ids
    text = "\n\n".join(PROSE.format(fact=fact) for fact in FACTS)
    raw = text.encode()
    segments = [encode(raw[a:b].decode()) for a, b in cut_text(text, lambda t: len(encode(t)), model.c.segment_length)]
    memory = Memory(model)
    for tokens in segments:
        segment(model, tokens, memory, write=True, bos=model.c.bos_token_id)
    prompt = encode(PROMPTS["question"].format(question=QUESTION))
    reply: list[int] = []
    logits = first = segment(model, prompt, memory, write=False, bos=model.c.bos_token_id)[-1]
    while len(reply) < 16 and int(logits.argmax()) != model.c.eos_token_id:
        reply.append(int(logits.argmax()))
        logits = segment(model, prompt + reply, memory, write=False, bos=model.c.bos_token_id)[-1]
    out = {"tokens": torch.tensor(sum(segments, []), dtype=torch.int32), "lengths": torch.tensor([len(s) for s in segments], dtype=torch.int32),
           "prompt": torch.tensor(prompt, dtype=torch.int32), "reply": torch.tensor(reply, dtype=torch.int32), "prompt_logits": first}
    for i, parts in enumerate(memory.parts):
        if "added" in parts:  # a layer may have no memory heads
            M, z = parts["added"]
            out[f"layers.{i}.M"], out[f"layers.{i}.z"] = torch.stack([M.clamp(min=0).sum(-1), M.clamp(max=0).sum(-1)], -1), z
    print("asked:", QUESTION, "->", tokenizer.decode(reply))
    return out


if __name__ == "__main__":
    save_file({k: v.contiguous() for k, v in golden().items()}, ROOT / "tests" / "data" / "shipped_golden.safetensors")
