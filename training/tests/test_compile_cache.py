"""--compile-cache: what torch.compile made is kept in a file, and taken from it by the next run."""

import json

import torch

from palimpsest_training import train
from palimpsest_training.model import InfiniLlama

SHAPE = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 8, "vocab_size": 400}


def test_what_was_compiled_is_kept_and_taken_up_again(plain_books, tmp_path, monkeypatch):
    """torch's own part, compiling, takes a minute and is left out."""
    monkeypatch.setattr(InfiniLlama, "compile_blocks", lambda self: None)
    monkeypatch.setattr(torch, "compile", lambda f, **_: f)
    taken = []
    monkeypatch.setattr(torch.compiler, "save_cache_artifacts", lambda: (b"compiled", None))
    monkeypatch.setattr(torch.compiler, "load_cache_artifacts", taken.append)
    kept = tmp_path / "cache"
    arguments = ["--phase", "base", "--data", str(plain_books.folder / "books.npz"), "--tokenizer", str(plain_books.folder / "tokenizer"), "--config", json.dumps(SHAPE),
                 "--tokens", "2048", "--workers", "1", "--steps", "1", "--device", "cpu", "--compile", "--compile-cache", str(kept), "--out", str(tmp_path / "out.pt")]
    train.train(train.parser().parse_args(arguments))
    assert kept.read_bytes() == b"compiled" and not taken
    train.train(train.parser().parse_args(arguments))
    assert taken == [b"compiled"]
