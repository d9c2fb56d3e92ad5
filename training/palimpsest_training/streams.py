"""What a question meets that is longer than a batch: documents read on from step to step, and the crowd of earlier batches."""

from __future__ import annotations

import collections
import random

import numpy as np
import torch

from .model import Crowd, MemoryState
from .questions import EOS, IGNORE, by_length


class Streams:
    """Documents that are read on and on, a portion a step, until each reaches a length drawn for it (log-uniform).

    Per row: the memory so far (no gradient flows into it), and the questions that earlier portions have answered; some
    of them are asked again after each portion. With `unknown` (the tokens of that answer) most documents are asked as
    sections, each of a length drawn for it: questions read what their section has written, and the book does not say
    what an earlier section said.
    """

    def __init__(self, rows: int, segments: int, longest: int, seed: int, again: int = 32, unknown: list[int] | None = None):
        self.rng = random.Random(seed)
        self.segments, self.longest, self.again, self.unknown = segments, longest, again, unknown
        self.states: list[list[MemoryState]] | None = None
        self.since: list[list[MemoryState]] | None = None  # the memory where each row's section begins
        self.read, self.until, self.has_key = [0] * rows, [0] * rows, [False] * rows  # lengths in segments
        self.section_begin, self.section_end = [0] * rows, [0.0] * rows
        self.bank: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in range(rows)]
        self.earlier_bank: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in range(rows)]  # of earlier sections, refused
        for row in range(rows):
            self._begin(row)

    def _begin(self, row: int) -> None:
        self.read[row], self.has_key[row], self.bank[row], self.earlier_bank[row] = 0, False, [], []
        self.until[row] = self.segments * (self.longest / self.segments) ** self.rng.random()
        for part in (p for states in (self.states, self.since) for layer in states or [] for p in layer):
            part.M[row], part.z[row] = 0.0, 0.0
        self._draw_section(row)

    def _draw_section(self, row: int) -> None:
        whole = self.unknown is None or self.rng.random() < 0.25
        self.section_end[row] = float("inf") if whole else self.read[row] + self.segments * 16 ** self.rng.random()

    def _next_section(self, row: int) -> None:
        refused = [self.refused(q, a) for q, a in self.bank[row]]
        self.earlier_bank[row], self.bank[row] = (self.earlier_bank[row] + refused)[-256:], []
        for begun, now in zip((p for layer in self.since for p in layer), (p for layer in self.states for p in layer)):
            begun.M[row], begun.z[row] = now.M[row], now.z[row]
        self._draw_section(row)

    def refused(self, question: np.ndarray, answer: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same question with the unknown answer."""
        first = int((answer != IGNORE).argmax())  # the position that predicts the answer's first token
        return (np.concatenate([question[: first + 1], self.unknown]).astype(question.dtype),
                np.concatenate([np.full(first, IGNORE), self.unknown, [IGNORE]]).astype(answer.dtype))

    def go_on(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Begins anew the rows that are long enough; adds questions of earlier portions, to be asked after this one."""
        P = batch["questions"].shape[2]
        earlier: list[list[tuple[np.ndarray, np.ndarray]]] = []
        if self.states and not self.since:
            self.since = [[MemoryState(torch.zeros_like(p.M), torch.zeros_like(p.z)) for p in layer] for layer in self.states]
        for row, questions in enumerate(batch["questions"]):
            if self.read[row] >= self.until[row] or (self.has_key[row] and batch["has_key"][row]):  # one key a document
                self._begin(row)
            elif self.states and self.read[row] >= self.section_end[row]:
                self._next_section(row)
            refused = self.rng.sample(self.earlier_bank[row], min(self.again // 4, len(self.earlier_bank[row])))
            earlier.append(refused + self.rng.sample(self.bank[row], min(self.again - len(refused), len(self.bank[row]))))
            for q, a, again in zip(questions, batch["answers"][row], batch["again"][row]):
                if again and (a != IGNORE).any():
                    self.bank[row].append((q, a))
            self.read[row] += batch["segments"].shape[1]
            self.has_key[row] |= bool(batch["has_key"][row])
        width = max([P] + [len(q) for row in earlier for q, _ in row])
        pad = lambda a, fill: np.pad(a, ((0, 0), (0, self.again), (0, width - P)), constant_values=fill)
        questions, answers = pad(batch["questions"], EOS), pad(batch["answers"], IGNORE)
        reads_from, again = (np.pad(batch[key], ((0, 0), (0, self.again))) for key in ("reads_from", "again"))
        for row, chosen in enumerate(earlier):
            used = int(batch["write"][row].any(1).sum())
            for i, (q, a) in enumerate(chosen, batch["questions"].shape[1]):
                questions[row, i, : len(q)], answers[row, i, : len(a)], reads_from[row, i] = q, a, used
        return by_length(batch | dict(questions=questions, answers=answers, reads_from=reads_from, again=again))


class Crowds:
    """What the last batches wrote, each summed over its documents: with some of it around a batch's own documents, a
    question meets the crowd of a long book, at the cost of short ones (model.Crowd)."""

    def __init__(self, batches: int, seed: int):
        self.rng, self.earlier = random.Random(seed), collections.deque(maxlen=batches)

    def draw(self) -> Crowd:
        """As many of the last batches as a log-uniform draw says, from none on."""
        count = int((len(self.earlier) + 1) ** self.rng.random()) if self.earlier else 0
        if count < 1 or self.rng.random() < 0.25:
            return Crowd()
        sums = list(self.earlier)[-count:]
        total = [[MemoryState(sum(s[i][j].M for s in sums), sum(s[i][j].z for s in sums)) for j in range(len(layer))]
                 for i, layer in enumerate(sums[0])]
        # As a stand-in for all of them the batch's gradient would count 1 + count times; its noise would count so, too.
        return Crowd(total, (1 + count) ** 0.5)

    def add(self, states: list[list[MemoryState]]) -> None:
        whole = lambda t: t.detach().sum(0, keepdim=True)
        self.earlier.append([[MemoryState(whole(s.M), whole(s.z)) for s in layer] for layer in states])
