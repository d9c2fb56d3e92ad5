"""Book cards in the form of books.book_card(), and one card of several sections' cards: the engine's rule (engine/book_card.h)."""

from __future__ import annotations


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
    """Each label lists what most sections name, each section once; of equals, what they name sooner. What another label names
    oftener or sooner stands there; what two name alike, with the first."""
    votes: dict[str, dict[str, list[float]]] = {}
    longest: dict[str, int] = {}
    for label, items in (line for card in cards for line in parse(card) or []):
        longest[label] = max(longest.get(label, 0), len(items))
        counted = votes.setdefault(label, {})
        for item in dict.fromkeys(items):
            entry = counted.setdefault(item, [0, 0.0])
            entry[0] += 1
            entry[1] += 1 / (items.index(item) + 1)
    first = lambda item: max(votes, key=lambda label: votes[label].get(item, [0, 0.0]))  # of equals the first label
    mine = lambda item, label: first(item) == label
    ranked = lambda label: sorted((i for i in votes[label] if mine(i, label)), key=lambda i: (-votes[label][i][0], -votes[label][i][1]))
    lists = {label: ranked(label)[: longest[label]] for label in votes}
    return "\n".join(f"{label}: {', '.join(items) or 'none'}." for label, items in lists.items()) or None
