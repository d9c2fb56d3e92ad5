"""The engine's answers to files of cases -> the cells of evaluation.json that evaluate.py would make of its own.

    palimpsest-engine-bench MODEL --cases cases-8K.jsonl --answers answers-8K.jsonl --knock-out
    python -m palimpsest_training.answers --cases cases-8K.jsonl cases-32K.jsonl --answers answers-8K.jsonl answers-32K.jsonl --into evaluation.json

Each file of answers stands beside its file of cases. The cells of these rows and sizes are replaced and say "by": "engine"; all
others stay. A row and size of several files is one cell. What the engine does not tell is not in its cells: tokens_per_second, and
by_unknown_bias and by_sure_doubt unless it was asked with --forced and --by-section. With the latter, --sure-doubt X chooses again
among what the sections said, as a model with that sure_doubt does; other memories' answers stay as they are.

A line of answers (engine/answers_file.h) is one row of a document, asked under one condition:
    "size", "row"  as in the cases
    "document"     its place in the file of cases, counted from 0
    "tokens"       that it has
    "condition"    "memory", "zeroed" or "swapped"
    "answers"      beside the questions: {"text", "unknown", "doubt", "section", "sections", "lead", "forced", "doubts", "said"}, or null where an
                   unanswerable question was not asked of another memory. Of these only "text" is needed; with "lead" and, of what was
                   refused, "forced" the cell has by_unknown_bias, with "doubts" and "said" by_sure_doubt
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path

import numpy as np

from . import cases
from .cases import SIZES, Document
from .facts import UNKNOWN
from .scores import SURE, by_sure_doubt, by_unknown_bias, cells_of, knocked_out, line_of, scored, with_examples
from .sections import section_chosen

CONDITIONS = ("memory", "zeroed", "swapped")


class AnswersError(ValueError):
    """What is wrong with a file, in a sentence."""


def chosen_again(answer: dict | None, sure: float) -> dict | None:
    """The answer of a model with another sure_doubt, where it is told what each section said. By how much "unknown" leads there is only
    known to be no less than "lead": all other words together have what it has not."""
    if not answer or not answer.get("said"):
        return answer
    section = section_chosen(answer["doubts"], sure)
    if section == answer["section"]:
        return answer
    text, doubt = answer["said"][str(section)], max(1e-9, answer["doubts"][section])
    return answer | {"text": text, "unknown": text == UNKNOWN, "section": section, "doubt": doubt, "lead": math.log(doubt / (1 - doubt))}


def load(path: Path, documents: list[tuple[str, Document]], sure: float | None = None) -> dict[tuple[int, str, str], dict]:
    """(document, row, condition) -> its line. sure: chosen_again()."""
    found: dict = {}
    for number, text in enumerate(Path(path).read_text(encoding="utf-8").split("\n"), 1):
        if not text:
            continue
        wrong = lambda what: AnswersError(f"Line {number} of {path} {what}.")
        try:
            line = json.loads(text)
            key, given = (line["document"], line["row"], line["condition"]), line["answers"]
            given = given if sure is None else [chosen_again(answer, sure) for answer in given]
            said = [answer and answer["text"] for answer in given]
            forced = [answer and (answer.get("forced", None if answer.get("unknown") else answer["text"]), answer.get("lead")) for answer in given]
            sections = [answer and answer.get("said") and (answer["doubts"], answer["said"]) for answer in given]
            line["tokens"] + 0
        except (ValueError, KeyError, TypeError):
            raise wrong("is no line of answers") from None
        place, row, condition = key
        if not (place in range(len(documents)) and line.get("size") == documents[place][0] and row in documents[place][1].rows):
            raise wrong("answers a document that is not in the cases")
        asked = documents[place][1].rows[row]
        if condition not in CONDITIONS or key in found:
            raise wrong(f"has a condition that is unknown or is there twice, {condition}")
        if len(said) != len(asked) or any(s is None and (condition == "memory" or a.kind != "unknown") for s, a in zip(said, asked)):
            raise wrong("does not answer what is asked")
        found[key] = {"tokens": line["tokens"], "said": said, "forced": forced, "sections": sections}
    return found


def table(documents: list[tuple[str, Document]], answers: dict[tuple[int, str, str], dict]) -> dict:
    """row -> size -> cell."""
    made: dict = {}
    for (row, size), places in cells_of(documents).items():
        lines = {c: [answers.get((p, row, c)) for p in places] for c in (CONDITIONS if knocked_out(row) else CONDITIONS[:1])}
        lines = {c: found for c, found in lines.items() if c == "memory" or any(found)}
        for condition, found in lines.items():
            if None in found:
                raise AnswersError(f"Row {row} of {size}, {condition}: {found.count(None)} of {len(found)} documents have no answers.")
        asked, said = [documents[p][1].rows[row] for p in places], {c: [line["said"] for line in found] for c, found in lines.items()}
        cell = {"documents": len(places), "tokens": int(np.mean([line["tokens"] for line in lines["memory"]]))}
        cell |= scored(asked, said) | {"answers": said["memory"]}
        forced = [(a, *f) for its, line in zip(asked, lines["memory"]) for a, f in zip(its, line["forced"])]
        if any(a.kind == "unknown" for a, _, _ in forced) and not any(text is None or lead is None for _, text, lead in forced):
            cell["by_unknown_bias"] = by_unknown_bias(forced)
        each = [(a, text, s) for its, line in zip(asked, lines["memory"]) for a, text, s in zip(its, line["said"], line["sections"])]
        if any(s for _, _, s in each):
            cell["by_sure_doubt"] = by_sure_doubt(each)
        made.setdefault(row, {})[size] = with_examples(cell, asked) | {"by": "engine"}
    return made


def replaced(evaluation: dict, made: dict) -> dict:
    """The evaluation with these cells instead of its own."""
    rows = dict(evaluation["table"])
    for row, cells in made.items():
        rows[row] = dict(sorted((rows.get(row, {}) | cells).items(), key=lambda c: SIZES[c[0]]))
    return evaluation | {"table": rows}


def run(case_files: list[Path], answer_files: list[Path], into: Path, sure: float | None = None) -> None:
    evaluation = json.loads(into.read_text(encoding="utf-8"))
    documents, answers = [], {}
    for case_file, answer_file in zip(case_files, answer_files):
        of_file = cases.load(case_file)[1]
        answers |= {(len(documents) + place, row, condition): line for (place, row, condition), line in load(answer_file, of_file, sure).items()}
        documents += of_file
    made = table(documents, answers)
    into.write_text(json.dumps(replaced(evaluation, made), indent=1) + "\n", encoding="utf-8")
    for row, cells in made.items():
        for size, cell in cells.items():
            print(line_of(row, size, cell))


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--cases", type=Path, nargs="+", required=True, metavar="CASES.jsonl")
    p.add_argument("--answers", type=Path, nargs="+", required=True, metavar="ANSWERS.jsonl", help="of each file of cases, in the same order")
    p.add_argument("--into", type=Path, required=True, metavar="evaluation.json", help="whose cells are replaced")
    p.add_argument("--sure-doubt", type=float, metavar="X", help="choose again among what the sections said")
    a = p.parse_args()
    if a.sure_doubt is not None and not 0 <= a.sure_doubt <= SURE[0]:
        p.error(f"--sure-doubt is from 0 to {SURE[0]}: what doubts more was not asked")
    if len(a.cases) != len(a.answers):
        p.error("each file of cases needs its file of answers")
    try:
        run(a.cases, a.answers, a.into, a.sure_doubt)
    except (OSError, ValueError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
