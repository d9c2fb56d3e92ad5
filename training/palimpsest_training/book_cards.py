"""Book cards in the form of books.book_card(), and one card of several sections' cards: the engine's rule (engine/book_card.h).

    python -m palimpsest_training.book_cards --data heldout.npz --tokenizer DIR --size 128K --cards 8 16 32 64

tells how many of a stretch's most frequent people the card names that is made of faultless cards of its sections: no model can
be expected to do better by that rule.
"""

from __future__ import annotations

import argparse
import random
import re
from pathlib import Path

from tokenizers import Tokenizer

from .books import Books, book_card
from .mining import TITLES

_FIRST_WORDS = set("The A An And But Then So When If As In At On To For From With That This It He She They There Here Now Oh Yes No".split())
_TITLES = set(TITLES.split("|"))


def cards_for(tokens: int) -> int:
    """How many sections' cards make the card of a text of so many tokens."""
    return min(32, max(1, tokens // 4096))


def parse(text: str) -> list[tuple[str, list[str]]] | None:
    """(label, items) of each line; None: no card."""
    lines = []
    for line in filter(None, (line.strip(" \t\r.") for line in text.split("\n"))):
        label, colon, items = line.partition(":")
        if not colon or not label or any(c in label for c in " ,."):
            return None
        lines.append((label, [i for i in (item.strip(" \t\r.:;") for item in items.split(",")) if i and i != "none"]))
    return lines or None


def merge(cards: list[str], index=None) -> str | None:
    """An item stands under the label that most sections give it, of equals the first. Each label lists what most sections name, each
    section once; of equals, what they name sooner. index(item): how often it stands in the text, None where it may not be listed; names
    (what begins with no small letter) are listed by that first."""
    votes: dict[str, dict[str, list[float]]] = {}
    longest: dict[str, int] = {}
    for label, items in (line for card in cards for line in parse(card) or []):
        longest[label] = max(longest.get(label, 0), len(items))
        counted = votes.setdefault(label, {})
        for item in dict.fromkeys(items):
            entry = counted.setdefault(item, [0, 0.0])
            entry[0] += 1
            entry[1] += 1 / (items.index(item) + 1)
    home = lambda item: max(votes, key=lambda label: votes[label].get(item, [0])[0])
    standing = lambda item: index(item) if index else 0
    is_name = lambda item: not re.match(r"[a-z0-9]", item)
    lists: dict[str, list[str]] = {}
    for label, counted in votes.items():
        left = {i: s for i in counted if home(i) == label and (s := standing(i)) is not None}
        lists[label] = sorted(left, key=lambda i: (-left[i] * is_name(i), -counted[i][0], -counted[i][1]))[: longest[label]]
    return "\n".join(f"{label}: {', '.join(items) or 'none'}." for label, items in lists.items()) or None


def index_of(text: str):
    """How often an item stands in a text, neither inside a word nor, with a capital, inside a longer name, nearly as occurrencesOf()
    of storage/search_words.h counts, whose words are more; None: never. (The program lets also those stand whose words all do, last.)"""

    def alone(item: str, at: re.Match) -> bool:
        before = re.search(r"([A-Za-z0-9]\S*) $", text[max(0, at.start() - 40) : at.start()])
        goes_on = before and re.match(r"[A-Z]", before[1]) and (re.search(r"\w$", before[1]) and before[1] not in _FIRST_WORDS or before[1].removesuffix(".") in _TITLES)
        return not item[:1].isupper() or not (goes_on or re.match(r" [A-Z]", text[at.end() : at.end() + 2]))

    return lambda item: sum(alone(item, at) for at in re.finditer(rf"(?<!\w){re.escape(item)}(?!\w)", text)) or None


def people_of(card: str) -> list[str]:
    return dict(parse(card) or []).get("People", [])


def stretches(books: Books, size: int, count: int, seed: int) -> list[tuple[int, int]]:
    """(begin, end) of so many tokens each, with five people."""
    rng, spans = random.Random(seed), []
    while len(spans) < count:
        begin, end = books.range(rng, size)
        if len(books.card(begin, end)[0]) == 5:
            spans.append((begin, end))
    return spans


def faultless(books: Books, begin: int, end: int, count: int) -> str:
    """The card that `count` sections' own cards make, each as the text has it."""
    cuts = [begin + (end - begin) * i // count for i in range(count + 1)]
    return merge([book_card(*books.card(a, b)) for a, b in zip(cuts, cuts[1:])]) or ""


def recall(books: Books, spans: list[tuple[int, int]], cards: list[str]) -> list[float]:
    """Of each stretch's five most frequent people, the share that its card names."""
    return [sum(p in people_of(card) for p in books.card(a, b)[0]) / 5 for (a, b), card in zip(spans, cards)]


def main() -> None:
    from .cases import SIZES

    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--data", type=Path, required=True, help="packed held-out books")
    p.add_argument("--tokenizer", type=Path, required=True)
    p.add_argument("--size", default="128K", choices=list(SIZES))
    p.add_argument("--cards", type=int, nargs="+", default=[8, 16, 32, 64])
    p.add_argument("--documents", type=int, default=40)
    p.add_argument("--seed", type=int, default=7)
    a = p.parse_args()
    books = Books(Tokenizer.from_file(str(a.tokenizer / "tokenizer.json")), a.data)
    spans = stretches(books, SIZES[a.size], a.documents, a.seed)
    for count in a.cards:
        found = recall(books, spans, [faultless(books, begin, end, count) for begin, end in spans])
        print(f"{count:3} cards: {sum(found) / len(found):.3f}")


if __name__ == "__main__":
    main()
