"""What is asked of a training document, when, and how a batch of questions is laid out."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np

IGNORE = -100
BOS, EOS = 0, 1


@dataclass(frozen=True)
class Question:
    prompt: list[int]
    answer: list[int]  # ends with EOS
    after: int = 0  # it can be answered when so many tokens of the document have been read
    again: bool = False  # has the same answer when other documents have been read as well
    elsewhere: bool = False  # asked of another document, it has no answer
    about: object = None  # what a document tells that answers it: (family, subject), or else the question itself
    until: int = 0  # it has another answer when more tokens than that have been read; 0: never
    told_at: int | None = None  # where the sentence begins that tells the answer, to who has read the text before it
    other_before: bool = False  # the text before that has another answer
    story: object = None  # babi.Told: the sentences that tell what each section of the document answers
    just_this: bool = False  # is about what stands between told_at and after, and nothing else: of a longer section the answer is another


def memories(question: Question, cuts: list[int]) -> range:
    """How many of the segments that end at `cuts` may have been read when it is asked: the one that holds the answer at least, none that
    changes it. Empty: both stand in one segment."""
    first = int(np.searchsorted(cuts, question.after)) + 1 if question.after > 0 else 1
    last = int(np.searchsorted(cuts, question.until, "right")) if question.until else len(cuts)
    return range(min(first, len(cuts)), last + 1)


def section_begins(question: Question, cuts: list[int], read: int) -> tuple[list[int], list[int]]:
    """Of the sections that end after `read` segments: before which segment those begin that hold the answer, and those that do not,
    because all of it was said before. What the section's text says to who has read what came before it counts as held."""
    begins = [0, *cuts][:read]
    if question.told_at is None:
        return [0], []
    return [n for n, at in enumerate(begins) if at <= question.told_at], [n for n, at in enumerate(begins) if at >= question.after]


def section_around(rng: random.Random, question: Question, cuts: list[int], least: int) -> tuple[int, int]:
    """A section that holds the answer, of which it is known where it is told: its first segment and the one behind its last. It has `least`
    segments or more, log-uniformly as many as all, if there are so many."""
    first, last = (int(np.searchsorted(cuts, at, side)) for at, side in ((question.told_at, "right"), (question.after, "left")))
    last = min(last + 1, len(cuts))
    first = min(first, last - 1)
    if question.just_this:
        return first, last
    size = _size(rng, max(last - first, least), len(cuts))
    begin = rng.randint(max(0, last - size), min(first, len(cuts) - size))
    return begin, begin + size


def section_without(rng: random.Random, question: Question, cuts: list[int], least: int) -> tuple[int, int] | None:
    """One that holds nothing of the answer; of a question that the text does not answer, any."""
    if question.told_at is None:
        stretches = [(0, len(cuts))]
    else:
        before = 0 if question.other_before else int(np.searchsorted(cuts, question.told_at, "right"))
        stretches = [(0, before), (min(len(cuts), int(np.searchsorted(cuts, question.after)) + 1), len(cuts))]
    lengths = [end - begin for begin, end in stretches]
    if not sum(lengths):
        return None
    (begin, end), = rng.choices(stretches, lengths)
    size = _size(rng, least, end - begin)
    begin = rng.randint(begin, end - size)
    return begin, begin + size


def _size(rng: random.Random, least: int, most: int) -> int:
    least = min(least, most)
    return round(least * (most / least) ** rng.random())


def by_length(batch: dict) -> dict:
    """The same batch with each document's questions sorted by length, and with `split`: most questions are short, and two
    groups of them, each padded to its own longest, are half as many positions as one."""
    questions = batch["questions"]
    filled = questions != EOS
    used = np.where(filled.any(2), questions.shape[2] - filled[:, :, ::-1].argmax(2), 1)  # BOS is one of them
    order = used.argsort(1, kind="stable")
    longest = np.take_along_axis(used, order, 1).max(0)  # of each column
    order, longest = order[:, longest > 1], longest[longest > 1]  # columns that nobody asks
    if not len(longest):
        order, longest = np.zeros((len(questions), 1), np.int64), np.ones(1, np.int64)
    most = min(questions.shape[2], -(-int(longest[-1]) // 8) * 8)
    widths = np.minimum(most, -(-longest // 8) * 8)
    count = np.arange(1, len(longest) + 1)
    short = int((count * widths + (len(longest) - count) * most).argmin()) + 1
    out = dict(batch, split=(short, int(widths[short - 1])))
    for key in ("questions", "answers", "reads_from", "again") + tuple(key for key in ("begins", "contest") if key in batch):
        index = order[:, :, None] if batch[key].ndim == 3 else order
        chosen = np.take_along_axis(batch[key], index, 1) if batch[key].shape[1] == questions.shape[1] else batch[key]
        out[key] = chosen[:, :, :most] if chosen.ndim == 3 else chosen
    return out
