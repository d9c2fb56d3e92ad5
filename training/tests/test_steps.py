"""Answers in steps, as the PyTorch reader takes them: what is asked on, of which sections, and what a recalled sentence changes."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from palimpsest_training import steps
from palimpsest_training.config import PROMPTS
from palimpsest_training.facts import UNKNOWN
from palimpsest_training.reader import Reader

MILK, MARY = "Where is the milk?", "Where is Mary?"
prompt = lambda question: PROMPTS["question"].format(question=question)


class Told(Reader):
    """Sections are numbers; `told` says what (question, how many sections are asked) gives: the answer, and which section said it."""

    def __init__(self, told):
        self.told, self.asked = told, []
        self.model = SimpleNamespace(c=SimpleNamespace(answers_in_steps=True))
        self.tokenizer = SimpleNamespace(encode=lambda text, add_special_tokens: SimpleNamespace(ids=text))  # a prompt is its text

    def said_by_sections(self, prompts, sections, unknown_bias=0.0, books=None, **options):
        given, chosen = [], []
        for asked, states in zip(prompts, sections):
            question = lambda p: p.removeprefix("Question: ").removesuffix("\nAnswer:")
            self.asked += [(question(p), states) for p in asked]
            said = [self.told.get((question(p), len(states)), (UNKNOWN, 0)) for p in asked]
            given.append([text for text, _ in said])
            chosen.append(np.array([place for _, place in said]))
        return given, chosen


@pytest.mark.parametrize("told, answer", [
    ({(MILK, 9): (MARY, 4), (MARY, 9): ("office", 7)}, "office"),
    ({(MILK, 9): (f"Before: {MARY}", 4), (MARY, 9): ("office", 7), (MARY, 4): ("kitchen", 2)}, "kitchen"),
    ({(MILK, 9): (f"Before: {MARY}", 4), (MARY, 9): ("office", 7), (MARY, 5): ("hall", 4)}, "hall"),
    ({(MILK, 9): (f"Before: {MARY}", 0), (MARY, 9): ("office", 7), (MARY, 1): ("hall", 0)}, "hall"),
    ({(MILK, 9): (MARY, 4)}, UNKNOWN),
    ({(MILK, 9): (MILK, 4)}, UNKNOWN),  # for ever
    ({(MILK, 9): ('"Mary has it." office', 4)}, "office"),
    ({(MILK, 9): ("office", 4)}, "office"),
])
def test_what_is_asked_on_is_answered_by_the_sections_that_it_is_about(told, answer):
    reader = Told(told)
    assert reader.answer_from_sections([[prompt(MILK)]], [list(range(9))]) == [[answer]]
    assert len(reader.asked) <= 1 + steps.MOST_STEPS


def test_of_a_shelf_the_book_that_answered_is_asked_on():
    reader = Told({(MILK, 9): (MARY, 4), (MARY, 5): ("office", 3)})
    assert reader.answer_from_sections([[prompt(MILK)]], [list(range(9))], books=[[2, 5, 2]]) == [["office"]]
    assert reader.asked == [(MILK, list(range(9))), (MARY, [2, 3, 4, 5, 6])]


def test_a_section_that_recalls_a_sentence_doubts_behind_it():
    """Sections 1 and 2 begin with the mark, section 2 alone with what would be refused anyway; the first one's sentence has three tokens."""
    MARK, WORD, OTHER = 3, 4, 5
    text = {MARK: '"', WORD: " word", OTHER: " other"}
    first = {0: [OTHER], 1: [MARK, WORD, MARK, OTHER], 2: [MARK, MARK]}

    class Recalling(Reader):
        def __init__(self):
            self.tokenizer = SimpleNamespace(encode=lambda t, add_special_tokens: SimpleNamespace(ids=[MARK]), decode=lambda ids: "".join(text[i] for i in ids))
            self.behind = []

        def logits_behind(self, prompts, states):
            out = torch.zeros(len(prompts), 1, 8)
            for i, (asked, section) in enumerate(zip(prompts, states)):
                out[i, 0, first[section][min(len(asked[0]) - 2, len(first[section]) - 1)]] = 1
            return out

        def doubts(self, prompts, states):
            self.behind.append((prompts[0][0], states[0]))
            return [[0.75]]

    reader, doubts = Recalling(), np.array([[0.1], [0.2], [0.6]])
    reader.doubt_behind_recalls([[9, 9]], [0, 1, 2], doubts)
    assert reader.behind == [([9, 9, MARK, WORD, MARK], 1)]
    np.testing.assert_allclose(doubts[:, 0], [0.1, 1 - 0.8 * 0.25, 0.6])
