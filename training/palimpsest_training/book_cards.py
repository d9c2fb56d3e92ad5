"""Book cards in the form of books.book_card(), and one card of several sections' cards: the engine's rule (engine/book_card.h)."""

from __future__ import annotations


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
        lines.append((label, [i for i in (item.strip(" \t\r.") for item in items.split(",")) if i and i != "none"]))
    return lines or None


def merge(cards: list[str]) -> str | None:
    """Each label lists what most sections name, each section once; of equals, what they name sooner. What an earlier
    label has listed is not listed again."""
    votes: dict[str, dict[str, list[float]]] = {}
    longest: dict[str, int] = {}
    for label, items in (line for card in cards for line in parse(card) or []):
        longest[label] = max(longest.get(label, 0), len(items))
        counted = votes.setdefault(label, {})
        for item in dict.fromkeys(items):
            entry = counted.setdefault(item, [0, 0.0])
            entry[0] += 1
            entry[1] += 1 / (items.index(item) + 1)
    lists: dict[str, list[str]] = {}
    for label, counted in votes.items():
        left = [i for i in counted if not any(i in earlier for earlier in lists.values())]
        lists[label] = sorted(left, key=lambda i: (-counted[i][0], -counted[i][1]))[: longest[label]]
    return "\n".join(f"{label}: {', '.join(items) or 'none'}." for label, items in lists.items()) or None
