"""A small unseen book, and a file of bAbI-like stories."""

import json
import random

import pytest
from tokenizers import Tokenizer

from palimpsest_training import babi
from palimpsest_training.books import Books
from palimpsest_training.corpus import is_held_out
from palimpsest_training.prepare import prepare
from palimpsest_training.tokenizer import save_tokenizer, train_tokenizer


@pytest.fixture(scope="session")
def plain_books(tmp_path_factory):
    """3,000 sentences of one form; the tokenizer knows the words of questions."""
    folder, rng = tmp_path_factory.mktemp("plain"), random.Random(1)
    words = "river house garden letter horse window captain winter road fire saw left found kept followed".split()
    name = next(f"book_{i}.txt" for i in range(99) if is_held_out(f"book_{i}.txt"))
    sentence = lambda: f"The {rng.choice(words)} and {rng.choice(words)} {rng.choice(words)} it."
    paragraphs = [" ".join(sentence() for _ in range(6)) for _ in range(500)]
    paragraphs += [f'"We shall see what comes of the {word} and of nothing else," said {rng.choice(("Anna", "Hugh"))}.' for word in words]
    rng.shuffle(paragraphs)
    text = "\n\n".join(paragraphs)
    (folder / name).write_text(text)
    asked = "Question: Where is Mary?\nAnswer: The book does not say. John went to the kitchen. " + " ".join(babi.PEOPLE + babi.PLACES)
    save_tokenizer(train_tokenizer([text, asked], 400), folder / "tokenizer", 2048)
    prepare([folder / name], folder / "tokenizer" / "tokenizer.json", folder / "books.npz", None, 1)
    books = Books(Tokenizer.from_file(str(folder / "tokenizer" / "tokenizer.json")), folder / "books.npz")
    books.folder = folder
    return books


@pytest.fixture(scope="session")
def story_file(tmp_path_factory):
    """Stories of ten sentences, told in five contexts, each with the one before; a question after each."""
    rng, lines = random.Random(2), []

    def tell(task, sentence):
        told = []
        for _ in range(5):
            told += [sentence() for _ in range(2)]
            question, answer = rng.choice(sorted(babi.answers(told).items()) or [("Where is Mary?", "garden")])
            lines.append({"doc": task, "context": " ".join(told), "question": question, "answers": [answer]})

    person, place, thing = (lambda words=words: rng.choice(words) for words in (babi.PEOPLE[:4], babi.PLACES, babi.OBJECTS))
    moved = lambda: f"{person()} moved to the {place()}."
    for _ in range(80):
        tell("qa1", moved)
        tell("qa2", lambda: rng.choice([moved(), f"{person()} got the {thing()} there.", f"{person()} dropped the {thing()}."]))
        tell("qa5", lambda: rng.choice([moved(), "{} gave the {} to {}.".format(*rng.sample(babi.PEOPLE[:4], 1), thing(), rng.choice(babi.PEOPLE[4:]))]))
        a, b, c = rng.sample(babi.PLACES, 3)
        lines.append({"doc": "qa4", "context": f"The {a} is north of the {b}. The {b} is north of the {c}.", "question": f"What is the {a} north of?", "answers": [b]})
    file = tmp_path_factory.mktemp("babi") / "babi.jsonl"
    file.write_text("\n".join(json.dumps(line) for line in lines))
    return file
