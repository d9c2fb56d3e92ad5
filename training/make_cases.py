"""Writes tests/data/cases.jsonl: a few documents from the bundled book with what is asked about them, and PyTorch's result.

    python training/make_cases.py

To be run again whenever the shipped weights change: with the same tokenizer the documents stay, the result follows. The
first line holds it, for the tests that hold the engine (tests/app/eval_test.cpp) and PyTorch (tests/test_cases.py)
against it:
    "reference"  "model"; "cells": {row: {size: {"exact": share of the names and numbers, "n"}}};
                 "segments": per document, per segment [end in bytes, tokens];
                 "tolerance": how far another arithmetic (bf16, another order of sums) may be from "exact", where it
                 decides between two words that are as good as equally likely
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import torch
from tokenizers import Tokenizer

from make_cutter_cases import book_text
from palimpsest_training import cases
from palimpsest_training.books import Books
from palimpsest_training.cutter import cut_text
from palimpsest_training.evaluate import Reader, run_cases
from palimpsest_training.export import load_folder
from palimpsest_training.prepare import prepare

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "resources" / "models" / "palimpsest-mini"
CASES = ROOT / "tests" / "data" / "cases.jsonl"
BOOK = "h_g_wells_the_time_machine.txt"  # as corpus.is_held_out knows it

CELLS = {"facts-8": ("2K", 4), "turns": ("2K", 2), "natural": ("1K", 1), "passkey": ("1K", 1)}  # row: size, documents
TOLERANCE = 0.06


def reader() -> Reader:
    return Reader(load_folder(MODEL), Tokenizer.from_file(str(MODEL / "tokenizer.json")), torch.device("cpu"))


def write_documents(out: Path, tokenizer: Tokenizer) -> None:
    with tempfile.TemporaryDirectory() as folder:
        book, packed = Path(folder) / BOOK, Path(folder) / "book.npz"
        book.write_text(book_text(10**6))
        prepare([book], MODEL / "tokenizer.json", packed, None, 1)
        books = Books(tokenizer, packed)
    drawn = {(row, size): cases.draw(books, row, size, count, seed=7) for row, (size, count) in CELLS.items()}
    cases.save(out, cases.joined(drawn), tokenizer)


def segments_of(text: str, tokenizer: Tokenizer, segment_length: int) -> list[list[int]]:
    """[end in bytes, tokens] of each segment."""
    count = lambda t: len(tokenizer.encode(t, add_special_tokens=False).ids)
    raw = text.encode()
    return [[b, count(raw[a:b].decode())] for a, b in cut_text(text, count, segment_length)]


def reference(r: Reader) -> dict:
    _, documents = cases.load(CASES)
    table = run_cases(r, documents, knock_out=False)
    exact = {row: {size: {k: c["memory"]["names_and_numbers"][k] for k in ("exact", "n")} for size, c in cells.items()} for row, cells in table.items()}
    segments = [segments_of(d.text, r.tokenizer, r.model.c.segment_length) for _, d in documents]
    return {"model": MODEL.name, "tolerance": TOLERANCE, "cells": exact, "segments": segments}


def main() -> None:
    r = reader()
    write_documents(CASES, r.tokenizer)
    lines = CASES.read_text(encoding="utf-8").split("\n")
    lines[0] = json.dumps(json.loads(lines[0]) | {"reference": reference(r)})
    CASES.write_text("\n".join(lines), encoding="utf-8")
    print(f"{CASES}: {CASES.stat().st_size} bytes")


if __name__ == "__main__":
    main()
