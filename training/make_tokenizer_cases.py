"""Writes tests/data/tokenizers: small tokenizers of every supported kind, and the ids that the tokenizers library gives.

    python training/make_tokenizer_cases.py

The vocabularies are trained on the bundled book (Standard Ebooks, CC0).
"""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from make_tiny_model import book_paragraphs

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "data" / "tokenizers"
LLAMA3_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
MARK = "\u2581"

TEXTS = [
    "", " ", "  ", "\n", "a", "The Time Traveller", " leading and trailing ", "two  spaces   three", "tabs\tand\r\nlines\n\n\nend",
    "It's he'll WE'RE I'D don't 'tis", "1895 and 3.14159 and \u0663\u0664 \u00bd", "na\u00efve caf\u00e9 Z\u00fcrich \u00c5ngstr\u00f6m", "e\u0301te\u0301 A\u030a \u212b \uac00 \u1112\u1161\u11ab",
    "\u6642\u9593\u65c5\u884c\u8005\u306f\u3001\u8a71\u3057\u305f\u3002", "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440!", "\u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5\u05dd", "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea",
    "\u201cQuotes\u201d \u2018single\u2019 \u2014 dash\u2026 \u00a0nbsp\u2009thin\u200bzero\u00adsoft", "snake_case camelCase x86_64 a+b=c", "https://example.org/?a=1&b=2#c", "!!!???... ---- ====", "<s> and </s> in a text <|x|>",
    "\u2581mark itself\u2581\u2581", "fi\ufb01 \u2460 \u00b2 \uff21", "\x00\x01\x7f control", "word" * 40, "\ufffd \ufeffbom", " \u00a0 \u3000 ", "end with newline\n", "<keep>joined<keep> and <strip>  after",
]


def trainer(**more):
    return trainers.BpeTrainer(special_tokens=["<unk>", "<s>", "</s>"], show_progress=False, **more)


def byte_level(name: str, pre_tokenizer, normalizer=None, ignore_merges: bool = False, bos: bool = True) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(book_paragraphs(), trainer(vocab_size=400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    level = processors.ByteLevel(trim_offsets=False)
    template = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)])
    tokenizer.post_processor = processors.Sequence([level, template]) if bos else level
    return tokenizer


def sentencepiece_style(metaspace: bool) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=not metaspace))
    bytes_ = [] if metaspace else [f"<0x{b:02X}>" for b in range(256)]
    prepare = [normalizers.Prepend(MARK), normalizers.Replace(" ", MARK)]
    space = pre_tokenizers.Metaspace(replacement=MARK, prepend_scheme="always", split=True)
    tokenizer.pre_tokenizer = space  # also while training, so that no merge reaches across words
    tokenizer.train_from_iterator(book_paragraphs(), trainers.BpeTrainer(special_tokens=["<unk>", "<s>", "</s>"] + bytes_, vocab_size=650, limit_alphabet=90, show_progress=False))
    if metaspace:
        tokenizer.decoder = decoders.Metaspace(replacement=MARK, prepend_scheme="always")
        return tokenizer
    data = json.loads(tokenizer.to_str())
    data["pre_tokenizer"] = None
    data["added_tokens"] = [t for t in data["added_tokens"] if not t["content"].startswith("<0x")]
    tokenizer = Tokenizer.from_str(json.dumps(data))
    tokenizer.normalizer = normalizers.Sequence(prepare)
    tokenizer.decoder = decoders.Sequence([decoders.Replace(MARK, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)])
    return tokenizer


def tokenizers() -> dict[str, Tokenizer]:
    level = pre_tokenizers.ByteLevel
    split = pre_tokenizers.Split(Regex(LLAMA3_PATTERN), "isolated")
    made = {
        "gpt2_style": byte_level("gpt2", level(add_prefix_space=False), bos=False),
        "prefix_space": byte_level("prefix", level(add_prefix_space=True)),
        "llama3_style": byte_level("llama3", pre_tokenizers.Sequence([split, level(add_prefix_space=False, use_regex=False)]), ignore_merges=True),
        "digits_and_replacements": byte_level(
            "digits",
            pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), level(add_prefix_space=False)]),
            normalizers.Sequence(
                [normalizers.NFC(), normalizers.Replace("\u201c", '"'), normalizers.Replace("\u201d", '"'), normalizers.Replace("\u2026", "..."), normalizers.Replace("\u200b", ""), normalizers.Replace(Regex(" {3,}"), "  ")]
            ),
        ),
        "nfkc_digit_groups": byte_level("nfkc", pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=False), level(add_prefix_space=False)]), normalizers.NFKC()),
        "sentencepiece_style": sentencepiece_style(metaspace=False),
        "metaspace": sentencepiece_style(metaspace=True),
    }
    made["gpt2_style"].add_tokens([AddedToken("<keep>", normalized=False), AddedToken("<strip>", lstrip=True, rstrip=True, normalized=False), AddedToken("   ", normalized=True)])
    return made


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    cases = {}
    for name, tokenizer in tokenizers().items():
        tokenizer.save(str(FOLDER / f"{name}.json"), pretty=False)
        # Plain text: the names of special tokens stay text, so texts that hold one are checked as prompts only.
        special = [t.content for t in tokenizer.get_added_tokens_decoder().values() if t.special]
        cases[name] = []
        for text in TEXTS:
            ids = tokenizer.encode(text, add_special_tokens=False).ids
            cases[name].append({"text": text, "ids": ids, "decoded": tokenizer.decode(ids), "plain": not any(s in text for s in special)})
    lines = ",\n".join(json.dumps(name) + ": [\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases[name]) + "]" for name in cases)
    (FOLDER / "cases.json").write_text("{" + lines + "}\n")


if __name__ == "__main__":
    main()
