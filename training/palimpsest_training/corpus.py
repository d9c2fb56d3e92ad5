"""Books as plain text: reading them, one spelling for quotes and dashes, and the split into training and held-out.

The split depends on the file name alone (its SHA-256), so that every script, and the test that proves that no
held-out book was trained on, agree without a list.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

# Books that people meet in the program or in its tests never enter training, whatever their hash says.
ALWAYS_HELD_OUT = ("the_time_machine", "hamlet", "the_problems_of_philosophy", "alice_s_adventures")
HELD_OUT_SHARE = 12  # one book in twelve

# The tokenizer normalises in the same way (tokenizer.py), so the model never sees the left column.
REPLACEMENTS = {
    "\u201c": '"', "\u201d": '"', "\u201e": '"', "\u2018": "'", "\u2019": "'", "\u201a": "'",
    "\u2014": "--", "\u2013": "-", "\u2015": "--", "\u2010": "-", "\u2011": "-", "\u2026": "...",
    "\u00a0": " ", "\u202f": " ", "\u2009": " ", "\u200a": " ", "\u2060": "", "\u200b": "", "\u00ad": "", "\ufeff": "",
}
_TABLE = str.maketrans(REPLACEMENTS)


def normalise(text: str) -> str:
    """Straight quotes, two-hyphen dashes, single spaces, paragraphs separated by one blank line."""
    text = text.translate(_TABLE).replace("\r\n", "\n")
    paragraphs = (" ".join(p.split()) for p in re.split(r"\n\s*\n", text))
    return "\n\n".join(p for p in paragraphs if p)


def is_held_out(name: str) -> bool:
    """Whether the book of this file name (without folder) is kept for evaluation."""
    if any(part in name for part in ALWAYS_HELD_OUT):
        return True
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") % HELD_OUT_SHARE == 0


def book_files(folder: Path, held_out: bool) -> list[Path]:
    return [p for p in sorted(Path(folder).glob("*.txt")) if is_held_out(p.name) == held_out]


def read_book(path: Path, limit: int | None = None) -> str:
    """Normalised text of one book; at most `limit` characters, ending with a whole paragraph."""
    text = normalise(path.read_text(encoding="utf-8", errors="replace"))
    if limit and len(text) > limit:
        text = text[: text.rfind("\n\n", 0, limit)]
    return text
