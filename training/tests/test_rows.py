"""Rows with scores of their own: ROUGE-L of tales, perplexity with and without the memory, and bAbI stories as cases."""

import json
import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from palimpsest_training import babi, cases, rows
from palimpsest_training.config import ModelConfig
from palimpsest_training.corpus import is_held_out
from palimpsest_training.evaluate import Material, Reader, cell, run_cases
from palimpsest_training.model import InfiniLlama
from palimpsest_training.tables import table


@pytest.fixture(scope="module")
def reader(plain_books):
    torch.manual_seed(1)
    model = InfiniLlama(ModelConfig(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
                                    vocab_size=plain_books.tokenizer.get_vocab_size(), max_position_embeddings=512, segment_length=64, memory_heads=2,
                                    memory_kv_heads=2, memory_head_dim=8))
    for layer in model.model.layers:
        torch.nn.init.normal_(layer.self_attn.memory_o_proj.weight, std=0.5)  # so that the memory counts
    return Reader(model, plain_books.tokenizer, torch.device("cpu"))


@pytest.mark.parametrize("given, reference, f1", [
    ("the cat sat", "the cat sat", 1.0),
    ("The CAT sat!", "the cat sat", 1.0),  # words only, lower case
    ("police killed the gunman", "police kill the gunman", 3 / 4),  # 3 of 4 and of 4
    ("the gunman kill police", "police kill the gunman", 2 / 4),  # in order: "the gunman"
    ("a b c d", "d c b a", 1 / 4),
    ("in the house", "the old house by the sea", 2 * 2 / 9),  # "the house": 2/3 and 2/6
    ("", "the sea", 0.0), ("sky", "the sea", 0.0)])
def test_rouge_l_by_hand(given, reference, f1):
    assert rows.rouge_l(given, reference) == pytest.approx(f1)


def tales_file(folder):
    lines = [{"doc": f"tale {i}", "context": c, "question": q, "answers": a} for i in range(60) for c, q, a in (
        ("Hugh had a red hat.\nHe was proud of it.", "Whose was the hat?", ["Hugh", "Hugh's"]), ("He lost it in the wood.", "Where did he lose it?", ["In the wood."]),
        ("He lost it in the wood.", "Why?", ["a long reason that nobody could ever hope to give word by word"]))]
    (folder / "tales.jsonl").write_text("\n".join(json.dumps(r) for r in lines))
    return folder / "tales.jsonl"


def test_tales_are_held_back_whole_and_asked_everything(tmp_path):
    training, held = (rows.load_tales(tales_file(tmp_path), side) for side in (False, True))
    assert len(training) + len(held) == 60 and held and not {t.name for t in held} & {t.name for t in training}
    assert all(is_held_out(t.name) for t in held)
    assert held[0].text == "Hugh had a red hat.\n\nHe was proud of it.\n\nHe lost it in the wood."
    assert [(q, p[:7], len(refs)) for q, p, refs in held[0].asked] == [("Whose was the hat?", "Hugh ha", 2), ("Where did he lose it?", "He lost", 1), ("Why?", "He lost", 1)]


def test_a_tale_is_asked_from_memory_and_from_its_passage(reader, tmp_path):
    class Told(Reader):
        """Right if the passage stands in the prompt; half right from the tale's own memory."""

        def __init__(self):
            self.__dict__.update(reader.__dict__)
            self.calls = []

        def answer_from_sections(self, prompts, sections, unknown_bias, max_new):
            self.calls.append(sections)
            return [["red Hugh" if len(self.calls) == 1 else "x"] * len(p) for p in prompts]

        def answer(self, prompts, states, max_new, unknown_bias):
            assert all(float(s.z.abs().sum()) == 0 for layer in states[0] for s in layer)
            texts = [self.tokenizer.decode(p) for p in prompts[0]]
            assert texts[0].startswith("Hugh had a red hat.") and texts[1].startswith("He lost it") and all(t.endswith("Answer:") for t in texts)
            return [["Hugh", "in the wood", "The book does not say."]]

    told, tales = Told(), rows.load_tales(tales_file(tmp_path))
    r = rows.fairytale(told, tales, sections=1)
    assert r["memory"]["n"] == 3 * len(tales) and r["documents"] == len(tales)
    assert r["memory"]["rouge_l"] == pytest.approx(2 / 3 / 3, abs=1e-4)  # 2/3 of the first question, none of the others
    assert r["passage"]["rouge_l"] == pytest.approx(2 / 3, abs=1e-4) and r["passage"]["refused"] == pytest.approx(1 / 3, abs=1e-4)
    assert r["zeroed"]["rouge_l"] == r["swapped"]["rouge_l"] == 0
    assert all(float(s.z.abs().sum()) == 0 for s in told.calls[1][0][0][0])


