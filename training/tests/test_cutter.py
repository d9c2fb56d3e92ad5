"""The cutter against the cases that the C++ cutter is held against as well, and its two Python forms against each other."""

import json
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from palimpsest_training.corpus import normalise
from palimpsest_training.cutter import TokenTable, cut_text, cut_tokens

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data"


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.from_file(str(DATA / "tiny-model" / "tokenizer.json"))


def test_cuts_are_those_of_the_engine(tokenizer):
    cases = json.loads((DATA / "cutter_cases.json").read_text())
    assert len(cases) > 20
    count = lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)
    for case in cases:
        assert [list(c) for c in cut_text(case["text"], count, case["segment_length"])] == case["cuts"], case["text"][:80]


def test_token_arrays_are_cut_where_the_text_is(tokenizer):
    text = normalise(
        'It was late. "Who goes there?" said Mr. Ashgrove (the clerk).\n\nNobody answered; a door--somewhere--fell shut!\n\n'
        "CHAPTER II\n\nThe year 1893 was cold... 'So,' he said, 'we wait.' And they waited for a very long time indeed. " * 12)
    ids = np.array(tokenizer.encode(text, add_special_tokens=False).ids)
    table = TokenTable(tokenizer)
    words = table.word_ends(ids)
    for length in (16, 32, 64):
        cuts = cut_tokens(words, table.sentence_ends(ids, words), length)
        ends, total = [], 0
        for begin, end in cut_text(text, lambda t: len(tokenizer.encode(t, add_special_tokens=False).ids), length):
            total += len(tokenizer.encode(text.encode()[begin:end].decode(), add_special_tokens=False).ids)
            ends.append(total)
        assert cuts == ends
        assert all(b - a <= length for a, b in zip([0] + cuts, cuts))
