"""The packed books (prepare.py) as a worker sees them: token ranges, and what can be asked about a range."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from .cutter import TokenTable
from .facts import held_out
from .mining import TITLES

_CAPITALISED = re.compile(r"\b[A-Z][a-z]+\b")
_TITLES = set(TITLES.split("|"))


def book_card(people: list[str], places: list[str], keywords: list[str]) -> str:
    line = lambda items: ", ".join(items) + "." if items else "none."
    return f"People: {line(people)}\nPlaces: {line(places)}\nKeywords: {line(keywords)}"


@dataclass
class Stretch:
    """Some prose, and what can be asked about it. Renamed: its people bear other names than in the book."""

    tokens: np.ndarray
    sentence_ends: np.ndarray  # offsets into tokens
    questions: list[tuple[str, str]]
    card: str
    asked_at: list[tuple[int, int]] | None = None  # of each question: offsets into tokens between which its answer stands; None: not known
    book_ends: np.ndarray | None = None  # the same sentences' ends in all books' tokens; None: not known
    renamed: Callable[[str], str] = str  # what a text of the book becomes here

    def insertion_points(self, rng: random.Random, count: int) -> list[int]:
        """`count` sentence ends, sorted; may repeat when there are few."""
        if not len(self.sentence_ends):
            return [0] * count
        return sorted(int(self.sentence_ends[rng.randrange(len(self.sentence_ends))]) for _ in range(count))


@dataclass
class Strewn:
    """Prose with statements put in, and where they are."""

    tokens: np.ndarray
    begins: list[int]  # of each statement
    ends: list[int]
    points: list[int]  # offsets into the prose behind which each one stands, sorted

    def place(self, at: int, side: str) -> int:
        """Of the prose's offset `at`. Of statements that stand just there: "left", before them; "right", behind them."""
        before = int(np.searchsorted(self.points, at, side))
        return at + sum(self.ends[:before]) - sum(self.begins[:before])


