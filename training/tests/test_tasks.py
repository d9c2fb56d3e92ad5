"""What training asks: the rules that mine questions, the split of names, numbers and books, and whole batches."""

import json
import random
import re
from pathlib import Path

import numpy as np
import pytest

from palimpsest_training import facts
from palimpsest_training.batches import BOS, EOS, IGNORE, STAGES, BatchMaker, by_length
from palimpsest_training.books import Books
from palimpsest_training.corpus import is_held_out, normalise
from palimpsest_training.mining import mine
from palimpsest_training.prepare import asked_texts, prepare
from palimpsest_training.tokenizer import save_tokenizer, train_tokenizer
from tokenizers import Tokenizer

ROOT = Path(__file__).resolve().parents[2]

TEXT = """\u201cIt is against reason,\u201d said Filby.

Everybody listened to Filby, an argumentative person with red hair. \u201cWhere shall we go now?\u201d asked the old sailor, and nobody knew.

They met Laertes, the son of Polonius, who was with Ophelia. Later Ramona was born in Temecula, and of Ramona it is told that she sang.
The general Napoleon entered Moscow in 1812, and to Napoleon it was cold.

Nevertheless, the general effect was rich."""


def test_rules_find_questions_of_every_kind():
    found = {(q.kind, q.question, q.answer) for q in mine(normalise(TEXT))}
    assert ("said", 'Who said "It is against reason"?', "Filby") in found
    assert ("said", 'Who said "Where shall we go now"?', "the old sailor") in found
    assert ("who", "Who is Filby?", "an argumentative person with red hair") in found
    assert ("kin", "Whose son is Laertes?", "Polonius") in found
    assert ("where", "Where was Ramona born?", "Temecula") in found
    assert ("when", "When was it that Napoleon entered Moscow?", "1812") in found
    assert not any("Nevertheless" in q for _, q, _ in found)


def test_mined_answers_stand_before_their_offset():
    text = normalise(TEXT)
    for q in mine(text):
        assert q.answer.removeprefix("the ") in text[: q.offset]


def test_a_question_with_two_answers_is_dropped():
    assert mine('"Who is it then?" said Anna.\n\n"Who is it then?" said Peter.') == []


def test_evaluation_never_asks_for_a_name_or_number_of_training():
    def drawn(evaluation):
        # a spouse's name has its first and last part drawn: both must be on their own side
        open_ones = [f for seed in range(40) for f in facts.draw_facts(random.Random(seed), 40, evaluation)[0] if not f.closed]
        return {word for f in open_ones for word in f.answer.split()}

    training, evaluation = drawn(False), drawn(True)
    assert len(training) > 500 and len(evaluation) > 500
    assert not training & evaluation


def test_unknown_questions_are_about_nothing_in_the_text():
    for seed in range(50):
        told, unknown = facts.draw_facts(random.Random(seed), 12, False, 6)
        asked = {(f.question) for f in told}
        assert len(unknown) == 6
        assert not asked & {u.question for u in unknown}


def test_books_of_the_program_are_never_trained_on():
    for name in ("h_g_wells_the_time_machine.txt", "se__william_shakespeare_hamlet.txt", "se__bertrand_russell_the_problems_of_philosophy.txt"):
        assert is_held_out(name)


@pytest.fixture(scope="module")
def books(tmp_path_factory):
    folder = tmp_path_factory.mktemp("books")
    rng = random.Random(3)
    people = ["Ramona", "Felipe", "Alessandro", "Margarita"]
    for i in range(3):
        lines = []
        for _ in range(900):
            a, b = rng.sample(people, 2)
            lines.append(rng.choice([f'"We shall see what comes of number {rng.randint(1, 10**6)}," said {a}.',
                                     f"In the morning {a} walked with {b} to Temecula, and there they talked of sheep and shearing.",
                                     "The wind was cold. Nobody spoke; the fire was low."]))
        (folder / f"book_{i}.txt").write_text("\n\n".join(lines))
    tokenizer = train_tokenizer([p.read_text() for p in folder.glob("*.txt")], 400)
    save_tokenizer(tokenizer, folder / "tokenizer", 2048)
    prepare(sorted(folder.glob("*.txt")), folder / "tokenizer" / "tokenizer.json", folder / "books.npz", None, 1)
    books = Books(Tokenizer.from_file(str(folder / "tokenizer" / "tokenizer.json")), folder / "books.npz")
    books.folder = folder
    return books


