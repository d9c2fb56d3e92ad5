"""The tables of README.md and of the model's card are those of evaluation.json."""

import json
from pathlib import Path

import pytest

from palimpsest_training.tables import filled, table

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "resources" / "models" / "palimpsest-mini"


@pytest.fixture
def evaluation():
    return json.loads((MODEL / "evaluation.json").read_text())


@pytest.mark.parametrize("file, name", [(ROOT / "README.md", "recall"), (MODEL / "README.md", "card")])
def test_tables_are_what_was_measured(file, name, evaluation):
    text = file.read_text()
    assert f"<!-- table: {name} -->\n{table(name, evaluation)}<!-- /table -->" in text  # if not: python -m palimpsest_training.tables
    assert filled(text, evaluation) == text
    first = evaluation["table"]["facts-8"]["8K"]["memory"]["names_and_numbers"]
    first["exact"] = 0.4321
    assert "0.43" in filled(text, evaluation) and filled(text, evaluation) != text


def test_rows_and_columns_are_those_that_were_measured(evaluation):
    cell = evaluation["table"]["facts-8"]["8K"]
    small = {"table": {"turns": {"8K": cell}, "facts-8": {"8K": cell, "128K": cell}}}
    assert table("recall", small).splitlines() == [
        "| from memory alone, held-out books and names (exact) | 8K | 128K tokens |", "|---|---|---|",
        f"| 8 facts in natural prose, names and numbers | {cell['memory']['names_and_numbers']['exact']:.2f} | {cell['memory']['names_and_numbers']['exact']:.2f} |",
        f"| the same, after another question and its answer | {cell['memory']['names_and_numbers']['exact']:.2f} | |",
        "| facts and natural questions with the memory zeroed, or another book's | 0.00 | 0.00 |"]
