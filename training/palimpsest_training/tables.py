"""evaluation.json -> the Markdown tables of README.md and of the model's card, between their markers.

    python -m palimpsest_training.tables resources/models/palimpsest-mini/evaluation.json [--check] [FILE.md ...]

Without FILE: the repository's README.md and the card beside evaluation.json. A table stands between

    <!-- table: recall -->
    <!-- /table -->

(recall: the README's rows; card: with intervals and what is said of unanswerable questions). Everything outside the
markers is left as it is. --check: changes nothing, fails if a file would change.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

from .babi import TASKS
from .cases import SIZES

ROOT = Path(__file__).resolve().parents[2]
KNOCKED_OUT = ("facts-8", "facts-64", "turns", "paraphrased", "natural")
_MARKED = re.compile(r"(<!-- table: ([\w-]+) -->\n).*?(<!-- /table -->)", re.S)


def exact(cell: dict, kind: str = "names_and_numbers") -> str:
    return f"{cell['memory'][kind]['exact']:.2f}"


def with_interval(cell: dict, kind: str = "names_and_numbers") -> str:
    low, high = cell["memory"][kind]["interval"]
    return f"{exact(cell, kind)} [{low:.2f}, {high:.2f}]"


def each(score: str, digits: int, *conditions: str):
    """A score under several conditions."""
    return lambda cell: ", ".join(f"{cell[c][score]:.{digits}f}" for c in conditions if c in cell)


def knocked_out(cells: list[dict]) -> str:
    """The least and the most that zeroed and swapped memories score in these cells."""
    scores = [f"{c[k]['names_and_numbers']['exact']:.2f}" for c in cells for k in ("zeroed", "swapped") if k in c]
    return "" if not scores else scores[0] if len(set(scores)) == 1 else f"{min(scores)}-{max(scores)}"


def rate(name: str):
    return lambda cell: f"{cell[name]:.2f}"


ROWS = {  # table -> title of its first column, and (title, row of evaluation.json, what is shown of a cell)
    "recall": ("from memory alone, held-out books and names (exact)", [
        ("8 facts in natural prose, names and numbers", "facts-8", exact),
        ("the same, after another question and its answer", "turns", exact),
        ("the same, asked in words of which training has no template", "paraphrased", exact),
        ("64 facts in natural prose, names and numbers", "facts-64", exact),
        ("passkey (the prompt of arXiv 2404.07143)", "passkey", exact),
        ("natural questions mined from the prose", "natural", exact),
        ("facts and natural questions with the memory zeroed, or another book's", KNOCKED_OUT, knocked_out)]),
    "card": ("exact, names and numbers", [
        ("8 facts in natural prose", "facts-8", with_interval),
        ("the same, after another question and its answer", "turns", with_interval),
        ("the same, asked in words of which training has no template", "paraphrased", with_interval),
        ("64 facts in natural prose", "facts-64", exact),
        ("passkey, the paper's filler", "passkey", exact),
        ("natural questions mined from the prose", "natural", exact),
        *((f"BABILong {task.upper()}, bAbI's {title} strewn over unseen books", f"babilong-{task}", lambda cell: with_interval(cell, "all"))
          for task, title in TASKS.items()),
        ("FairytaleQA, whole unseen tales of up to 5K tokens, ROUGE-L: from memory, with the passage instead", "fairytale",
         each("rouge_l", 2, "memory", "passage")),
        ("unanswerable question about invented facts answered anyway (8 facts)", "facts-8", rate("answered_anyway")),
        ("answerable question taken for unanswerable (8 facts)", "facts-8", rate("false_unknown")),
        ("book card: recall of the five most frequent people", "book-card people", rate("memory")),
        ("perplexity of the next 2K tokens of unseen books: with the memory, without, with another text's", "perplexity",
         each("perplexity", 1, "memory", "zeroed", "swapped"))]),
}


def table(name: str, evaluation: dict) -> str:
    """Markdown, a row for each that was measured, a column for each size."""
    measured = evaluation["table"]
    sizes = sorted({size for cells in measured.values() for size in cells}, key=SIZES.get)
    head, rows = ROWS[name]
    line = lambda cells: "|" + "".join(f" {c} |" if c else " |" for c in cells) + "\n"
    text = line([head, *sizes[:-1], sizes[-1] + " tokens"]) + "|" + "---|" * (len(sizes) + 1) + "\n"
    for title, row, shown in rows:
        if isinstance(row, tuple):
            found = {size: [measured[r][size] for r in row if size in measured.get(r, {})] for size in sizes}
        else:
            found = measured.get(row, {})
        cells = [shown(found[size]) if found.get(size) else "" for size in sizes]
        text += line([title, *cells]) if any(cells) else ""
    return text


def filled(text: str, evaluation: dict) -> str:
    return _MARKED.sub(lambda m: m.group(1) + table(m.group(2), evaluation) + m.group(3), text)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("evaluation", type=Path)
    p.add_argument("files", type=Path, nargs="*", metavar="FILE.md")
    p.add_argument("--check", action="store_true")
    a = p.parse_args()
    evaluation, stale = json.loads(a.evaluation.read_text()), []
    for file in a.files or (ROOT / "README.md", a.evaluation.parent / "README.md"):
        text = file.read_text(encoding="utf-8")
        if not _MARKED.search(text):
            sys.exit(f"{file} has no <!-- table: ... --> to fill")
        if (new := filled(text, evaluation)) != text:
            stale.append(str(file))
            if not a.check:
                file.write_text(new, encoding="utf-8")
    if a.check and stale:
        sys.exit("not what evaluation.json says: " + ", ".join(stale))


if __name__ == "__main__":
    main()