def test_questions_of_people_are_split_and_placed_as_the_mined_ones(tmp_path):
    rows = [{"doc": f"tale {i}", "context": c, "question": q, "answers": [a]} for i in range(30) for c, q, a in (
        ("Hugh had a red hat.", "Whose was the hat?", "Hugh"),
        ("He lost it in the wood.", "Where did he lose it?", "In the wood."),
        ("He lost it in the wood.", "Why?", "a very long reason that nobody could ever hope to give word by word"))]
    (tmp_path / "tales.jsonl").write_text("\n".join(json.dumps(r) for r in rows))
    training, held = (asked_texts(tmp_path / "tales.jsonl", side) for side in (False, True))
    assert len(training) + len(held) == 30 and training and held
    assert not {name for name, _, _ in training} & {name for name, _, _ in held}
    name, text, asked = training[0]
    assert text == "Hugh had a red hat.\n\nHe lost it in the wood."
    assert [(q.question, q.answer, text[: q.offset]) for q in asked] == [
        ("Whose was the hat?", "Hugh", "Hugh had a red hat."), ("Where did he lose it?", "In the wood", text)]


def test_a_stretch_can_be_chosen_around_a_question(books):
    rng = random.Random(4)
    for _ in range(50):
        begin, end = books.range(rng, 60, asked=True)
        assert books.questions(begin, end) and end - begin == 60


def test_renamed_people_are_asked_for_by_their_new_names(books):
    begin, end = books.range(random.Random(4), 900, asked=True)
    plain = books.stretch(begin, end)
    assert books.tokenizer.encode(books.tokenizer.decode(plain.tokens.tolist()), add_special_tokens=False).ids == plain.tokens.tolist()
    renamed = books.stretch(begin, end, random.Random(1), invented=iter(f"Bra{c}ford" for c in "abcdefghijklmnop").__next__)
    text, old = (books.tokenizer.decode(s.tokens.tolist()) for s in (renamed, plain))
    people = {a for _, a in plain.questions}
    assert people and "Temecula" in old and "Temecula" in text  # a place keeps its name
    assert len(renamed.questions) == len(plain.questions) and text.count("said") == old.count("said")
    for (q, a), (q0, a0) in zip(renamed.questions, plain.questions):
        quote = q.removeprefix('Who said "').removesuffix('"?')
        assert q == q0 and f'"{quote}," said {a}.' in text and f'"{quote}," said {a0}.' in old
    assert any(a != a0 for (_, a), (_, a0) in zip(renamed.questions, plain.questions))
    changed = {a0: a for (_, a), (_, a0) in zip(renamed.questions, plain.questions)}
    assert len(changed) == len({*zip((a0 for _, a0 in plain.questions), (a for _, a in renamed.questions))})  # one new name each
    for a0, a in changed.items():
        assert (a0 in plain.card) == (a in renamed.card)
    assert all(renamed.tokens[e - 1] in np.flatnonzero(books.table.ends_sentence | books.table.only_closers | books.table.only_space)
               for e in renamed.sentence_ends)


