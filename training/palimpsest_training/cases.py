"""Cases: held-out documents and what is asked about them, for the PyTorch evaluation and for the engine alike.

    python -m palimpsest_training.cases --data heldout.npz --tokenizer DIR --out cases.jsonl --sizes 8K --documents 50
    python -m palimpsest_training.evaluate --cases cases.jsonl --model FOLDER          # PyTorch
    palimpsest-cli eval cases.jsonl --knock-out                                        # the product's engine
    palimpsest-engine-bench FOLDER --cases cases.jsonl --answers answers.jsonl --knock-out     # and without Qt, for answers.py

A file of cases is JSON lines. The first is {"palimpsest_cases": 1, "books": [...]}: the books that the prose is from.
Every other one is a document:
    "size"        the column of the table, "8K"
    "paragraphs"  its text as a library stores it; joined by "\\n\\n" it is what is read
    "rows"        {row of the table: questions}; a question is {"kind", "question", "answer"}, and may have
                  "unanswerable": true, the text does not say (the answer is then the sentence that says so), and
                  "turns": [[question, answer], ...], what was said in the conversation before it
Kinds: a family of facts.py ("closed:" before it: few answers are possible), "passkey", "natural:" and the rule that mined
it, "closed:qa1" and the like (the question that bAbI asks of a story there; "closed:qa1 too": another of its form), "unknown"
(unanswerable).
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from . import babi
from .books import Books
from .config import PROMPTS
from .corpus import is_held_out, normalise
from .documents import DocumentMaker
from .facts import PASSKEY_FILLER, PASSKEY_INTRO, PASSKEY_QUESTION, UNKNOWN, Names, draw_facts, passkey_sentence
from .paraphrases import paraphrased

FORMAT = 1
SIZES = {"1K": 1024, "2K": 2048, "8K": 8192, "32K": 32768, "128K": 131072, "512K": 524288, "1M": 1048576, "4M": 4194304}
ROWS = ("facts-8", "turns", "paraphrased", "passkey", "facts-64", "natural")
BABILONG = {f"babilong-{task}": task for task in babi.TASKS}  # drawn if there are files of stories
DEPTHS = (0.0, 0.5, 1.0)  # of the pass key


def belongs(row: str, size: str) -> bool:
    """Which cells there are: a million tokens hold more natural questions of one wording than can be told apart."""
    if row in BABILONG:
        return SIZES[size] <= (1048576 if row == "babilong-qa1" else 131072)
    limits = {"facts-64": SIZES[size] <= 1048576, "natural": SIZES[size] <= 131072, "turns": size in ("8K", "128K"),
              "paraphrased": size in ("8K", "128K")}
    return limits.get(row, True)


@dataclass(frozen=True)
class Asked:
    """kind "unknown": the text does not say. turns: the conversation before it, (question, answer), oldest first."""

    kind: str
    question: str
    answer: str
    turns: tuple[tuple[str, str], ...] = ()

    @property
    def prompt(self) -> str:
        before = "".join(PROMPTS["turn"].format(question=q, answer=a) for q, a in self.turns)
        return before + PROMPTS["question"].format(question=self.question)

    @property
    def is_open(self) -> bool:
        """Names and numbers: nothing that could be guessed from few possible answers."""
        return self.kind != "unknown" and not self.kind.startswith("closed:")

    def to_json(self) -> dict:
        entry = {"kind": self.kind, "question": self.question, "answer": self.answer}
        return entry | ({"unanswerable": True} if self.kind == "unknown" else {}) | ({"turns": self.turns} if self.turns else {})

    @staticmethod
    def from_json(entry: dict) -> "Asked":
        return Asked(entry["kind"], entry["question"], entry["answer"], tuple((q, a) for q, a in entry.get("turns", ())))


@dataclass
class Document:
    """text: token ids when just made, stored text when read from a file."""

    text: np.ndarray | str
    rows: dict[str, list[Asked]]
    books: list[str] = field(default_factory=list)  # whose prose it is


class Cases:
    """Draws documents with their questions. stories: the evaluation's, of each task (babi.load)."""

    def __init__(self, books: Books, seed: int, stories: dict[str, list[babi.Story]] | None = None):
        self.maker = DocumentMaker(books, seed)
        self.books, self.rng, self.names = books, self.maker.rng, Names(self.maker.rng, evaluation=True)
        self.turn_rng = random.Random(seed)  # of its own: rows "turns" and "paraphrased" have the documents of "facts-8"
        self.told = {task: self.shuffled(found) for task, found in (stories or {}).items()}

    def make(self, row: str, size: int, i: int) -> Document:
        """The i-th document of a cell. size: tokens."""
        if row in ("facts-8", "facts-64"):
            return self.facts(size, int(row.removeprefix("facts-")), row)
        if row == "turns":
            return self.turns(self.facts(size, 8))
        if row == "paraphrased":
            return self.paraphrased(self.facts(size, 8))
        if row in BABILONG:
            return self.babilong(row, size, i)
        return self.natural(size) if row == "natural" else self.passkey(size, DEPTHS[i % 3])

    def facts(self, size: int, count: int, row: str = "facts-8") -> Document:
        facts, unknown = draw_facts(self.rng, count, True, max(2, count // 4))
        begin, end = self.books.range(self.rng, size - 14 * count)
        tokens = self.maker.strew(self.books.stretch(begin, end), [f.statement for f in facts]).tokens
        asked = [Asked("closed:" + f.family if f.closed else f.family, f.question, f.answer) for f in facts]
        return Document(tokens, {row: asked + [Asked("unknown", f.question, UNKNOWN) for f in unknown]}, self.books.names_in(begin, end))

    def turns(self, document: Document) -> Document:
        """The questions of row "facts-8", each after another fact's question and its right answer."""
        asked = document.rows["facts-8"]
        known = [a for a in asked if a.kind != "unknown"]
        earlier = lambda a: self.turn_rng.choice([k for k in known if k is not a])
        later = [Asked(a.kind, a.question, a.answer, ((e.question, e.answer),)) for a, e in ((a, earlier(a)) for a in asked)]
        return Document(document.text, {"turns": later}, document.books)

    def paraphrased(self, document: Document) -> Document:
        """The questions of row "facts-8" in words that no template holds."""
        asked = [Asked(a.kind, paraphrased(a.question, self.turn_rng), a.answer) for a in document.rows["facts-8"]]
        return Document(document.text, {"paraphrased": asked}, document.books)

    @staticmethod
    def shuffled(stories: list[babi.Story]) -> list[tuple[babi.Story, int]]:
        """(story, which of its questions) of those that are told to their end, none twice. As many questions as a tenth of the
        stories have make an end: files also hold beginnings, and a few stories twice over."""
        counts = Counter(len(s.asked) for s in stories)
        most = max((n for n, found in counts.items() if 10 * found >= len(stories)), default=0)
        told = [(s, k) for s in stories if len(s.asked) >= most for k in range(most)]
        random.Random(0).shuffle(told)
        return told

    def babilong(self, row: str, size: int, i: int) -> Document:
        """A story as far as one of its questions, its sentences in order at random sentence ends: the i-th sample. Up to three
        more questions of the task's form are asked of it."""
        task = BABILONG[row]
        if i >= len(self.told.get(task, ())):
            raise ValueError(f"{row} has {len(self.told.get(task, ()))} unseen samples (--babi), not {i + 1}")
        story, k = self.told[task][i]
        told, question, answer = story.asked[k]
        sentences = story.sentences[:told]
        begin, end = self.books.range(self.rng, size - sum(len(self.maker.encode(" " + s)) for s in sentences))
        tokens = self.maker.strew(self.books.stretch(begin, end), list(sentences)).tokens
        others = story.others(told, question)
        asked = [Asked("closed:" + task, question, answer)]
        asked += [Asked(f"closed:{task} too", q, a) for q, a in self.rng.sample(others, min(3, len(others)))]
        return Document(tokens, {row: asked}, self.books.names_in(begin, end))

    def natural(self, size: int, count: int = 8) -> Document:
        for _ in range(10000):
            begin, end = self.books.range(self.rng, size)
            found = self.books.questions(begin, end)
            if len(found) >= 4:
                break
        else:
            raise ValueError(f"no stretch of {size} tokens has four natural questions")
        here = {self.books.mined[i][0] for i in found}
        chosen = self.rng.sample(found, min(count, len(found)))
        asked = [Asked("natural:" + self.books.mined_kind[i], *self.books.mined[i]) for i in chosen]
        while (foreign := self.maker.foreign_question()) in here:
            pass
        return Document(self.books.tokens[begin:end], {"natural": asked + [Asked("unknown", foreign, UNKNOWN)]}, self.books.names_in(begin, end))

    def passkey(self, size: int, depth: float) -> Document:
        key = self.names.number(1000, 9999)
        enc = self.maker.encode
        filler, intro, needle = enc(" " + PASSKEY_FILLER), enc(PASSKEY_INTRO), enc(" " + passkey_sentence(key))
        total = (size - len(intro) - len(needle)) // len(filler)
        before = round(total * min(1.0, max(0.0, depth + self.rng.uniform(-0.05, 0.05))))
        tokens = np.array(intro + filler * before + needle + filler * (total - before), np.uint16)
        return Document(tokens, {"passkey": [Asked("passkey", PASSKEY_QUESTION, key)]})


def count_of(row: str, documents: int) -> int:
    """Documents of a cell: the pass key, one question each, has its own number, the same at each depth; a story has few questions,
    one of two things on average where it is asked where they are."""
    if row in BABILONG:
        return documents * (3 if row == "babilong-qa2" else 2)
    return max(30, documents // 2) // 3 * 3 if row == "passkey" else documents


def draw(books: Books, row: str, size: str, documents: int, seed: int, stories: dict[str, list[babi.Story]] | None = None) -> list[Document]:
    """All documents of one cell; "facts-8", "turns" and "paraphrased" of one seed have the same."""
    cases = Cases(books, seed, stories)
    return [cases.make(row, SIZES[size], i) for i in range(documents)]


def stored_paragraphs(tokens: np.ndarray, tokenizer: Tokenizer) -> list[str]:
    """What a library would store of a token array; a character that its end has torn is left out."""
    return normalise(tokenizer.decode(tokens.tolist()).rstrip("\ufffd")).split("\n\n")


def joined(documents: dict[tuple[str, str], list[Document]]) -> list[tuple[str, Document]]:
    """(size, document): the documents of all cells, (row, size), those of equal text as one with the rows of both."""
    found: dict[tuple[str, bytes], Document] = {}
    for (_, size), cell in documents.items():
        for d in cell:
            known = found.setdefault((size, d.text.tobytes()), Document(d.text, {}, d.books))
            known.rows |= d.rows
    return [(size, d) for (size, _), d in found.items()]


def some(documents: list[tuple[str, Document]], most: int, seed: int) -> list[tuple[str, Document]]:
    """At most so many questions of each document and row, in their order; of those without an answer at least one, if there are any."""
    rng, out = random.Random(seed), []
    for size, d in documents:
        rows = {}
        for row, asked in d.rows.items():
            unknown = [i for i, a in enumerate(asked) if a.kind == "unknown"]
            known = [i for i, a in enumerate(asked) if a.kind != "unknown"]
            few = min(len(unknown), max(1, most * len(unknown) // len(asked)))
            kept = rng.sample(unknown, few) + rng.sample(known, min(len(known), most - few))
            rows[row] = [asked[i] for i in sorted(kept)] if len(asked) > most else asked
        out.append((size, Document(d.text, rows, d.books)))
    return out


def save(path: Path, documents: list[tuple[str, Document]], tokenizer: Tokenizer) -> None:
    """Writes a file of cases. Refuses books that training may know."""
    books = sorted({b for _, d in documents for b in d.books})
    known = [b for b in books if not is_held_out(b)]
    if known:
        raise ValueError("not held out: " + ", ".join(known))
    lines: list[dict] = [{"palimpsest_cases": FORMAT, "books": books}]
    for size, d in documents:
        lines.append({"size": size, "paragraphs": stored_paragraphs(d.text, tokenizer),
                      "rows": {row: [a.to_json() for a in asked] for row, asked in d.rows.items()}})
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")


def load(path: Path) -> tuple[dict, list[tuple[str, Document]]]:
    """The first line of a file of cases, and its documents with their sizes."""
    header, *lines = (json.loads(line) for line in Path(path).read_text(encoding="utf-8").split("\n") if line)
    if header.get("palimpsest_cases") != FORMAT:
        raise ValueError(f"{path} is no file of cases of version {FORMAT}")
    return header, [(line["size"], Document("\n\n".join(line["paragraphs"]), {row: [Asked.from_json(a) for a in asked] for row, asked in line["rows"].items()}))
                    for line in lines]


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--data", type=Path, required=True, help="packed held-out books")
    p.add_argument("--tokenizer", type=Path, required=True)
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--sizes", nargs="*", default=["8K"], choices=list(SIZES))
    p.add_argument("--rows", nargs="*", choices=(*ROWS, *BABILONG), help="default: all, BABILong's with --babi")
    p.add_argument("--babi", type=Path, nargs="*", default=[], metavar="FILE.jsonl", help="bAbI stories (babi.py)")
    p.add_argument("--documents", type=int, default=50)
    p.add_argument("--asked", type=int, metavar="N", help="at most so many questions of each row of a document (default: all)")
    p.add_argument("--seed", type=int, default=7)
    a = p.parse_args()
    if a.asked is not None and a.asked < 2:
        p.error("--asked: at least 2")
    books = Books(Tokenizer.from_file(str(a.tokenizer / "tokenizer.json")), a.data)
    rows, stories = a.rows or [*ROWS, *(BABILONG if a.babi else ())], babi.load(a.babi, evaluation=True)
    cells = {(row, size): draw(books, row, size, count_of(row, a.documents), a.seed, stories) for size in a.sizes for row in rows if belongs(row, size)}
    documents = joined(cells)
    if a.asked:
        documents = some(documents, a.asked, a.seed)
    save(a.out, documents, books.tokenizer)
    print(f"{len(documents)} documents, {sum(len(asked) for _, d in documents for asked in d.rows.values())} questions -> {a.out}")


if __name__ == "__main__":
    main()
