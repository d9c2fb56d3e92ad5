"""The hundred questions in other words: none is a template of training, each asks for the same thing."""

import random

import pytest

from palimpsest_training.facts import FAMILIES, draw_facts
from palimpsest_training.paraphrases import PARAPHRASES, _pattern, paraphrased
from palimpsest_training.question_forms import MORE_QUESTIONS


def test_there_are_a_hundred_and_no_template_among_them():
    every = [p for asked in PARAPHRASES.values() for p in asked]
    assert len(every) == 100 == len(set(every)) and set(PARAPHRASES) == {f.name for f in FAMILIES}
    assert not set(every) & {q for f in FAMILIES for q in (*f.questions, *MORE_QUESTIONS[f.name])}
    for family in FAMILIES:
        keys = {key for key in ("{s}", "{k}") if key in family.questions[0]}
        assert all({key for key in ("{s}", "{k}") if key in p} == keys for p in (*PARAPHRASES[family.name], *MORE_QUESTIONS[family.name]))


def test_training_asks_in_more_ways_than_the_evaluation_and_in_none_of_the_hundred():
    hundred = [_pattern(p) for asked in PARAPHRASES.values() for p in asked]
    forms = {evaluation: set() for evaluation in (False, True)}
    for evaluation, found in forms.items():
        for fact in draw_facts(random.Random(5), 800, evaluation)[0]:
            assert not any(p.fullmatch(fact.question) for p in hundred), fact.question
            found |= {(f.name, q) for f in FAMILIES for q in (*f.questions, *MORE_QUESTIONS[f.name])
                      if f.name == fact.family and _pattern(q).fullmatch(fact.question)}
    assert forms[True] == {(f.name, q) for f in FAMILIES for q in f.questions}
    assert len(forms[False]) > 180


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