def test_lines_get_new_speakers(books, monkeypatch):
    monkeypatch.setattr(books, "mined", [*books.mined, ('Who said "I do not know who else could have told him of..."?', "Anna")])
    monkeypatch.setattr(books, "said", books.said + [len(books.mined) - 1] * (len(books.said) // 4))
    maker = BatchMaker(books, seed=2)
    speeches = [f for _ in range(60) for f in maker.speeches(8)]
    known = dict(books.mined)
    assert len(speeches) > 60 and any(known[f.question] != f.answer for f in speeches)
    for f in speeches:
        quote = f.question.removeprefix('Who said "').removesuffix('"?')
        begins = f'"{quote[:-3]} ' if quote.endswith("...") else f'"{quote}," '
        assert f.statement.startswith(begins) and f.answer in f.statement and "..." not in f.statement
    asked_for = maker.speeches(40, 40)
    assert len(asked_for) > 5 and any("..." in f.question for f in asked_for)  # a long line is asked for by its beginning
    assert maker.speeches(0) == [] and all(len(maker.speeches(2)) <= 2 for _ in range(20))


def test_books_in_two_parts_are_as_one(books, tmp_path):
    folder = books.folder
    files, tokenizer = sorted(folder.glob("*.txt")), folder / "tokenizer" / "tokenizer.json"
    for i, part in enumerate((files[:1], files[1:])):
        prepare(part, tokenizer, tmp_path / f"{i}.npz", None, 1)
    joined = Books(books.tokenizer, tmp_path / "0.npz", tmp_path / "1.npz")
    assert (joined.tokens == books.tokens).all() and (joined.start == books.start).all() and joined.names == books.names
    assert joined.mined == books.mined and (joined.mined_pos == books.mined_pos).all()
    for begin in range(0, len(books.tokens) - 2000, 1777):  # across the seam too; keywords depend on the books that stand beside
        ours, theirs = joined.card(begin, begin + 2000), books.card(begin, begin + 2000)
        assert all(set(a) == set(b) for a, b in zip(ours[:2], theirs[:2]))  # of equal counts either may come first


def test_no_number_of_the_evaluation_is_put_into_training(books, monkeypatch):
    put = []
    monkeypatch.setattr(BatchMaker, "strew", lambda self, prose, said, strew=BatchMaker.strew: put.extend(said) or strew(self, prose, said))
    maker = BatchMaker(books, seed=4, tokens_per_batch=2048)
    for i in range(300):
        maker.document(STAGES["2k"])
        put.append(books.tokenizer.decode(maker.passkey_document(400)[1].answer))
        tokens, _, has_key = maker.portion(STAGES["stream"], i % 3, 3)
        if has_key:
            put.append(books.tokenizer.decode(tokens.tolist()).split("The pass key is ")[1].split(".")[0])
    numbers = [n for text in put if not text.startswith('"') for n in re.findall(r"\d{3,}", text)]
    assert len(numbers) > 1000 and sum("pass key" in text for text in put) > 10
    assert not any(facts.held_out(n) for n in numbers)  # what somebody says is the book's
    assert not any(facts.held_out(word) for word in books.person_words)  # with which people are renamed


@pytest.mark.parametrize("stage", [s for s in STAGES if not STAGES[s].stories])  # test_babi.py has those
def test_batches_ask_only_what_has_been_read(books, stage):
    maker = BatchMaker(books, seed=5, tokens_per_batch=2048, question_length=160)
    batch = maker.memory_batch(stage)
    B, N, L = batch["segments"].shape
    assert L == STAGES[stage].segment_length + 1
    assert (batch["segments"][:, :, 0] == 0).all() and not batch["write"][:, :, 0].any()
    assert ((batch["labels"] == IGNORE) | (batch["labels"] == np.roll(batch["segments"], -1, 2))).all()
    asked = (batch["answers"] != IGNORE).any(-1)
    assert asked.any() and (batch["reads_from"][asked] >= 1).all() and (batch["reads_from"] <= N).all()
    for b, q in zip(*np.nonzero(asked)):
        ids, answer = batch["questions"][b, q], batch["answers"][b, q]
        at = np.flatnonzero(answer != IGNORE)
        assert (answer[at[:-1]] == ids[at[:-1] + 1]).all()  # each token predicts the next one
        assert answer[at[-1]] == 1  # and the end
        text = books.tokenizer.decode(ids[: at[-1] + 1].tolist())
        given = books.tokenizer.decode(answer[at].tolist()).strip()
        if given.isdigit():  # the number was told in a segment that the question's memory holds
            read = batch["segments"][b, : batch["reads_from"][b, q]][batch["write"][b, : batch["reads_from"][b, q]]]
            assert given in books.tokenizer.decode(read.tolist()), text


def test_what_other_documents_are_asked_this_one_does_not_say(books):
    maker = BatchMaker(books, seed=5, tokens_per_batch=16384, question_length=160)
    stage = STAGES["2k"]
    batch = maker.memory_batch("2k")
    B, Q = batch["answers"].shape[:2]
    assert B == 8 and Q == stage.questions + stage.questions // 3
    text = lambda ids: books.tokenizer.decode(ids.tolist())
    prompts = [[], []]  # answered, refused: of each document
    for b in range(B):
        asked = [(text(q[: (a != IGNORE).argmax() + 1]), text(a[a != IGNORE])) for q, a in zip(batch["questions"][b], batch["answers"][b]) if (a != IGNORE).any()]
        prompts[0].append({p for p, a in asked if facts.UNKNOWN not in a})
        prompts[1].append({p for p, a in asked if facts.UNKNOWN in a})
    crossed = sum(p in answered for b, refused in enumerate(prompts[1]) for p in refused for d, answered in enumerate(prompts[0]) if d != b)
    assert crossed >= B and not any(a & r for a, r in zip(*prompts))


def test_base_rows_hold_their_questions(books):
    batch = BatchMaker(books, seed=5, tokens_per_batch=16384, question_length=160).base_batch(512)
    marked = batch["answers"] != IGNORE
    assert marked.any()
    assert (batch["labels"][marked] == IGNORE).all()


def test_the_bundled_questions_are_what_the_rules_find():
    questions = json.loads((ROOT / "resources" / "books" / "se_the-time-machine.questions.json").read_text())
    assert len(questions) >= 10
    assert {"question", "answer", "kind"} == set(questions[0])
    assert {"question": "Who is Filby?", "answer": "an argumentative person with red hair", "kind": "who"} in questions


def test_questions_sorted_by_length_give_the_same_loss():
    import torch

    from palimpsest_training.config import ModelConfig
    from palimpsest_training.model import InfiniLlama
    from palimpsest_training.losses import Losses
    from palimpsest_training.train import to_device

    torch.manual_seed(0)
    model = InfiniLlama(ModelConfig(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2,
                                    head_dim=16, vocab_size=64, memory_heads=1, memory_kv_heads=1, memory_head_dim=16))
    for layer in model.model.layers:
        torch.nn.init.normal_(layer.self_attn.memory_o_proj.weight, std=0.1)
    rng = np.random.default_rng(0)
    B, N, L, Q, P = 3, 2, 9, 5, 24
    lengths = rng.integers(3, P, (B, Q)) * (rng.random((B, Q)) < 0.8)  # some are not asked
    questions = np.full((B, Q, P), EOS, np.uint16)
    answers = np.full((B, Q, P), IGNORE, np.int64)
    questions[:, :, 0] = BOS
    for b, q in zip(*lengths.nonzero()):
        n = lengths[b, q]
        questions[b, q, 1:n] = rng.integers(2, 64, n - 1)
        answers[b, q, n - 2], answers[b, q, n - 1] = questions[b, q, n - 1], EOS
    batch = dict(segments=rng.integers(2, 64, (B, N, L)).astype(np.uint16), write=np.ones((B, N, L), bool), labels=np.full((B, N, L), IGNORE, np.int64),
                 questions=questions, answers=answers, reads_from=rng.integers(1, N + 1, (B, Q)), again=lengths > 10, has_key=np.zeros(B, bool))
    batch["labels"][:, :, :-1] = batch["segments"][:, :, 1:]
    ordered = by_length(batch)
    short, width = ordered["split"]
    assert width < ordered["questions"].shape[2] and (ordered["questions"][:, :short, width:] == EOS).all()
    assert (ordered["answers"] != IGNORE).sum() == (answers != IGNORE).sum() and ordered["again"].sum() == batch["again"].sum()
    losses = Losses(model, compile=False, lm_share=1.0)
    plain, grouped = (losses.memory(to_device(b, torch.device("cpu"))) for b in (batch, ordered))
    assert all(torch.allclose(a, b, rtol=1e-5) for a, b in zip(plain, grouped))


def test_people_are_described_by_the_books_own_words_under_new_names(books, monkeypatch):
    monkeypatch.setattr(books, "mined", [("Who is Filby?", "an argumentative person"), ("Whose son is Laertes?", "Polonius")])
    monkeypatch.setattr(books, "described", [0, 1])
    maker = BatchMaker(books, 1)
    described = maker.described(20)
    assert len(described) == 20
    for fact in described:
        assert fact.answer in fact.statement and fact.question.startswith(("Who is ", "Whose son is ")) and fact.family in ("who", "kin")
        assert not any(name in fact.statement + fact.question for name in ("Filby", "Laertes", "Polonius"))
