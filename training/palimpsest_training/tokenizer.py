"""The shipped model's tokenizer: byte-level BPE, digits one by one, every segment opened by <s>."""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from .corpus import REPLACEMENTS

BOS, EOS = "<s>", "</s>"


def train_tokenizer(texts, vocab_size: int = 8192) -> Tokenizer:
    """BPE over `texts` (an iterable of strings). Ids 0 and 1 are <s> and </s>."""
    tokenizer = Tokenizer(models.BPE())
    steps = [normalizers.NFC()] + [normalizers.Replace(a, b) for a, b in REPLACEMENTS.items()]
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[BOS, EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A {BOS} $B", special_tokens=[(BOS, tokenizer.token_to_id(BOS))]
    )
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, folder: Path, max_length: int) -> None:
    """tokenizer.json and the tokenizer_config.json that transformers reads beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOS,
        "eos_token": EOS,
        "add_bos_token": True,
        "model_max_length": max_length,
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


def main() -> None:
    import argparse

    from .corpus import book_files, read_book

    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--books", type=Path, required=True)
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--vocab-size", type=int, default=8192)
    p.add_argument("--characters", type=int, default=120_000, help="of each book")
    p.add_argument("--max-length", type=int, default=2048)
    a = p.parse_args()
    texts = (read_book(f, a.characters) for f in book_files(a.books, held_out=False))
    save_tokenizer(train_tokenizer(texts, a.vocab_size), a.out, a.max_length)


if __name__ == "__main__":
    main()
