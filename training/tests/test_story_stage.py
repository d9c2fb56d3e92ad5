"""The stage of bAbI stories: every question has the answer of the time whose memory it reads."""

import random
import re
from collections import Counter

import pytest

from palimpsest_training import babi
from palimpsest_training.batches import BatchMaker
from palimpsest_training.facts import UNKNOWN
from palimpsest_training.questions import IGNORE, Question, memories
from palimpsest_training.stages import CURRICULUM, STAGES, stage_at
from palimpsest_training.train import draw_stage, parser

SENTENCE = re.compile("|".join(p.pattern for p in (babi._MOVED, babi._TOOK, babi._DROPPED, babi._GAVE, babi._LIES)))


@pytest.fixture(scope="module")
def maker(plain_books, story_file):
    return BatchMaker(plain_books, seed=6, tokens_per_batch=16384, question_length=80, stories=babi.Stories([story_file]))


def test_questions_read_the_memory_of_which_their_answer_is_true(maker, plain_books):
    """Held against the stories themselves, found again in the text that has been read."""
    decode, shapes, seen = plain_books.tokenizer.decode, set(), Counter()
    for _ in range(12):
        batch = maker.memory_batch("babi")
        shapes.add(batch["segments"].shape[1])
        assert batch["segments"].shape[0] * batch["segments"].shape[1] * 256 == 16384
        for b, questions in enumerate(batch["questions"]):
            for q, (ids, answer) in enumerate(zip(questions, batch["answers"][b])):
                if not (answer != IGNORE).any():
                    continue
                at = (answer != IGNORE).nonzero()[0]
                question = decode(ids[: at[0] + 1].tolist()).split("Question: ")[-1].removesuffix("\nAnswer:").strip()
                given = decode(answer[at].tolist()).strip()
                n = batch["reads_from"][b, q]
                read = decode(batch["segments"][b, :n][batch["write"][b, :n]].tolist())
                world = babi.World()
                for sentence in SENTENCE.finditer(read):
                    world.hear(sentence[0])
                if not question.startswith("Who said") and any(p.fullmatch(question) for p in babi._FORMS.values()):
                    assert world.answers().get(question, UNKNOWN) == given, (question, n, read)
                    last = n == batch["write"][b].any(1).sum()
                    seen["at the end" if last else "before", given == UNKNOWN] += 1
    assert {8, 16} <= shapes <= {8, 16, 32, 64} and len(seen) == 4 and min(seen.values()) > 10, (shapes, seen)


def test_a_changed_answer_is_not_asked_for_behind_the_change():
    cuts = [100, 200, 300, 400]
    q = lambda after, until: Question([5], [6, 1], after, until=until)
    assert list(memories(q(150, 0), cuts)) == [2, 3, 4] and list(memories(q(200, 0), cuts)) == [2, 3, 4]
    assert list(memories(q(150, 320), cuts)) == [2, 3] and list(memories(q(150, 300), cuts)) == [2, 3]
    assert list(memories(q(150, 190), cuts)) == []  # both in one segment
    assert list(memories(q(0, 250), cuts)) == [1, 2] and list(memories(q(0, 50), cuts)) == []
    assert list(memories(q(0, 0), cuts)) == [1, 2, 3, 4]


def test_no_story_of_the_evaluation_is_put_into_training(maker, plain_books, story_file, monkeypatch):
    drawn = []
    draw = babi.Stories.draw
    monkeypatch.setattr(babi.Stories, "draw", lambda self, *args: drawn.append(draw(self, *args)) or drawn[-1])
    for _ in range(40):
        tokens, asked, _ = maker.story_document(STAGES["babi"], 1800)
        assert len(tokens) < 2400 and asked  # the tokenizer of the test tears names into more pieces than room_for() allows
    held = {s.sentences[:2] for stories in babi.load([story_file], True).values() for s in stories}
    assert len(drawn) > 60 and held and not any(babi.is_held_out(s) or s[:2] in held for s in drawn)


def test_the_stage_is_drawn_only_where_there_are_stories_and_the_others_keep_their_shares():
    rng = random.Random(1)
    drawn = {stories: Counter(stage_at(0.9, rng, stories) for _ in range(40_000)) for stories in (False, True)}
    assert drawn[False]["babi"] == 0 and 0.1 < drawn[True]["babi"] / 40_000 < 0.14
    without = {name: w for name, w in CURRICULUM[-1][1].items() if name != "babi"}
    for name, weight in without.items():
        for counts in drawn.values():
            assert abs(counts[name] / (counts.total() - counts["babi"]) - weight / sum(without.values())) < 0.01
    arguments = ["--phase", "all", "--data", "x", "--tokenizer", "x", "--out", "x"]
    names = lambda *more: {draw_stage(parser().parse_args([*arguments, *more]), 0.95, rng) for _ in range(400)}
    assert "babi" not in names() and "babi" in names("--babi", "stories.jsonl") and names("--stages", "babi=0.5", "--babi", "s") == {"babi"}
