"""The stages of bAbI stories: every question has the answer of the time whose memory it reads, if the section of it says so."""

import random
import re
from collections import Counter

import pytest

from palimpsest_training import babi
from palimpsest_training.batches import BatchMaker
from palimpsest_training.facts import UNKNOWN
from palimpsest_training.questions import IGNORE, Question, memories, section_begins
from palimpsest_training.stages import CURRICULUM, STAGES, stage_at
from palimpsest_training.steps import further_question, parted
from palimpsest_training.train import draw_stage, parser, train

SENTENCE = re.compile("|".join(re.sub(r"\((?!\?)", "(?:", p.pattern) for p in (babi._MOVED, babi._TOOK, babi._DROPPED, babi._GAVE, babi._LIES)))


@pytest.fixture(scope="module")
def maker(plain_books, story_file):
    return BatchMaker(plain_books, seed=6, tokens_per_batch=16384, question_length=80, stories=babi.Stories([story_file]))


@pytest.mark.parametrize("stage, batches, widths", [("babi", 20, None), ("babi-512", 6, {2}), ("babi-2k", 6, {8})])
def test_questions_read_the_memory_of_which_their_answer_is_true(maker, plain_books, stage, batches, widths):
    """Held against the stories themselves, found again in the text that has been read."""
    decode, shapes, seen = plain_books.tokenizer.decode, set(), Counter()
    for _ in range(batches):
        batch = maker.memory_batch(stage)
        shapes.add(batch["segments"].shape[1])
        assert batch["segments"].shape[0] * batch["segments"].shape[1] * STAGES[stage].segment_length == 16384
        for b, questions in enumerate(batch["questions"]):
            for q, (ids, answer) in enumerate(zip(questions, batch["answers"][b])):
                if not (answer != IGNORE).any():
                    continue
                at = (answer != IGNORE).nonzero()[0]
                question = decode(ids[: at[0] + 1].tolist()).split("Question: ")[-1].removesuffix("\nAnswer:").strip()
                given = decode(answer[at].tolist()).strip()
                n = batch["reads_from"][b, q]
                begin = batch["begins"][b, q]
                told = lambda begin, end: SENTENCE.findall(decode(batch["segments"][b, begin:end][batch["write"][b, begin:end]].tolist()))
                if not question.startswith("Who said") and any(p.fullmatch(question) for p in babi._FORMS.values()):
                    of_section = told(begin, n)
                    if told(0, begin) + of_section != told(0, n):
                        continue  # a sentence lies on both sides
                    assert given == (babi.heard(of_section).to_say(question) or UNKNOWN), (question, begin, n, of_section)
                    recalled, said = parted(given)
                    assert not recalled or recalled in of_section
                    last = n == batch["write"][b].any(1).sum()
                    seen["at the end" if last else "before", given == UNKNOWN] += 1
                    seen["of a section", given == UNKNOWN] += begin > 0
                    seen["recalled", said == UNKNOWN] += bool(recalled)
                    seen["asked on", (further_question(given) or ("", False))[1]] += further_question(given) is not None
    assert shapes == widths if widths else {8, 16} <= shapes <= {8, 16, 32, 64}
    assert len(seen) == 10 and min(seen.values()) > 5, (shapes, seen)


def test_a_section_holds_what_its_text_says_to_who_has_read_what_came_before(maker):
    """Mary has the milk when she goes to the office: the section with her going holds where the milk is, and refuses before."""
    cuts = [100, 200, 300, 400]
    q = Question([5], [6, 1], after=250, told_at=240)
    assert section_begins(q, cuts, 4) == ([0, 1, 2], [3]) and section_begins(q, cuts, 3) == ([0, 1, 2], [])
    torn = Question([5], [6, 1], after=205, told_at=195)  # its sentence lies in two segments: no section begins between them
    assert section_begins(torn, cuts, 4) == ([0, 1], [3])
    assert section_begins(Question([5], [6, 1], after=400), cuts, 4) == ([0], [])
    drawn = [maker.of_section(q, cuts, 4) for _ in range(400)]
    assert {(begin, answer == q.answer) for begin, answer in drawn} == {(0, True), (1, True), (2, True), (3, False)}
    assert all(answer in (q.answer, maker.refusal()) for _, answer in drawn)
    assert {begin for begin, _ in (maker.of_section(Question([5], maker.refusal()), cuts, 3) for _ in range(60))} == {0, 1, 2}


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
        assert len(tokens) < 2400 and asked
    held = {s.sentences[:2] for stories in babi.load([story_file], True).values() for s in stories}
    assert len(drawn) > 60 and held and not any(babi.is_held_out(s) or s[:2] in held for s in drawn)


