"""How much of a book is recalled, through the program itself, when it is asked together with others.

    python training/measure_shelf.py --cli build/release/app/palimpsest-cli --data heldout.npz --tokenizer DIR --tokens 8192 --out FOLDER

Eight books of unseen prose with eight facts each are written to FOLDER and read by palimpsest-cli; then each book's questions
are asked of it alone and of shelves of 2, 4 and 8 books. Said beside the right answers: how often the book that the answer
names is the one with the fact. `evaluate --rows facts-8 shelf-2 shelf-4 shelf-8` asks more documents, on a GPU.
"""

import argparse
import json
import subprocess
from pathlib import Path

from palimpsest_training.books import Books
from palimpsest_training.cases import Cases
from tokenizers import Tokenizer

BOOKS, FACTS = 8, 8


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--cli", required=True)
    p.add_argument("--data", type=Path, required=True)
    p.add_argument("--tokenizer", required=True)
    p.add_argument("--tokens", type=int, default=8192)
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--model", help="a model folder; the shipped model if not given")
    a = p.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    options = ["--db", str(a.out / "library.db"), "--json"] + (["--model", a.model] if a.model else [])

    def cli(*arguments: str):
        return json.loads(subprocess.run([a.cli, *arguments, *options], check=True, capture_output=True, text=True).stdout)

    tokenizer = Tokenizer.from_file(str(Path(a.tokenizer) / "tokenizer.json"))
    cases = Cases(Books(tokenizer, a.data), 11)
    documents = [cases.facts(a.tokens, FACTS) for _ in range(BOOKS)]
    files = [a.out / f"book-{i}.txt" for i in range(BOOKS)]
    for file, document in zip(files, documents):
        file.write_text(tokenizer.decode(document.text.tolist()))
    cli("read", *map(str, files))
    questions = [d.rows["facts-8"] for d in documents]
    asked = [{x.question for x in its} for its in questions]
    for books in (1, 2, 4, 8):
        total = right = named = right_and_named = 0
        for i in range(BOOKS):
            shelf = [(i + k) % BOOKS for k in range(books)]
            exam = [{"question": x.question, "answer": x.answer, "kind": x.kind} for x in questions[i]
                    if x.kind != "unknown" and not any(x.question in asked[other] for other in shelf[1:])]
            (a.out / "exam.json").write_text(json.dumps(exam))
            for answer in cli("questions", *(files[k].stem for k in shelf), str(a.out / "exam.json"))["answers"]:
                its = (answer.get("supporting_book") or {}).get("title") == files[i].stem
                total, right, named, right_and_named = total + 1, right + answer["right"], named + its, right_and_named + (its and answer["right"])
        print(f"{a.tokens} tokens, shelf of {books}: right {right}/{total} = {right / total:.3f}"
              + (f", its own book named {named}/{total}, of the right answers {right_and_named}/{right}" if books > 1 else ""), flush=True)


if __name__ == "__main__":
    main()