def test_perplexity_is_that_of_reading_on(plain_books, reader):
    books = plain_books
    r = rows.perplexity(reader, books, 512, count=3, seed=5, scored=2)
    assert r["memory"]["perplexity"] != r["zeroed"]["perplexity"] != r["swapped"]["perplexity"]
    rng, nats, tokens = random.Random(5), 0.0, 0
    for _ in range(3):
        begin, end = books.range(rng, 512 + 3 * 64)
        segments = reader.segments(books.tokens[begin:end])
        read = int(np.searchsorted(np.cumsum([len(s) for s in segments]), 512)) + 1
        ids = torch.ones(1, read + 2, 65, dtype=torch.long)
        ids[:, :, 0] = 0
        write = torch.zeros(1, read + 2, 65, dtype=torch.bool)
        for n, s in enumerate(segments[: read + 2]):
            ids[0, n, 1 : len(s) + 1], write[0, n, 1 : len(s) + 1] = torch.tensor(s.astype(np.int64)), True
        with torch.no_grad():  # everything in one row
            hidden, _, _ = reader.model.read_and_ask(ids, write)
        for n in (read, read + 1):
            k = len(segments[n])
            nats += float(F.cross_entropy(reader.model.head(hidden[0, n, :k]).detach(), ids[0, n, 1 : k + 1], reduction="sum"))
            tokens += k
    assert r["tokens"] == tokens and r["memory"]["perplexity"] == pytest.approx(np.exp(nats / tokens), rel=1e-3)
    alone = rows.perplexity(reader, books, 512, count=1, seed=5, scored=1)
    assert "swapped" not in alone and alone["nats_gained"] == pytest.approx(np.log(alone["zeroed"]["perplexity"] / alone["memory"]["perplexity"]), abs=1e-3)


@pytest.fixture(scope="module")
def stories(story_file):
    return babi.load([story_file], evaluation=True)


def test_a_story_stands_in_order_in_an_unseen_book(plain_books, reader, stories, tmp_path):
    books = plain_books
    drawn = cases.draw(books, "babilong-qa1", "1K", 20, 7, stories)
    samples = {(s.sentences[:k], q, a) for s in stories["qa1"] for k, q, a in s.asked}
    seen = set()
    for d in drawn:
        text = books.tokenizer.decode(d.text.tolist())
        first, *others = d.rows["babilong-qa1"]
        its = [s for s, q, a in samples if (q, a) == (first.question, first.answer) and all(x in text for x in s)]
        longest = max(its, key=len)
        at = [text.index(longest[0])]
        for sentence in longest[1:]:
            at.append(text.index(sentence, at[-1] + 1))  # each after the one before
        assert abs(len(d.text) - 1024) < 40 and babi.is_held_out(longest) and (len(longest) < 8 or at[-1] - at[0] > 1000)
        assert first.kind == "closed:qa1" and not first.is_open and len(others) <= 3
        assert all(babi.answers(longest)[a.question] == a.answer and a.kind == "closed:qa1 too" for a in d.rows["babilong-qa1"][1:])
        seen.add((longest, first.question))
    assert len(seen) == 20  # no sample twice
    cases.save(tmp_path / "cases.jsonl", cases.joined({("babilong-qa1", "1K"): drawn}), books.tokenizer)
    header, loaded = cases.load(tmp_path / "cases.jsonl")
    assert header["books"] and [d.rows for _, d in loaded] == [d.rows for d in drawn]
    r = run_cases(reader, loaded[:3])["babilong-qa1"]["1K"]
    assert r["memory"]["all"]["n"] == sum(len(d.rows["babilong-qa1"]) for d in drawn[:3]) and len(r["memory"]["all"]["interval"]) == 2
    assert not r["memory"]["names_and_numbers"] and 0 < r["commonest_answer"] < 1
    with pytest.raises(ValueError, match="babilong-qa1 has .* unseen samples"):
        cases.draw(books, "babilong-qa1", "1K", 1000, 7, stories)


def test_cells_that_there_are():
    there = lambda row: [size for size in cases.SIZES if cases.belongs(row, size)]
    assert there("babilong-qa1")[-1] == "1M" and there("babilong-qa2")[-1] == there("babilong-qa4")[-1] == there("babilong-qa5")[-1] == "128K"
    assert all(cases.count_of(row, 50) >= 100 for row in cases.BABILONG)


def test_new_rows_reach_the_card(plain_books, reader, stories, tmp_path):
    material = Material(plain_books, stories, rows.load_tales(tales_file(tmp_path))[:2])
    made = {"babilong-qa1": {"1K": cell(reader, material, "babilong-qa1", "1K", 2, 7)},
            "fairytale": {"8K": cell(reader, material, "fairytale", "8K", 2, 7)}}
    made["perplexity"] = {"8K": rows.perplexity(reader, plain_books, 512, count=2, seed=1, scored=1)}
    lines = table("card", {"table": made}).splitlines()
    assert len(lines) == 5 and lines[2].startswith("| BABILong QA1") and f"{made['babilong-qa1']['1K']['memory']['all']['exact']:.2f} [" in lines[2]
    assert f"{made['fairytale']['8K']['memory']['rouge_l']:.2f}, {made['fairytale']['8K']['passage']['rouge_l']:.2f}" in lines[3]
    assert f"{made['perplexity']['8K']['memory']['perplexity']:.1f}, " in lines[4]


def test_a_story_that_is_in_the_files_twice_does_not_hide_the_others(stories):
    """Consecutive rows of one short story become a story of two questions; the rest of its task has one."""
    once = [babi.Story("qa4", (f"The kitchen is north of the room {i}.",), ((1, "What is north of the room?", "kitchen"),)) for i in range(30)]
    twice = babi.Story("qa4", ("The kitchen is north of the hall.",), ((1, "What is north of the hall?", "kitchen"),) * 2)
    assert len(cases.Cases.shuffled([*once, twice])) == 31
    longer = max(len(s.asked) for s in stories["qa1"])
    assert {s.asked[k] for s, k in cases.Cases.shuffled(stories["qa1"])} <= {a for s in stories["qa1"] if len(s.asked) == longer for a in s.asked}