def test_the_stage_is_drawn_only_where_there_are_stories_and_the_others_keep_their_shares():
    rng = random.Random(1)
    drawn = {stories: Counter(stage_at(0.9, rng, stories) for _ in range(40_000)) for stories in (False, True)}
    told = {name for name in STAGES if STAGES[name].stories}
    of_stories = lambda counts: sum(counts[name] for name in told)
    assert len(told) == 3 and of_stories(drawn[False]) == 0 and 0.13 < of_stories(drawn[True]) / 40_000 < 0.17
    without = {name: w for name, w in CURRICULUM[-1][1].items() if name not in told}
    for name, weight in without.items():
        for counts in drawn.values():
            assert abs(counts[name] / (counts.total() - of_stories(counts)) - weight / sum(without.values())) < 0.01
    arguments = ["--phase", "all", "--data", "x", "--tokenizer", "x", "--out", "x"]
    names = lambda *more: {draw_stage(parser().parse_args([*arguments, *more]), 0.95, rng) for _ in range(400)}
    assert "babi" not in names() and "babi" in names("--babi", "stories.jsonl") and names("--stages", "babi=0.5", "--babi", "s") == {"babi"}


def test_a_run_may_open_with_stages_of_its_own():
    rng = random.Random(1)
    args = parser().parse_args(["--phase", "all", "--data", "x", "--tokenizer", "x", "--out", "x", "--babi", "s", "--stages", "2k", "--opening",
                                "babi-512=3", "babi-2k", "--opening-share", "0.4", "--base-share", "0"])
    opening, rest = (Counter(draw_stage(args, progress, rng) for _ in range(2000)) for progress in (0.39, 0.4))
    assert set(rest) == {"2k"} and set(opening) == {"babi-512", "babi-2k"} and 2.4 < opening["babi-512"] / opening["babi-2k"] < 3.7


@pytest.mark.parametrize("wanted", [["--stages", "babi=1"], ["--story-weights", "qa4=9"]])
def test_stories_are_wanted_and_there_are_none(plain_books, tmp_path, wanted):
    arguments = ["--phase", "all", "--data", str(plain_books.folder / "books.npz"), "--tokenizer", str(plain_books.folder / "tokenizer"), "--device", "cpu"]
    with pytest.raises(SystemExit, match="^train: .*needs --babi$"):
        train(parser().parse_args([*arguments, "--out", str(tmp_path / "out.pt"), *wanted]))


def test_now_and_then_a_story_begins_the_text(maker, plain_books):
    first = [plain_books.tokenizer.decode(maker.story_document(STAGES["babi"], 600)[0][:16].tolist()) for _ in range(120)]
    begun = [text for text in first if SENTENCE.match(text)]
    assert 4 <= len(begun) <= 25 and not any(text.startswith(" ") for text in begun)


def test_rows_of_recalled_sentences_ask_for_nothing_but_what_they_say(maker, plain_books, monkeypatch):
    decode = plain_books.tokenizer.decode
    row, marks = maker._recalled_row(3000)
    marked, seen = dict(marks), Counter()
    text = decode(row)
    for question, sentence, said in re.findall(r'Question: (.+)\nAnswer: "(.+)" (.+)', text):
        assert babi.heard([sentence]).to_say(question) == f'"{sentence}" {said}'
        seen[said == UNKNOWN] += 1
    assert len(row) <= 3000 and seen[True] > 8 < seen[False] and text.count("Question") == seen.total()
    assert all(t == (row[at] if at < len(row) and row[at] != maker.encode("\n\n")[0] else 1) for at, t in marks)
    first = [at for at in marked if at - 1 not in marked]
    assert len(first) == seen.total() and all(decode(row[:at]).endswith('"') for at in first)
    refused = [at for at in first if decode([marked[at]]) == " The"]
    assert len(refused) == seen[True] and not any(at + 1 in marked for at in refused)  # the rest of a refusal is known

    for share, told in ((0, True), (1, False)):
        monkeypatch.setattr("palimpsest_training.batches.RECALLED_SHARE", share)
        batch = maker.base_batch(256)
        assert (batch["labels"] != IGNORE).any() == told and (batch["answers"] != IGNORE).any()
