"""Contests: of all documents and sections that are asked a question one tells the answer, or none does (losses.py: Losses.contest).

The program puts a question to all sections of a book and takes the answer of one. Asked one by one a section learns to refuse what
it does not hold; which of them is to answer depends on how sure they are beside each other.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from .questions import Question

UNTOLD_SHARE = 0.25  # of the contests: the telling section's answer takes no part, so that none of them tells it
OWN_SECTIONS = 3  # of the telling document, at most, are asked as well


@dataclass(frozen=True)
class Contest:
    """A question that document `teller` of a batch tells, and that others of its sections are asked as well."""

    teller: int
    question: Question
    answered: bool  # the telling section's answer takes part
    shared: bool  # the batch's other documents are asked, too


def draw_contests(rng: random.Random, asked: list[list[Question]], count: int, own: int) -> list[Contest]:
    """`count` of all that is asked of the documents, for all of them; and for each document `own` more, for its own sections alone."""
    told = [(b, q) for b, questions in enumerate(asked) for q in questions if q.elsewhere]
    out = [Contest(b, q, rng.random() >= UNTOLD_SHARE, True) for b, q in rng.sample(told, min(count, len(told)))]
    shared = {id(c.question) for c in out}
    for b, questions in enumerate(asked):
        told = [q for q in questions if q.elsewhere and q.told_at is not None and id(q) not in shared]
        out += [Contest(b, q, rng.random() >= UNTOLD_SHARE, False) for q in rng.sample(told, min(own, len(told)))]
    return out
