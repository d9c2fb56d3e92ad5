"""The table by the engine: documents drawn once and dealt out, asked by several at a time, begun again where it stopped."""

import json
import os
import sys
from pathlib import Path

import pytest

from palimpsest_training import cases, measure_recall
from palimpsest_training.facts import UNKNOWN

# Answers every question rightly, but those of whom the text does not say, and says on which device.
ENGINE = """#!{python}
import json, sys
words = [w for w in sys.argv[2:] if w not in ("--knock-out", "--forced", "--by-section")]
given = dict(zip(words[::2], words[1::2]))
print("on", given["--device"])
if given["--device"] == "broken":
    sys.exit("no such card")
_, *documents = map(json.loads, open(given["--cases"]))
with open(given["--answers"], "w") as out:
    for place, d in enumerate(documents):
        for row, asked in d["rows"].items():
            for condition in ("memory", "zeroed"):
                said = [None if condition == "zeroed" and q.get("unanswerable") else {{"text": q["answer"] if condition == "memory" else "x"}} for q in asked]
                print(json.dumps(dict(size=d["size"], row=row, document=place, tokens=9, condition=condition, answers=said)), file=out)
"""


@pytest.fixture
def call(plain_books, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[1]) + os.pathsep + os.environ.get("PYTHONPATH", ""))
    bench = tmp_path / "bench"
    bench.write_text(ENGINE.format(python=sys.executable))
    bench.chmod(0o755)

    def run(command, *more):
        of = {"cases": ["--data", plain_books.folder / "books.npz", "--tokenizer", plain_books.folder / "tokenizer", "--documents", 5],
              "ask": ["--bench", bench, "--model", tmp_path], "cells": ["--into", tmp_path / "evaluation.json"]}[command]
        monkeypatch.setattr(sys, "argv", ["measure_recall", command, "--out", str(tmp_path), "--only", "facts-8k", *map(str, (*of, *more))])
        measure_recall.main()

    run.folder = tmp_path
    return run


def test_every_cell_is_drawn_asked_and_counted_once(call):
    folder = call.folder
    (folder / "evaluation.json").write_text('{"table": {"kept": {}}}')
    call("cases")
    parts = [cases.load(folder / "cases" / f"facts-8k-{k}.jsonl")[1] for k in range(2)]
    assert abs(len(parts[0]) - len(parts[1])) <= 1 and not list((folder / "cases").glob("*.whole"))
    call("ask", "--devices", "a", "b", "--at-once", 2)
    assert {(folder / "answers" / f"facts-8k-{k}.log").read_text() for k in range(2)} <= {"on a\n", "on b\n"}
    call("cells")
    table = json.loads((folder / "evaluation.json").read_text())["table"]
    assert set(table) == {"kept", "facts-8", "turns", "paraphrased", "passkey"}
    cell = table["facts-8"]["8K"]
    assert cell["documents"] == 5 and cell["memory"]["all"]["exact"] == 1 and cell["zeroed"]["all"]["exact"] == 0 and cell["answered_anyway"] == 0
    unknown = [a for part in parts for _, d in part for a in d.rows.get("facts-8", ()) if a.answer == UNKNOWN]
    assert len(unknown) == 10


def test_what_is_done_is_not_done_again(call):
    folder = call.folder
    call("cases")
    call("ask")
    files = sorted([*(folder / "cases").glob("*"), *(folder / "answers").glob("*.jsonl")])
    before = [f.stat().st_mtime_ns for f in files]
    (folder / "answers" / "facts-8k-1.jsonl").unlink()
    call("cases")
    call("ask")
    after = [f.stat().st_mtime_ns for f in files]
    assert [a == b for a, b in zip(before, after)] == [f != folder / "answers" / "facts-8k-1.jsonl" for f in files]


def test_what_is_missing_is_said_and_left_out(call):
    folder = call.folder
    (folder / "evaluation.json").write_text('{"table": {}}')
    with pytest.raises(SystemExit, match="parts.json"):
        call("ask")
    call("cases")
    drawn = folder / "cases" / "facts-8k-1.jsonl"
    drawn.rename(folder / "aside")
    with pytest.raises(SystemExit, match="facts-8k-1 was not drawn within 0 s"):
        call("ask", "--wait", 0)
    (folder / "aside").rename(drawn)
    (folder / "answers" / "facts-8k-0.jsonl").unlink()
    with pytest.raises(SystemExit, match="facts-8k-0 on cpu: .*No such file or directory: .*none"):
        call("ask", "--bench", folder / "none")
    with pytest.raises(SystemExit, match="facts-8k-0 on broken: on broken\nno such card"):
        call("ask", "--devices", "broken")
    call("ask")
    (folder / "answers" / "facts-8k-0.jsonl").unlink()
    with pytest.raises(SystemExit, match="facts-8k is left out: 1 of 2 parts are answered"):
        call("cells")
    assert json.loads((folder / "evaluation.json").read_text()) == {"table": {}}


def test_few_documents_are_dealt_out_to_fewer_parts(call):
    folder = call.folder
    (folder / "evaluation.json").write_text('{"table": {}}')
    call("cases", "--documents", 3)
    assert json.loads((folder / "parts.json").read_text()) == {"facts-8k": 1}
    call("ask")
    call("cells")
    assert json.loads((folder / "evaluation.json").read_text())["table"]["turns"]["8K"]["documents"] == 3
    with pytest.raises(SystemExit, match="facts-8k: dealt out to another number of parts"):
        call("cases", "--documents", 9)


def test_a_cell_that_cannot_be_drawn_says_why(call):
    with pytest.raises(SystemExit, match="facts-8k: .*none.npz"):
        call("cases", "--data", "none.npz")


def test_each_cell_of_the_table_is_in_one_batch():
    cells = [(row, b.size) for b in measure_recall.BATCHES for row in b.rows]
    assert len(set(cells)) == len(cells) and all(cases.belongs(*cell) for cell in cells)
    assert {(row, size) for row in (*cases.ROWS, *cases.BABILONG) for size in ("8K", "32K", "128K") if cases.belongs(row, size)} <= set(cells)
