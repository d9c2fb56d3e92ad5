"""What training minimises: of prose, of answers, and of the choice which document is to answer."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .model import InfiniLlama, detached
from .questions import IGNORE
from .streams import Crowds, Streams


# The gradient of a single contest that goes wrong is ten times that of a batch's answers; it would be the whole step.
FEW_CONTESTS = 6


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits.float(), labels, ignore_index=IGNORE)


class Losses(nn.Module):
    """Language modelling on prose and the answers' tokens: each averaged over its own tokens. With `unknown`, the first token of
    the answer that the book does not say, the contests are added to the answers, with contest_weight."""

    def __init__(self, model: InfiniLlama, compile: bool, lm_share: float, unknown: int | None = None, contest_weight: float = 0.0):
        super().__init__()
        self.model, self.lm_share, self.unknown, self.contest_weight = model, lm_share, unknown, contest_weight
        self.last_contest: Tensor | None = None
        head = lambda hidden, weight, labels: cross_entropy(F.linear(hidden, weight), labels)
        self.loss = torch.compile(head, dynamic=True) if compile else head

    @property
    def head(self) -> Tensor:
        return self.model.model.embed_tokens.weight if self.model.c.tie_word_embeddings else self.model.lm_head.weight

    def of(self, hidden: Tensor, labels: Tensor) -> Tensor:
        return self.loss(hidden.flatten(0, -2), self.head.to(hidden.dtype), labels.flatten())

    def contest(self, hidden: list[Tensor], answers: list[Tensor], contest: list[Tensor]) -> Tensor:
        """Of which document, or section of one, a question is to be answered, or of none: the cross entropy of that choice, averaged over
        the questions (over FEW_CONTESTS, if they are fewer). As section_chosen() chooses: each one's odds are those with which it does not
        answer that the book does not say. hidden [B, Q, P, D], answers [B, Q, P] and contest [B, Q] (batches.py) of each group of questions."""
        groups, told, first = [], [], []
        for h, a, c in zip(hidden, answers, contest):
            row, column = ((c != 0) & (a != IGNORE).any(-1)).nonzero(as_tuple=True)
            begin = (a[row, column] != IGNORE).int().argmax(-1)
            groups.append(c[row, column].abs() - 1), told.append(c[row, column] > 0), first.append(h[row, column, begin])
        groups, told, first = map(torch.cat, (groups, told, first))
        if not len(groups):
            return first.sum()
        logits = F.linear(first, self.head.to(first.dtype)).float()
        unknown = torch.arange(logits.shape[-1], device=logits.device) == self.unknown
        odds = logits.masked_fill(unknown, -torch.inf).logsumexp(-1) - logits[:, self.unknown]  # ln((1 - p) / p) of its doubt p
        who = torch.arange(len(groups), device=groups.device)
        table = odds.new_full((int(groups.max()) + 1, len(who) + 1), -torch.inf)
        table[:, -1] = 0.0  # none of them
        table = table.index_put((groups, who), odds)
        right = torch.full_like(table[:, 0], len(who), dtype=torch.long).index_put((groups[told],), who[told])
        asked = torch.zeros_like(right, dtype=torch.bool).index_fill(0, groups, True)
        return F.cross_entropy(table[asked], right[asked], reduction="sum") / max(FEW_CONTESTS, int(asked.sum()))

    def forward(self, batch: dict[str, Tensor], streams: Streams | None = None, crowds: Crowds | None = None) -> tuple[Tensor, Tensor]:
        return self.memory(batch, streams, crowds) if "questions" in batch else self.base(batch)

    def base(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        hidden, _, _ = self.model.read_and_ask(batch["segments"], None)
        chosen = batch["answers"] != IGNORE
        return self.of(hidden, batch["labels"]), self.of(hidden[chosen], batch["answers"][chosen])

    def memory(self, batch: dict[str, Tensor], streams: Streams | None = None, crowds: Crowds | None = None) -> tuple[Tensor, Tensor]:
        answers = batch["answers"]
        if crowds:  # what has another answer, or none, in another document is not asked
            answers = answers.masked_fill(~batch["again"].unsqueeze(-1), IGNORE)
        short, width = batch.get("split", batch["questions"].shape[1:])
        groups = lambda t: [t[:, :short], t[:, short:]] if short < t.shape[1] else [t]
        cut = lambda pair: [pair[0][:, :, :width], *pair[1:]]
        hidden, asked, states = self.model.read_and_ask(
            batch["segments"], batch["write"], cut(groups(batch["questions"])), groups(batch["reads_from"]),
            states=streams.states if streams else None, keep_states=bool(streams or crowds), crowd=crowds.draw() if crowds else None,
            since=streams.since if streams else None, begins=groups(batch["begins"]) if "begins" in batch else None)
        if streams:
            streams.states = detached(states)
        if crowds:
            crowds.add(states)
        flat, labels = hidden.flatten(0, 1), batch["labels"].flatten(0, 1)
        if self.lm_share < 1:  # with a frozen base the prose teaches the memory heads little: a part of it is enough
            take = torch.randperm(flat.shape[0], device=flat.device)[: max(1, int(flat.shape[0] * self.lm_share))]
            flat, labels = flat[take], labels[take]
        targets = cut(groups(answers))
        wanted = [(h[a != IGNORE], a[a != IGNORE]) for h, a in zip(asked, targets)]
        answer = self.of(torch.cat([h for h, _ in wanted]), torch.cat([a for _, a in wanted]))
        if self.contest_weight and "contest" in batch and not (streams or crowds):
            contest = self.contest(asked, targets, groups(batch["contest"]))
            self.last_contest = contest.detach()
            answer = answer + self.contest_weight * contest
        return self.of(flat, labels), answer
