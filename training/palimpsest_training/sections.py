"""Where the sections of a book's memory end, and which of them answers: the engine's rules (section_rule.h, section_choice.h)."""

from __future__ import annotations

SECTION_TOKENS = 256  # about so many are a section at first


def section_ends(segments: int, segment_length: int, sections: int) -> list[int]:
    """Segments read at the end of each section of a text of so many segments; the last end is `segments`.

    A section ends with each segment (of short ones with each few). When there is one too many, the two neighbours that are the shortest together become
    one, the earliest of equals: so there are always `sections` of them in a long text, none much longer than another
    (but the newest, which may be short), and what was merged before depends on the text read so far only.
    """
    step = max(1, SECTION_TOKENS // segment_length)
    ends: list[int] = []
    for end in [*range(step, segments, step), segments]:
        ends.append(end)
        if len(ends) > sections:
            begins = [0, *ends]
            shortest = min(range(len(ends) - 1), key=lambda i: ends[i + 1] - begins[i]) if len(ends) > 1 else 0
            del ends[shortest]
    return ends


def section_chosen(doubts, sure: float = 0.0, books: list[int] | None = None) -> int:
    """Of sections in the order of their text, by the probability with which each would say that the book does not say: the newest that
    doubts less than `sure`, since what is said later holds; where there is none, the one that doubts least. books: how many sections are
    of each book of a shelf; then that book is asked whose least doubt is the smallest."""
    begin, count = 0, len(doubts)
    if books:
        begins = [sum(books[:i]) for i in range(len(books))]
        begin, count = min(zip(begins, books), key=lambda b: min(doubts[b[0] : sum(b)]))
    own = range(begin, begin + count)
    certain = [i for i in own if doubts[i] < sure]
    return certain[-1] if certain else min(own, key=lambda i: doubts[i])
