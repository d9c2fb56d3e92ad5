"""Where the sections of a book's memory end: the same rule as the engine's (engine/book_memory.h)."""

from __future__ import annotations

PASS_TOKENS = 2048  # the engine reads about so many at once; a section ends where a pass does


def section_ends(segments: int, segment_length: int, sections: int) -> list[int]:
    """Segments read at the end of each section of a text of so many segments; the last end is `segments`.

    A section ends with each pass. When there is one too many, the two neighbours that are the shortest together become
    one, the earliest of equals: so there are always `sections` of them in a long text, none much longer than another
    (but the newest, which may be short), and what was merged before depends on the text read so far only.
    """
    step = max(1, PASS_TOKENS // segment_length)
    ends: list[int] = []
    for end in [*range(step, segments, step), segments]:
        ends.append(end)
        if len(ends) > sections:
            begins = [0, *ends]
            shortest = min(range(len(ends) - 1), key=lambda i: ends[i + 1] - begins[i]) if len(ends) > 1 else 0
            del ends[shortest]
    return ends
