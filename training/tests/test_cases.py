"""The committed case file: its segments and its stored result are what PyTorch computes now (training/make_cases.py)."""

import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "training"))

import make_cases  # noqa: E402
from palimpsest_training import cases  # noqa: E402
from palimpsest_training.evaluate import run_cases  # noqa: E402
from palimpsest_training.facts import UNKNOWN  # noqa: E402


@pytest.fixture(scope="module")
def reader():
    return make_cases.reader()


@pytest.fixture(scope="module")
def stored():
    return cases.load(make_cases.CASES)


def test_text_and_token_arrays_are_cut_alike_and_as_stored(reader, stored):
    header, documents = stored
    assert len(documents) == len(header["reference"]["segments"]) > 4
    for (_, d), expected in zip(documents, header["reference"]["segments"]):
        assert make_cases.segments_of(d.text, reader.tokenizer, reader.model.c.segment_length) == expected
        of_text = reader.segments(d.text)
        of_tokens = reader.segments(np.array(sum(of_text, []), np.uint16))
        assert [len(s) for s in of_text] == [tokens for _, tokens in expected]
        assert [s.tolist() for s in of_tokens] == of_text


def test_the_stored_result_is_what_pytorch_gets(reader, stored):
    header, documents = stored
    chosen = [(size, cases.Document(d.text, {row: d.rows[row] for row in ("facts-8", "passkey") if row in d.rows})) for size, d in documents]
    for row, cells in run_cases(reader, chosen, knock_out=False).items():
        for size, cell in cells.items():
            expected, got = header["reference"]["cells"][row][size], cell["memory"]["names_and_numbers"]
            assert got["n"] == expected["n"]
            assert got["exact"] == pytest.approx(expected["exact"], abs=1.5 / got["n"]), (row, size)  # one tie may fall otherwise


def test_every_answer_stands_in_the_text_and_turns_are_true(stored):
    for _, d in stored[1]:
        for asked in d.rows.values():
            for a in asked:
                assert (a.answer == UNKNOWN) if a.kind == "unknown" else (a.answer.removeprefix("the ").lower() in d.text.lower())
        known = {(a.question, a.answer) for a in d.rows.get("facts-8", []) if a.kind != "unknown"}
        later = d.rows.get("turns", [])
        assert not later or [(a.question, a.answer) for a in later] == [(a.question, a.answer) for a in d.rows["facts-8"]]
        for a in later:
            assert len(a.turns) == 1 and set(a.turns) <= known and a.turns[0][0] != a.question
            assert a.prompt == f"Question: {a.turns[0][0]}\nAnswer: {a.turns[0][1]}\n\nQuestion: {a.question}\nAnswer:"
    assert sum("turns" in d.rows for _, d in stored[1]) >= 2


def test_the_documents_can_be_drawn_again(reader, stored, tmp_path):
    make_cases.write_documents(tmp_path / "cases.jsonl", reader.tokenizer)
    header, documents = cases.load(tmp_path / "cases.jsonl")
    assert header["books"] == stored[0]["books"] and documents == stored[1]


def test_fewer_questions_are_asked_of_the_same_documents():
    asked = [cases.Asked("unknown" if i % 5 == 4 else "room", f"{i}?", str(i)) for i in range(80)]
    few = [cases.Asked("room", "only?", "1")]
    document = cases.Document(np.arange(9), {"facts-64": asked, "natural": few})
    [(size, fewer)] = cases.some([("8K", document)], 20, seed=3)
    kept = fewer.rows["facts-64"]
    assert size == "8K" and fewer.text is document.text and fewer.rows["natural"] == few
    assert len(kept) == 20 and sum(a.kind == "unknown" for a in kept) == 4
    assert kept == [a for a in asked if a in kept]
    assert sum(a.kind == "unknown" for a in cases.some([("8K", document)], 2, seed=3)[0][1].rows["facts-64"]) == 1
