"""Batches whose questions are asked of sections of a document that has been read as a whole."""

import random

import numpy as np
import pytest

from palimpsest_training import documents
from palimpsest_training.batches import BatchMaker
from palimpsest_training.facts import PASSKEY_QUESTION, UNKNOWN
from palimpsest_training.questions import IGNORE, Question, section_around, section_without

CUTS = [100, 200, 300, 400, 500, 600, 700, 800]
TOLD = Question([5], [6, 1], after=250, told_at=210)  # in the third segment
TORN = Question([5], [6, 1], after=310, told_at=290)  # in the third and the fourth


def test_a_section_around_an_answer_holds_it_and_may_lie_anywhere_around_it():
    drawn = {section_around(random.Random(i), TOLD, CUTS, 2) for i in range(2000)}
    assert all(begin <= 2 < end and end - begin >= 2 for begin, end in drawn)
    assert {(1, 3), (2, 4), (0, 8), (2, 8), (0, 3)} <= drawn
    assert all(begin <= 2 and 4 <= end for begin, end in (section_around(random.Random(i), TORN, CUTS, 1) for i in range(200)))
    assert section_around(random.Random(1), TOLD, CUTS[:3], 100) == (0, 3)  # there are no more
    assert {section_around(random.Random(i), Question([5], [6, 1], after=800, told_at=790), CUTS, 1)[1] for i in range(50)} == {8}


def test_a_section_without_it_holds_none_of_it():
    drawn = {section_without(random.Random(i), TORN, CUTS, 1) for i in range(2000)}
    assert all(0 <= begin < end <= 2 or 4 <= begin < end <= 8 for begin, end in drawn)
    assert {(0, 2), (1, 2), (4, 8), (7, 8)} <= drawn
    assert section_without(random.Random(1), TOLD, CUTS[2:3], 1) is None
    assert {section_without(random.Random(i), Question([5], [6, 1]), CUTS, 8) for i in range(9)} == {(0, 8)}


def test_a_card_is_asked_of_just_the_segments_that_it_is_about():
    card = Question([5], [6, 1], after=520, told_at=210, just_this=True)
    assert {section_around(random.Random(i), card, CUTS, 1) for i in range(9)} == {(2, 6)}


@pytest.fixture
def told(monkeypatch):
    """What each question about an invented fact is answered by."""
    known, draw = {}, documents.draw_training_facts

    def drawn(*args, **more):
        facts, unknown = draw(*args, **more)
        known.update({f.question: f.statement for f in facts})
        return facts, unknown

    monkeypatch.setattr(documents, "draw_training_facts", drawn)
    return known


def asked(batch, decode):
    """(row, column, question, answer, the section's text, the document's)"""
    text = lambda b, first, last: decode(batch["segments"][b, first:last][batch["write"][b, first:last]].tolist())
    for b, questions in enumerate(batch["questions"]):
        for q, (ids, answer) in enumerate(zip(questions, batch["answers"][b])):
            at = np.flatnonzero(answer != IGNORE)
            if len(at):
                question = decode(ids[: at[0] + 1].tolist()).split("Question: ")[-1].removesuffix("\nAnswer:").strip()
                begin, end = batch["begins"][b, q], batch["reads_from"][b, q]
                yield b, q, question, decode(answer[at].tolist()).strip(), text(b, begin, end), text(b, 0, None)


@pytest.mark.parametrize("stage", ["2k", "4k", "8k"])
def test_what_is_answered_stands_in_the_section_and_what_is_refused_does_not(plain_books, told, stage):
    maker = BatchMaker(plain_books, seed=5, tokens_per_batch=8192, sectioned_share=1.0)
    right = refused = sections = contested = 0
    for _ in range(8):
        told.clear()
        batch = maker.memory_batch(stage)
        for b, q, question, answer, section, whole in asked(batch, plain_books.tokenizer.decode):
            statement = told.get(question) or (question.split('"')[1].removesuffix("...") if question.startswith('Who said "') else None)
            if statement is None or whole.count(statement) != 1:
                continue
            sections += section != whole
            if answer.startswith(UNKNOWN[:-1]):
                if question not in told:  # the fixture's few lines are said again and again
                    continue
                assert statement not in section
                refused += 1
                contested += batch["contest"][b, q] < 0
            else:
                assert statement in section
                right += 1
    assert right > 100 and sections > 60 and refused >= contested > 20


def test_a_pass_key_is_refused_where_nothing_but_filler_stands(plain_books):
    """As most sections of such a text are."""
    maker = BatchMaker(plain_books, seed=8, tokens_per_batch=8192, sectioned_share=1.0)
    maker.rng.random = lambda: 0.04  # always a document of filler, whose questions are asked of sections
    right = refused = 0
    for _ in range(4):
        for _, _, question, answer, section, whole in asked(maker.memory_batch("4k"), plain_books.tokenizer.decode):
            assert question == PASSKEY_QUESTION and "pass key is" in whole
            if answer.startswith(UNKNOWN[:-1]):
                assert "pass key is" not in section
                refused += 1
            else:
                assert f"pass key is {answer.removesuffix('</s>').strip()}" in section
                right += 1
    assert right and refused > right


def test_a_documents_own_sections_contest_what_it_tells(plain_books):
    """Also where the batch is one document."""
    maker = BatchMaker(plain_books, seed=6, tokens_per_batch=8192, sectioned_share=1.0)
    with_teller = 0
    for _ in range(6):
        batch = maker.memory_batch("8k")
        assert len(batch["segments"]) == 1
        groups = np.abs(batch["contest"])
        for g in range(1, groups.max() + 1):
            of_it = batch["contest"][groups == g]
            assert (of_it == g).sum() <= 1
            with_teller += (of_it == g).any() and len(of_it) > 1
    assert with_teller > 10


def test_a_sections_card_names_who_stands_in_it(plain_books):
    maker = BatchMaker(plain_books, seed=7, tokens_per_batch=8192, sectioned_share=1.0)
    maker.sectioned, decode, cards = True, plain_books.tokenizer.decode, 0
    for _ in range(10):
        prose = maker.prose(4000)
        strewn = maker.strew(prose, ["Nobody had seen the lamp of Aldous Fenwick."] * 5)
        for card in maker.section_cards(prose, strewn, 2):
            assert 0 <= card.told_at < card.after <= len(strewn.tokens) and card.just_this
            assert (card.after - card.told_at) >= 990
            section, said = decode(strewn.tokens[card.told_at : card.after].tolist()), decode(card.answer)
            for line in said.splitlines():
                for name in line.split(": ")[1].removesuffix(".").split(", "):
                    assert name == "none" or name.lower() in section.lower()
            cards += 1
    assert cards > 10


def test_nothing_is_sectioned_that_is_not_told_to_be(plain_books):
    assert "begins" not in BatchMaker(plain_books, seed=5, tokens_per_batch=8192).memory_batch("4k")
    always = BatchMaker(plain_books, seed=5, tokens_per_batch=8192, sectioned_share=1.0)
    assert "begins" in always.memory_batch("4k") and "begins" not in always.memory_batch("stream")
