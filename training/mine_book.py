"""The natural questions that the rules mine from a book which Palimpsest has read, as JSON for `palimpsest-cli questions`.

    python training/mine_book.py LIBRARY.db TITLE OUT.json

The text is the one that the program stored, so that what is asked is what was read.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from pathlib import Path

from palimpsest_training.corpus import normalise
from palimpsest_training.mining import mine


def stored_text(library: Path, title: str) -> str:
    connection = sqlite3.connect(f"file:{library}?mode=ro", uri=True)
    rows = connection.execute(
        "SELECT p.text FROM passages p JOIN documents d ON d.id = p.document_id WHERE d.title LIKE ? ORDER BY p.ordinal", (title + "%",))
    return "\n\n".join(text for (text,) in rows)


def main() -> None:
    library, title, out = sys.argv[1:]
    questions = [{"question": q.question, "answer": q.answer, "kind": q.kind} for q in mine(normalise(stored_text(Path(library), title)))]
    Path(out).write_text(json.dumps(questions, indent=1, ensure_ascii=False) + "\n")
    print(f"{len(questions)} questions -> {out}")


if __name__ == "__main__":
    main()
