"""Batches whose documents are neighbours in one book: what one says is asked of the others in vain."""

import numpy as np
import pytest

from palimpsest_training.batches import BatchMaker
from palimpsest_training.facts import UNKNOWN
from palimpsest_training.questions import IGNORE


@pytest.fixture
def maker(plain_books):
    return BatchMaker(plain_books, seed=5, tokens_per_batch=16384, question_length=80)


def test_neighbours_follow_one_another_and_begin_with_a_sentence(maker, plain_books):
    maker.begin_neighbours(1000, 4)
    at = maker.neighbours.at
    maker.neighbours.renamed = None
    for _ in range(4):
        prose = maker.neighbour(1000)
        assert at in plain_books.sentence_ends and (plain_books.tokens[at : at + 1000] == prose.tokens).all()
        assert 0 <= maker.neighbours.at - (at + 1000) < 60
        at = maker.neighbours.at


def test_a_book_that_is_read_to_its_end_is_begun_again(maker, plain_books):
    maker.begin_neighbours(1000, 4)
    maker.neighbours.renamed, maker.neighbours.at = None, len(plain_books.tokens) - 10
    assert (maker.neighbour(500).tokens == plain_books.tokens[:500]).all()


def test_people_are_called_the_same_in_all_neighbours(maker, plain_books):
    maker.begin_neighbours(4000, 6)
    maker.neighbours.renamed = {}
    called = []
    for _ in range(6):
        begin = maker.neighbours.at
        asked = [plain_books.mined[i] for i in plain_books.questions(begin, begin + 4000)]
        called += [(old, new) for (_, old), (_, new) in zip(asked, maker.neighbour(4000).questions)]
    renamed = maker.neighbours.renamed
    assert len(called) > 2 and renamed and all(new == renamed.get(old, old) for old, new in called)


def test_what_a_neighbour_says_is_refused(maker, plain_books, monkeypatch):
    monkeypatch.setattr("palimpsest_training.batches.NEIGHBOURS_SHARE", 1.0)
    decode, refused, told = plain_books.tokenizer.decode, 0, 0
    for _ in range(6):
        batch = maker.memory_batch("4k")
        texts = [decode(s[w].tolist()) for s, w in zip(batch["segments"], batch["write"])]
        for b, (questions, answers) in enumerate(zip(batch["questions"], batch["answers"])):
            for ids, answer in zip(questions, answers):
                at = np.flatnonzero(answer != IGNORE)
                if not len(at):
                    continue
                question = decode(ids[: at[0] + 1].tolist()).split("Question: ")[-1]
                quoted = question.split('"')[1].removesuffix("...") if question.startswith("Who said") else None
                if quoted and any(quoted in t for i, t in enumerate(texts) if i != b) and quoted not in texts[b]:
                    told += 1
                    refused += decode(answer[at].tolist()).strip().startswith(UNKNOWN[:8])
    assert told > 5 and refused == told
    assert maker.neighbours is None  # rows of the base phase come from anywhere
