"""Rows of the table that are scored otherwise than by exact answers: the book card, FairytaleQA (ROUGE-L), perplexity."""

from __future__ import annotations

import json
import random
import re
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from . import book_cards
from .books import Books, book_card
from .config import PROMPTS
from .corpus import is_held_out, normalise
from .facts import UNKNOWN
from .questions import BOS, EOS
from .reader import Reader, zeroed
from .steps import parted

ROWS = ("book-card people", "fairytale", "perplexity")


def has_cell(row: str, size: str) -> bool:
    """Tales are as long as they are, the longest some 5K tokens: the column that holds them all."""
    return size in {"book-card people": ("32K", "128K"), "fairytale": ("8K",), "perplexity": ("8K", "128K")}[row]


def of_shares(top: np.ndarray, bottom: np.ndarray, change=lambda x: x, rounds: int = 1000) -> tuple[float, list[float]]:
    """sum(top) / sum(bottom), and its 95 % interval, drawn over the documents; both through `change`."""
    pick = np.random.default_rng(0).integers(0, len(top), (rounds, len(top)))
    drawn = change(top[pick].sum(1) / np.maximum(1, bottom[pick].sum(1)))
    return float(change(top.sum() / max(1, bottom.sum()))), [round(float(x), 3) for x in np.quantile(drawn, [0.025, 0.975])]


# -- the book card ---------------------------------------------------------------------------------------------------


def cards(reader: Reader, books: Books, size: int, count: int, seed: int, sections: int | None = None) -> dict:
    """Recall of the five most frequent people of a stretch, from memory, zeroed and swapped. Of sections (as many as the
    engine takes if None): by the card that their cards make. "indexed": with its names in the order of an index of the text, as the
    program has it."""
    sections = min(reader.model.c.sections, book_cards.cards_for(size)) if sections is None else sections
    spans = book_cards.stretches(books, size, count, seed)
    states = [reader.read_sections(reader.segments(books.tokens[a:b]), sections) for a, b in spans]
    prompt = books.tokenizer.encode(PROMPTS["summary"], add_special_tokens=False).ids
    out = {"documents": count, "sections": sections}
    for name, used in {"memory": states, "zeroed": [[zeroed(s) for s in d] for d in states], "swapped": states[1:] + states[:1]}.items():
        cards_of = [[g[0] for g in reader.answer([[prompt]] * len(document), document, max_new=90)] for document in used]
        given = [each[0] if len(each) == 1 else book_cards.merge(each) or "" for each in cards_of]
        out[name] = round(float(np.mean(book_cards.recall(books, spans, given))), 4)
        if name == "memory":
            texts = [books.tokenizer.decode(books.tokens[a:b].tolist()) for a, b in spans]
            indexed = [book_cards.merge(each, book_cards.index_of(text)) or "" for each, text in zip(cards_of, texts)]
            out["indexed"] = round(float(np.mean(book_cards.recall(books, spans, indexed))), 4)
            out["examples"] = [[book_card(*books.card(a, b)), text] for (a, b), text in list(zip(spans, given))[:3]]
    return out


# -- FairytaleQA -----------------------------------------------------------------------------------------------------


def rouge_l(given: str, reference: str) -> float:
    """F1 of the longest common subsequence of lower-cased words."""
    a, b = (re.findall(r"\w+", t.lower()) for t in (given, reference))
    row = [0] * (len(b) + 1)  # of the words of `given` so far with each beginning of `reference`
    for word in a:
        before = row[:]
        for j, other in enumerate(b, 1):
            row[j] = before[j - 1] + 1 if word == other else max(before[j], row[j - 1])
    return 2 * row[-1] / (len(a) + len(b)) if row[-1] else 0.0


@dataclass
class Tale:
    """A tale of FairytaleQA as prepare.py joins it: its passages in order; questions with their passage and reference answers."""

    name: str
    passages: list[str]
    asked: list[tuple[str, str, tuple[str, ...]]]

    @property
    def text(self) -> str:
        return "\n\n".join(self.passages)


def load_tales(file: Path, held_out: bool = True) -> list[Tale]:
    """The tales of one side (by the hash of their names, as prepare.py splits them), with all questions."""
    tales: dict[str, Tale] = {}
    for line in Path(file).read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if is_held_out(row["doc"]) != held_out:
            continue
        tale = tales.setdefault(row["doc"], Tale(row["doc"], [], []))
        passage = normalise(row["context"].replace("\n", "\n\n"))
        if passage not in tale.passages:
            tale.passages.append(passage)
        tale.asked.append((normalise(row["question"]), passage, tuple(normalise(a) for a in row["answers"])))
    return list(tales.values())


