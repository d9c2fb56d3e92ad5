"""How many of a book's five most frequent people its card names, by the program itself.

    python training/measure_card.py --cli build/release/app/palimpsest-cli --data heldout.npz --tokenizer DIR --tokens 32768 --documents 40 --out FOLDER

Stretches of unseen books are written to FOLDER, read and summed up by palimpsest-cli. Said beside it: how many of them the
next stretch's card names.
"""

import argparse
import json
import random
import subprocess
from pathlib import Path

from palimpsest_training.book_cards import people_of
from palimpsest_training.books import Books
from palimpsest_training.cases import stored_paragraphs
from tokenizers import Tokenizer


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--cli", required=True)
    p.add_argument("--data", type=Path, required=True)
    p.add_argument("--tokenizer", required=True)
    p.add_argument("--tokens", type=int, default=32768)
    p.add_argument("--documents", type=int, default=40)
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--model", help="a model folder; the shipped model if not given")
    a = p.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    options = ["--db", str(a.out / "library.db"), "--json"] + (["--model", a.model] if a.model else [])

    def cli(*arguments: str):
        return json.loads(subprocess.run([a.cli, *arguments, *options], check=True, capture_output=True, text=True).stdout)

    books = Books(Tokenizer.from_file(str(Path(a.tokenizer) / "tokenizer.json")), a.data)
    rng, truth, named = random.Random(7), [], []
    while len(truth) < a.documents:
        begin, end = books.range(rng, a.tokens)
        people = books.card(begin, end)[0]
        if len(people) < 5:
            continue
        file = a.out / f"stretch-{len(truth)}.txt"
        file.write_text("\n\n".join(stored_paragraphs(books.tokens[begin:end], books.tokenizer)))
        cli("read", str(file))
        card = cli("summarize", file.stem)
        truth.append(people)
        named.append(people_of(card["answer"]))
        print(", ".join(people), "|", ", ".join(named[-1]), flush=True)
    recall = lambda cards: sum(sum(p in card for p in people) / 5 for people, card in zip(truth, cards)) / len(truth)
    print(f"{a.documents} stretches of {a.tokens} tokens: {recall(named):.2f} of the five most frequent people, {recall(named[1:] + named[:1]):.2f} by another's card")


if __name__ == "__main__":
    main()