class Books:
    """Packed files one after another, as if prepared in one."""

    def __init__(self, tokenizer: Tokenizer, *packed: Path):
        parts = [dict(np.load(file)) for file in packed]
        self.tokenizer = tokenizer
        self.table = TokenTable(tokenizer)
        sizes = [len(p["tokens"]) for p in parts]
        offsets = np.cumsum([0] + sizes[:-1])
        joined = lambda key: np.concatenate([p[key] for p in parts])
        moved = lambda key: np.concatenate([p[key].astype(np.int64) + o for p, o in zip(parts, offsets)])

        def table(kind: str) -> tuple[list[str], np.ndarray]:
            """The texts of all parts, and the occurrences' ids into them."""
            texts = [str(t) for p in parts for t in p[kind + "_text"]]
            first = np.cumsum([0] + [len(p[kind + "_text"]) for p in parts[:-1]])
            return texts, np.concatenate([p[kind + "_id"] + f for p, f in zip(parts, first)])

        self.tokens = joined("tokens")
        self.start = np.concatenate([p["book_start"][:-1] + o for p, o in zip(parts, offsets)] + [[len(self.tokens)]])
        self.names = [str(n) for n in joined("book_name")]
        texts, ids = table("name")
        self.name_text = [t[:-2] if t.endswith("'s") else t for t in texts]
        by_text = {t: i for i, t in enumerate(self.name_text)}
        one = np.array([by_text[t] for t in self.name_text], np.int32)  # "Pip" and "Pip's", in whatever part, are one name
        self.name_pos, self.name_id, self.name_place = moved("name_pos"), one[ids], joined("name_place")
        counts = np.maximum(1, np.bincount(self.name_id, minlength=len(texts)))
        self.is_place = np.bincount(self.name_id, self.name_place, len(texts)) > 0.4 * counts
        self.person_words = sorted({w for i in np.flatnonzero((counts >= 5) & ~self.is_place) for w in self.name_text[i].split()
                                    if _CAPITALISED.fullmatch(w) and w not in _TITLES and not held_out(w)})
        self.word_text, self.word_id = table("word")
        self.word_pos, self.word_idf = moved("word_pos"), joined("word_idf")
        self.mined_pos = moved("mined_pos")
        self.mined_kind = [str(t) for t in joined("mined_kind")]
        self.said = [i for i, kind in enumerate(self.mined_kind) if kind == "said"]
        self.described = [i for i, kind in enumerate(self.mined_kind) if kind in ("who", "kin")]
        self.mined = list(zip((str(q) for q in joined("mined_question")), (str(a) for a in joined("mined_answer"))))
        ends = self.table.word_ends(self.tokens)
        self.sentence_ends = np.flatnonzero(self.table.sentence_ends(self.tokens, ends)) + 1

    def range(self, rng: random.Random, length: int, asked: bool = False) -> tuple[int, int]:
        """A stretch of `length` tokens of prose that begins after a sentence end and may run on into following books.

        All there is, if there is less. `asked`: one that holds the sentence of some mined question (most short ones
        hold none).
        """
        starts = int(np.searchsorted(self.sentence_ends, len(self.tokens) - length, "right"))
        if asked and len(self.mined_pos) and starts > 0:
            held = int(self.mined_pos[rng.randrange(len(self.mined_pos))])
            first = int(np.searchsorted(self.sentence_ends, held - rng.random() * 0.9 * length))
            its_sentence = max(0, int(np.searchsorted(self.sentence_ends, held, "right")) - 1)
            at = int(self.sentence_ends[min(first, its_sentence, starts - 1)])
        else:
            at = int(self.sentence_ends[rng.randrange(starts)]) if starts > 0 else 0
        return at, min(at + length, len(self.tokens))

    def names_in(self, begin: int, end: int) -> list[str]:
        """The books that a range touches."""
        first, last = np.searchsorted(self.start, (begin, max(begin, end - 1)), "right") - 1
        return self.names[first : last + 1]

    def questions(self, begin: int, end: int) -> list[int]:
        """Indices into `mined` whose sentence lies in the range."""
        a, b = np.searchsorted(self.mined_pos, (begin, end))
        return list(range(int(a), int(b)))

    def _names_in(self, begin: int, end: int) -> slice:
        """Of name_pos, name_id and name_place."""
        return slice(*np.searchsorted(self.name_pos, (begin, end)))

    def stretch(self, begin: int, end: int, rng: random.Random | None = None, invented=None, new: dict[str, str] | None = None) -> Stretch:
        """The prose of a range. With `rng` its people are renamed, in the questions too. new: as other stretches of the same book have
        renamed them, word by word; who is renamed here is added.

        A model that sees a book a dozen times learns the answers to its questions by heart, and then takes every book
        that it does not know for one that does not say. New names each time leave it only the memory to answer from.
        Each word of a name gets a word of other books' names, or one that `invented` draws.
        """
        asked = self.questions(begin, end)
        questions = [self.mined[i] for i in asked]
        card = book_card(*self.card(begin, end))
        first, after_first, last = (int(np.searchsorted(self.sentence_ends, at, side)) for at, side in ((begin, "left"), (begin, "right"), (end, "left")))
        book_ends = self.sentence_ends[first:last]
        if rng is None or not self.person_words:
            ends = book_ends - begin
            return Stretch(self.tokens[begin:end], ends, questions, card, self._asked_at(asked, book_ends, ends), book_ends)
        ids, counts = np.unique(self.name_id[self._names_in(begin, end)], return_counts=True)
        known = sorted({w for i in ids[(counts >= 2) & ~self.is_place[ids]] for w in self.name_text[i].split() if w not in _TITLES})
        new = {} if new is None else new
        for w in known:
            if w not in new:
                new[w] = invented() if invented and rng.random() < 0.4 else rng.choice(self.person_words)
        other = lambda text: _CAPITALISED.sub(lambda m: new.get(m.group(), m.group()), text)
        text = other(self.tokenizer.decode(self.tokens[begin:end].tolist()))
        tokens = np.array(self.tokenizer.encode(text, add_special_tokens=False).ids, np.uint16)
        ends = np.flatnonzero(self.table.sentence_ends(tokens[:-1], self.table.word_ends(tokens)[:-1])) + 1
        book_ends = self.sentence_ends[after_first:last]
        found = (self._asked_at(asked, book_ends, ends), book_ends) if len(ends) == len(book_ends) else (None, None)
        return Stretch(tokens, ends, [(other(q), other(a)) for q, a in questions], other(card), *found, other)

    def _asked_at(self, asked: list[int], book_ends: np.ndarray, ends: np.ndarray) -> list[tuple[int, int]]:
        """Three sentences, of which the last is the question's: a spoken line may have some before it. ends: the same sentences' in a stretch."""
        ends = [0, *ends.tolist()]
        last = [min(len(book_ends), int(i) + 1) for i in np.searchsorted(book_ends, self.mined_pos[asked] + 1)]
        return [(ends[max(0, i - 3)], ends[i]) for i in last]

    def card_of(self, prose: Stretch, begin: int, end: int) -> str | None:
        """The card of what stands between two offsets into a stretch's tokens; None where it is not known where that is in the book."""
        if prose.book_ends is None:
            return None
        first, last = np.searchsorted(prose.sentence_ends, (begin, end))
        if last - first < 2:
            return None
        return prose.renamed(book_card(*self.card(int(prose.book_ends[first]), int(prose.book_ends[last - 1]))))

    def card(self, begin: int, end: int) -> tuple[list[str], list[str], list[str]]:
        """People (at most 5), places (3) and keywords (5) of a range, the most frequent first."""
        inside = self._names_in(begin, end)
        ids, counts = np.unique(self.name_id[inside], return_counts=True)
        people, places = [], []
        if len(ids):
            where = np.zeros(len(ids))
            np.add.at(where, np.searchsorted(ids, self.name_id[inside]), self.name_place[inside])
            for i in np.argsort(-counts, kind="stable"):
                if counts[i] < 3 or (len(people) >= 5 and len(places) >= 3):
                    break
                kind, limit = (places, 3) if where[i] > 0.4 * counts[i] else (people, 5)
                name = self.name_text[ids[i]]
                if len(kind) < limit and name not in kind:
                    kind.append(name)
        a, b = np.searchsorted(self.word_pos, (begin, end))
        ids, counts = np.unique(self.word_id[a:b], return_counts=True)
        order = np.argsort(-counts * self.word_idf[ids], kind="stable") if len(ids) else []
        return people, places, [self.word_text[ids[i]] for i in order[:5] if counts[i] >= 2]
