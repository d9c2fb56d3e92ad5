"""What the evaluation draws stays as it is, whatever is changed about training's draws: same seed, same documents."""

import hashlib
import json
import random

from palimpsest_training.facts import draw_facts

# Of the draws before training's mixture of absent questions had its own code (absent.py).
DIGEST = "c8c88bddb0fe076a667b172e5419279d98cd76fd51086b4a8b1f0d7ea5f86851"


def drawn() -> list:
    out = []
    for seed in range(40):
        rng = random.Random(seed)
        for count, absent in ((8, 2), (64, 16), (3, 9)):
            told, unknown = draw_facts(rng, count, True, absent)
            out.append([[f.family, f.closed, f.statement, f.question, f.answer] for f in told + unknown])
        out.append(rng.random())  # nothing more has been drawn than that
    return out


def test_facts_and_absent_questions_of_the_evaluation_are_those_of_before():
    assert hashlib.sha256(json.dumps(drawn()).encode()).hexdigest() == DIGEST
