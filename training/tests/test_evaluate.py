"""Answers as the evaluation takes them: greedy, with the threshold of "The book does not say" of the model's config."""

import torch

from palimpsest_training.config import ModelConfig
from palimpsest_training.evaluate import Reader
from palimpsest_training.facts import UNKNOWN
from palimpsest_training.model import InfiniLlama
from palimpsest_training.tokenizer import train_tokenizer


def test_the_bias_moves_the_first_token_of_the_unknown_answer_alone():
    tokenizer = train_tokenizer(["The book does not say. The clock stood behind the door, and nobody saw it. " * 20], 300)
    torch.manual_seed(1)
    model = InfiniLlama(ModelConfig(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                                    head_dim=8, vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=64, memory_heads=2,
                                    memory_kv_heads=2, memory_head_dim=8))
    reader = Reader(model, tokenizer, torch.device("cpu"))
    ids = torch.randint(2, 200, (1, 1, 9))
    with torch.no_grad():
        _, _, states = model.read_and_ask(ids, torch.ones(1, 1, 9, dtype=torch.bool), keep_states=True)
    answer = lambda bias: reader.answer([[[5, 6, 7]]], [states], max_new=4, unknown_bias=bias)[0][0]
    first = tokenizer.decode(tokenizer.encode(" " + UNKNOWN, add_special_tokens=False).ids[:1]).strip()
    plain = answer(0.0)
    assert not plain.startswith(first)
    assert answer(-100.0).startswith(first) and answer(-100.0).count(first) < 4  # the first token, not those after it
    assert answer(100.0) == plain
