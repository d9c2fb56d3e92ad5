"""By hash: no book, name or number that the evaluation uses is on training's side."""

import json
import random
from pathlib import Path

import pytest

from palimpsest_training import cases, facts
from palimpsest_training.corpus import ALWAYS_HELD_OUT, book_files, is_held_out
from palimpsest_training.facts import Names

CASES = Path(__file__).resolve().parents[2] / "tests" / "data" / "cases.jsonl"
DRAWN = {"surname": Names.surname, "given": Names.given, "town": Names.town, "first": Names.first,
         "number": lambda names: names.number(1000, 99999), "room": lambda names: names.number(100, 999)}


@pytest.mark.parametrize("kind", DRAWN)
def test_names_and_numbers_are_drawn_from_two_sides(kind):
    def drawn(evaluation: bool) -> set[str]:
        names = Names(random.Random(evaluation), evaluation)
        return {DRAWN[kind](names) for _ in range(10_000)} - set(facts.COMMON_FIRST)  # "John": in both, never an answer

    training, evaluation = drawn(False), drawn(True)
    assert len(training) > 500 and len(evaluation) > 100
    assert not training & evaluation
    assert all(facts.held_out(w) for w in evaluation) and not any(facts.held_out(w) for w in training)


def test_a_list_of_training_books_never_holds_a_held_out_one(tmp_path):
    for i in range(500):
        (tmp_path / f"author_{i}_a_book.txt").touch()
    for name in ALWAYS_HELD_OUT:
        (tmp_path / f"somebody_{name}.txt").touch()
    training, evaluation = ({p.name for p in book_files(tmp_path, side)} for side in (False, True))
    assert len(training) + len(evaluation) == 500 + len(ALWAYS_HELD_OUT) and not training & evaluation
    assert not any(is_held_out(n) for n in training) and all(is_held_out(n) for n in evaluation)
    assert len(evaluation) > 20 and all(f"somebody_{name}.txt" in evaluation for name in ALWAYS_HELD_OUT)


def test_the_case_file_is_held_out():
    header, documents = cases.load(CASES)
    assert header["books"] and all(is_held_out(name) for name in header["books"])
    answers = [a.answer for _, d in documents for row in ("facts-8", "turns", "passkey") for a in d.rows.get(row, []) if a.is_open]
    assert len(answers) > 20
    assert all(facts.held_out(word) for answer in answers for word in answer.split())


def test_cases_of_a_training_book_are_not_written(tmp_path):
    known = next(f"book_{i}.txt" for i in range(9) if not is_held_out(f"book_{i}.txt"))
    document = cases.Document("Some prose.", {"natural": [cases.Asked("natural:said", "Who?", "Hugh")]}, [known])
    with pytest.raises(ValueError, match=known):
        cases.save(tmp_path / "cases.jsonl", [("2K", document)], None)
    assert not (tmp_path / "cases.jsonl").exists()
    assert json.loads(CASES.read_text().split("\n")[0])["palimpsest_cases"] == cases.FORMAT
