"""The hundred questions in other words: none is a template of training, each asks for the same thing."""

import random

import pytest

from palimpsest_training.facts import FAMILIES, draw_facts
from palimpsest_training.paraphrases import PARAPHRASES, paraphrased


def test_there_are_a_hundred_and_no_template_among_them():
    every = [p for asked in PARAPHRASES.values() for p in asked]
    assert len(every) == 100 == len(set(every)) and set(PARAPHRASES) == {f.name for f in FAMILIES}
    assert not set(every) & {q for f in FAMILIES for q in f.questions}
    for family in FAMILIES:
        keys = {key for key in ("{s}", "{k}") if key in family.questions[0]}
        assert all({key for key in ("{s}", "{k}") if key in p} == keys for p in PARAPHRASES[family.name])


def test_the_subject_and_the_animal_stay():
    facts, unknown = draw_facts(random.Random(1), 200, True, 40)
    seen = set()
    for fact in facts + unknown:
        asked = paraphrased(fact.question, random.Random(2))
        names = [word for word in fact.question.rstrip("?").split() if word[0].isupper()][1:]
        assert asked != fact.question and all(name in asked for name in names), (fact.question, asked)
        seen.add(fact.family)
    assert len(seen) == len(FAMILIES) + 1
    assert paraphrased("What is the name of the cat of Ann Lee?", random.Random(3)).count("Ann Lee") == 1
    with pytest.raises(ValueError, match="Who is Filby"):
        paraphrased("Who is Filby?", random.Random(1))
