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


MARK, WORD, OTHER, END = 3, 4, 5, 1
TEXT = {MARK: '"', WORD: " word", OTHER: " other"}


class Recalling(Reader):
    """Section k writes `first[k]`, token by token, whatever it is asked (a prompt has two tokens), and doubts `doubting[k]`, behind
    a sentence that it has recalled `behind[k]`."""

    eos = END

    def __init__(self, first, doubting, behind):
        self.first, self.doubting, self.behind = first, doubting, behind
        self.model = SimpleNamespace(c=SimpleNamespace(answers_in_steps=True, sure_doubt=0.02))
        self.tokenizer = SimpleNamespace(encode=lambda t, add_special_tokens: SimpleNamespace(ids=[MARK]), decode=lambda ids: "".join(TEXT[i] for i in ids))

    def logits_behind(self, prompts, states):
        out = torch.zeros(len(prompts), 1, 8)
        for i, (asked, section) in enumerate(zip(prompts, states)):
            out[i, 0, self.first[section][min(len(asked[0]) - 2, len(self.first[section]) - 1)]] = 1
        return out

    def doubts(self, prompts, states):
        return [[(self.behind if len(p) > 2 else self.doubting)[section] for p in asked] for asked, section in zip(prompts, states)]

    def answer(self, prompts, states, unknown_bias=0.0):
        return [["" if self.first[section][len(p) - 2 :] == [END] else f"{section} behind {len(p) - 2}" for p in asked] for asked, section in zip(prompts, states)]


SENTENCE = [MARK, WORD, MARK, OTHER]


@pytest.mark.parametrize("first, doubting, behind, said, section, doubts", [
    ([[OTHER], SENTENCE, SENTENCE], [0.3, 0.2, 0.1], [1, 0.25, 0.9], "0 behind 0", 0, [0.3, 0.4, 0.91]),
    ([[OTHER], SENTENCE, SENTENCE], [0.9, 0.2, 0.1], [1, 0.25, 0.9], "1 behind 3", 1, [0.9, 0.4, 0.91]),
    ([SENTENCE, SENTENCE, SENTENCE], [0.001] * 3, [0.01, 0.01, 0.5], "1 behind 3", 1, None),  # the newest that is sure behind it
    ([SENTENCE, [MARK, END], [MARK, WORD]], [0.4, 0.001, 0.001], [0, 0, 0], "0 behind 3", 0, [0.4, 0.5, 0.5]),  # two do not end their sentences
    ([[OTHER], [MARK, WORD, MARK, END]], [0.9, 0.1], [0, 0], '" word"', 1, None),  # a quotation alone
    ([[OTHER], SENTENCE], [0.7, 0.6], [0, 0], "1 behind 0", 1, [0.7, 0.6]),  # what would refuse anyway recalls nothing
    ([SENTENCE] * 10, [0.1 + 0.01 * i for i in range(10)], [0.9] * 10, "8 behind 0", 8, None),  # of ten the eight that doubt least
])
def test_a_section_that_recalls_a_sentence_is_chosen_by_its_doubt_behind_it(first, doubting, behind, said, section, doubts):
    reader, sections = Recalling(first, doubting, behind), list(range(len(first)))
    given, chosen = reader.said_by_sections([[[9, 9]]], [sections])
    assert given == [[said]] and chosen[0].tolist() == [section]
    if doubts:
        found = np.array([[d] for d in doubting])
        reader.recalls([[9, 9]], sections, found)
        np.testing.assert_allclose(found[:, 0], doubts)
