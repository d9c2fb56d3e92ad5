"""Text files -> one packed file: tokens of every book, and what the rules found in it, with token offsets.

    python -m palimpsest_training.prepare --books DIR --tokenizer DIR --out FILE.npz [--held-out] [--cap CHARS] [--qa FILE.jsonl ...]

--qa: JSON lines of {"doc", "context", "question", "answers"} asked by people (FairytaleQA, OpenStax glossaries): the contexts
of a doc become one more book, their questions stand beside the mined ones.

Arrays of the file (N tokens in all, B books):
  tokens u16 [N]; book_start i64 [B + 1]; book_name
  name_*   names inside sentences: position i64 (global token offset), id i32 into name_text, place u8
  word_*   occurrences of the book's keywords (TF-IDF): position i64, id i32 into word_text
  mined_*  position i64 (the sentence's last token), kind, question, answer
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import re
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from .corpus import book_files, is_held_out, normalise, read_book
from .mining import Mined, mine, names

_WORD = re.compile(r"\b[a-z]{4,}\b")
KEYWORDS_PER_BOOK = 300

_tokenizer: Tokenizer | None = None


def _start(tokenizer_file: str) -> None:
    global _tokenizer
    _tokenizer = Tokenizer.from_file(tokenizer_file)


def encode(tokenizer: Tokenizer, text: str) -> tuple[np.ndarray, np.ndarray]:
    """Ids of the whole text, and for each the character offset of its end. Paragraph by paragraph: exact, see cutter.py."""
    paragraphs, starts, at = [], [], 0
    for i, p in enumerate(text.split("\n\n")):
        piece = p if i == 0 else "\n\n" + p
        paragraphs.append(piece)
        starts.append(at)
        at += len(piece)
    ids, ends = [], []
    for start, e in zip(starts, tokenizer.encode_batch(paragraphs, add_special_tokens=False)):
        ids.append(np.array(e.ids, np.uint16))
        ends.append(np.array([o[1] for o in e.offsets], np.int64) + start)
    return np.concatenate(ids), np.concatenate(ends)


def asked_texts(file: Path, held_out: bool, most_words: int = 8) -> list[tuple[str, str, list[Mined]]]:
    """(name, text, questions) of each doc of a file of questions that has short answers; split as books are."""
    contexts: dict[str, dict[str, list[tuple[str, str]]]] = defaultdict(dict)
    for line in file.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        question, answer = normalise(row["question"]), normalise(row["answers"][0]).rstrip(".")
        if len(answer.split()) <= most_words:
            contexts[row["doc"]].setdefault(normalise(row["context"].replace("\n", "\n\n")), []).append((question, answer))
    texts = []
    for doc, asked in contexts.items():
        if is_held_out(doc) != held_out:
            continue
        text, questions, answers = "", [], defaultdict(set)
        for context, pairs in asked.items():
            text += ("\n\n" if text else "") + context
            questions += [Mined("asked", q, a, len(text)) for q, a in pairs]
        for q in questions:
            answers[q.question].add(q.answer)
        texts.append((f"{file.stem}: {doc}", text, [q for q in questions if len(answers[q.question]) == 1]))
    return texts


def _prepare_book(task):
    path, cap = task
    text = read_book(path, cap)
    return _prepare_text(path.name, text, mine(text))


def _prepare_asked(task):
    name, text, asked = task
    return _prepare_text(name, text, sorted(mine(text) + asked, key=lambda q: q.offset))


def _prepare_text(name: str, text: str, mined: list[Mined]):
    ids, ends = encode(_tokenizer, text)
    at = lambda offsets: np.minimum(np.searchsorted(ends, np.array(offsets, np.int64)), len(ids) - 1)
    found = names(text)
    words = [(m.end(), m.group()) for m in _WORD.finditer(text)]
    return (
        name, ids,
        at([f[0] for f in found]) if found else np.zeros(0, np.int64), [f[1] for f in found], [f[2] for f in found],
        at([w[0] for w in words]), [w[1] for w in words],
        at([q.offset - 1 for q in mined]) if mined else np.zeros(0, np.int64), mined,
    )


def prepare(books: list[Path], tokenizer_file: Path, out: Path, cap: int | None, jobs: int, asked: list = ()) -> None:
    with multiprocessing.Pool(jobs, _start, (str(tokenizer_file),)) as pool:
        results = pool.map(_prepare_book, [(b, cap) for b in books], chunksize=1) + pool.map(_prepare_asked, asked, chunksize=8)

    document_frequency = Counter()
    for r in results[: len(books)]:
        document_frequency.update(set(r[6]))
    rarity = lambda word: math.log(len(books) / max(1, document_frequency[word]))
    tables: dict[str, dict[str, int]] = {"name": {}, "word": {}}
    index = lambda table, text: tables[table].setdefault(text, len(tables[table]))
    starts = [0]
    col: dict[str, list] = {k: [] for k in "tokens name_pos name_id name_place word_pos word_id mined_pos mined".split()}
    for name, ids, n_pos, n_text, n_place, w_pos, w_text, m_pos, mined in results:
        base = starts[-1]
        col["tokens"].append(ids)
        starts.append(base + len(ids))
        col["name_pos"].append(n_pos + base)
        col["name_id"] += [index("name", t) for t in n_text]
        col["name_place"] += n_place
        # TF-IDF over the whole book; words of every second book (idf < log 2) are no keywords
        tf = Counter(w_text)
        score = {w: c * rarity(w) for w, c in tf.items() if c > 2}
        keep = set(sorted(score, key=score.get, reverse=True)[:KEYWORDS_PER_BOOK])
        chosen = [i for i, w in enumerate(w_text) if w in keep]
        col["word_pos"].append(w_pos[chosen] + base)
        col["word_id"] += [index("word", w_text[i]) for i in chosen]
        col["mined_pos"].append(m_pos + base)
        col["mined"] += mined
    text = lambda table: np.array(list(tables[table]), dtype=np.str_)
    idf = np.array([rarity(w) for w in tables["word"]], np.float32)
    np.savez(
        out,
        tokens=np.concatenate(col["tokens"]), book_start=np.array(starts), book_name=np.array([r[0] for r in results], dtype=np.str_),
        name_pos=np.concatenate(col["name_pos"]).astype(np.uint32), name_id=np.array(col["name_id"], np.int32),
        name_place=np.array(col["name_place"], np.uint8), name_text=text("name"),
        word_pos=np.concatenate(col["word_pos"]).astype(np.uint32), word_id=np.array(col["word_id"], np.int32),
        word_text=text("word"), word_idf=idf,
        mined_pos=np.concatenate(col["mined_pos"]).astype(np.uint32), mined_kind=np.array([q.kind for q in col["mined"]], dtype=np.str_),
        mined_question=np.array([q.question for q in col["mined"]], dtype=np.str_),
        mined_answer=np.array([q.answer for q in col["mined"]], dtype=np.str_),
    )
    print(f"{len(results)} books, {starts[-1]:,} tokens, {len(col['mined']):,} mined questions:", dict(Counter(q.kind for q in col["mined"])))


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--books", type=Path, required=True)
    p.add_argument("--tokenizer", type=Path, required=True, help="folder with tokenizer.json")
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--held-out", action="store_true", help="the evaluation books instead of the training books")
    p.add_argument("--cap", type=int, default=None, help="characters per book at most")
    p.add_argument("--qa", type=Path, nargs="*", default=[], help="files of questions asked by people")
    p.add_argument("--part", default="1/1", help="K/N: only every Nth book and asked text, from the Kth on")
    p.add_argument("--jobs", type=int, default=multiprocessing.cpu_count())
    a = p.parse_args()
    part, parts = map(int, a.part.split("/"))
    prepare(book_files(a.books, a.held_out)[part - 1 :: parts], a.tokenizer / "tokenizer.json", a.out, a.cap, a.jobs,
            [t for file in a.qa for t in asked_texts(file, a.held_out)][part - 1 :: parts])


if __name__ == "__main__":
    main()