def fairytale(reader: Reader, tales: list[Tale], sections: int | None = None) -> dict:
    """ROUGE-L F1 against the nearest reference, questions of people to whole tales: from memory, from none, from another tale's;
    and "passage": the same model without memory, the passage of the question before it in its segment."""
    c = reader.model.c
    sections = c.sections if sections is None else sections
    encode = lambda text: reader.tokenizer.encode(text, add_special_tokens=False).ids
    segments = [reader.segments(t.text) for t in tales]
    started = time.time()
    states = [reader.read_sections(s, sections) for s in segments]
    seconds, tokens = time.time() - started, [sum(map(len, s)) for s in segments]
    empty = [[zeroed(x) for x in s] for s in states]
    questions = [[encode(PROMPTS["question"].format(question=q)) for q, _, _ in t.asked] for t in tales]
    given = {name: reader.answer_from_sections(questions, used, c.unknown_bias, max_new=48)
             for name, used in {"memory": states, "zeroed": empty, "swapped": states[1:] + states[:1]}.items()}
    room = c.max_position_embeddings - 49
    before = [[encode(PROMPTS["passages"].format(passages=p)) for _, p, _ in t.asked] for t in tales]
    # one tale at a time: its prompts are padded to the longest
    given["passage"] = [reader.answer([[(b + q)[-room:] for b, q in zip(bs, qs)]], [e[0]], max_new=48, unknown_bias=c.unknown_bias)[0]
                        for bs, qs, e in zip(before, questions, empty)]
    if c.answers_in_steps:
        given["passage"] = [[parted(answer)[1] for answer in answers] for answers in given["passage"]]
    out: dict = {"documents": len(tales), "tokens": int(np.mean(tokens)), "tokens_per_second": round(sum(tokens) / seconds)}
    count = np.array([len(t.asked) for t in tales])
    for name, answers in given.items():
        scores = np.array([sum(max(rouge_l(g, r) for r in refs) for g, (_, _, refs) in zip(gs, t.asked)) for gs, t in zip(answers, tales)])
        share, ends = of_shares(scores, count)
        refused = sum(g == UNKNOWN for gs in answers for g in gs) / max(1, count.sum())
        out[name] = {"rouge_l": round(share, 4), "n": int(count.sum()), "interval": ends, "refused": round(float(refused), 4)}
    first = zip(tales[0].asked, given["memory"][0], given["passage"][0])
    return out | {"examples": [[q, refs[0], m, p] for (q, _, refs), m, p in list(first)[:6]]}


# -- perplexity ------------------------------------------------------------------------------------------------------


@torch.no_grad()
def nats(reader: Reader, tokens, states) -> float:
    """The sum over a segment's tokens, each given those before it and the memory."""
    ids = torch.tensor([[[BOS, *map(int, tokens), EOS]]], device=reader.device)
    with torch.autocast(reader.device.type, torch.bfloat16, enabled=reader.device.type == "cuda"):
        _, hidden, _ = reader.model.read_and_ask(None, None, ids, torch.zeros(1, 1, dtype=torch.long, device=reader.device), states=states)
        logits = reader.model.head(hidden[0, 0, : len(tokens)]).float()
    return float(F.cross_entropy(logits, ids[0, 0, 1:-1], reduction="sum"))


def perplexity(reader: Reader, books: Books, size: int, count: int, seed: int, scored: int = 8) -> dict:
    """Of the `scored` segments that follow `size` tokens of unseen books, each token of them: with the memory of all that stands
    before the segment, with none (M = z = 0), and with another document's of the same length. The memory is whole: reading
    never asks sections."""
    rng, S = random.Random(seed), reader.model.c.segment_length
    states, rest = [], []
    for _ in range(count):
        begin, end = books.range(rng, size + (scored + 1) * S)
        segments = reader.segments(books.tokens[begin:end])
        read = int(np.searchsorted(np.cumsum([len(s) for s in segments]), size)) + 1
        rest.append(segments[read : read + scored])
        states.append(reader.read(segments[:read]))
    names = ("memory", "zeroed", "swapped") if count > 1 else ("memory", "zeroed")
    sums, tokens = {name: np.zeros(count) for name in names}, np.array([sum(map(len, r)) for r in rest])
    for n in range(scored):  # all documents are read on together, so that each has read as much as the one that it is swapped with
        for d, segments in enumerate(rest):
            if n < len(segments):
                for name, used in zip(names, (states[d], zeroed(states[d]), states[(d + 1) % count])):
                    sums[name][d] += nats(reader, segments[n], used)
        states = [reader.read([r[n]], s) if n < len(r) else s for r, s in zip(rest, states)]
    out: dict = {"documents": count, "tokens": int(tokens.sum())}
    for name in names:
        value, ends = of_shares(sums[name], tokens, np.exp)
        out[name] = {"perplexity": round(value, 3), "interval": ends}
    # paired: what the memory takes from each token's nats; the intervals above are mostly the books' own differences
    gain, ends = of_shares(sums["zeroed"] - sums["memory"], tokens)
    return out | {"nats_gained": round(gain, 4), "nats_gained_interval": ends}
