"""Training batches: prose with facts strewn in, cut into segments, and questions that read the memory.

A batch of the memory phase, as numpy arrays (B documents, N segments, L = S + 1 positions, Q questions, P positions):
  segments u16 [B, N, L], write bool [B, N, L], labels i64 [B, N, L] (-100 = no loss)
  questions u16 [B, Q, P], reads_from i64 [B, Q], answers i64 [B, Q, P] (-100 = no loss)
  begins i64 [B, Q], of stages of stories and of sectioned batches: how many segments stand before the section that is asked
  split (Qs, Ps): the first Qs questions of every document fit in Ps positions (by_length)
  contest i64 [B, Q]: g or -g: of the documents and sections that are asked question g, this one tells the answer, or does not; 0: asked
  alone
  again bool [B, Q]: may be asked where more has been read: after later portions of a stream, or in a crowd (model.Crowd);
  has_key bool [B]: a pass key stands in the text
A batch of the base phase has N = 1 segment a row, its questions inside the same row (answers marked in `answers`).
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from dataclasses import dataclass, field, replace

import numpy as np

from .absent import Acquaintances, draw_training_facts
from .babi import Stories, answers as answers_now, interleaved, spells, unanswered
from .books import Books, Stretch, Strewn
from .config import PROMPTS
from .contests import OWN_SECTIONS, Contest, draw_contests
from .facts import PASSKEY_FILLER, PASSKEY_INTRO, PASSKEY_QUESTION, UNKNOWN, Fact, Names, passkey_sentence
from .cutter import cut_tokens
from .mining import quote_of
from .questions import BOS, EOS, IGNORE, Question, by_length, memories, section_around, section_begins, section_without
from .stages import STAGES, Stage

ABSENT_RATE = 0.25  # questions without an answer for each fact of a document
SECTIONS_SHARE = 0.6  # of the questions of which it is known where the text answers them: asked of a section of it
STRANGERS = 3  # of a document's questions, one more for so many is of another document
SHORTEST_SECTION = 512  # tokens, in sectioned batches; a quarter of a document that is shorter than four
WHOLE_SHARE = 0.2  # of such a batch's questions: asked of all that has been read, as in other batches
NEIGHBOURS_SHARE = 0.5  # of the batches: their documents are one book's, one after another
# What somebody does in a sentence that tells who he is.
_DID = ("came in", "was there too", "said nothing", "had gone out", "sat by the fire", "looked up", "was waiting at the door", "smiled",
        "shook hands with everybody", "was the first to leave", "knew better", "lived across the road", "had come with the others")


def room_for(statements: list[str]) -> int:
    """Tokens that they take, roughly: names are torn into short ones."""
    return sum(len(s) // 3 + 1 for s in statements)


@dataclass(frozen=True)
class Put:
    """A question as it is put to segments `begin` to `read` of a document, what is answered, and which contest that belongs to (0: none)."""

    question: Question
    begin: int
    read: int
    answer: list[int]
    contest: int


@dataclass
class Neighbours:
    """Where the next document of a batch begins, if its documents are to be neighbours; and what that book's people are called."""

    at: int
    renamed: dict[str, str] | None = field(default_factory=dict)  # None: nobody is


class BatchMaker:
    stages = STAGES
    bos, ids = BOS, np.uint16  # of a batch; `ids` is the type that holds any token of the model

    def __init__(self, books: Books, seed: int, tokens_per_batch: int = 65536, question_length: int = 80, stories: Stories | None = None,
                 sectioned_share: float = 0.0):
        """sectioned_share: of the batches (not of stories, nor streams), whose questions are asked of sections of a document that has been
        read as a whole, as the program asks them."""
        self.books, self.rng, self.stories, self.sectioned_share = books, random.Random(seed), stories, sectioned_share
        self.names = Names(self.rng, evaluation=False)
        self.tokens_per_batch, self.P = tokens_per_batch, question_length
        self.met: dict[int, Acquaintances] = defaultdict(Acquaintances)  # of each row of the streams
        self.neighbours: Neighbours | None = None
        self.sectioned = False  # the batch that is being made

    def encode(self, text: str) -> list[int]:
        return self.books.tokenizer.encode(text, add_special_tokens=False).ids

    # -- what is asked -------------------------------------------------------------------------------------------

    def prompt(self, question: str) -> list[int]:
        return self.encode(PROMPTS["question"].format(question=question))

    def qa(self, question: str, answer: str, after: int = 0, again: bool = False, elsewhere: bool = False, about=None, until: int = 0,
           told_at: int | None = None) -> Question:
        return Question(self.prompt(question), self.encode(" " + answer) + [EOS], after, again, elsewhere, about or question, until, told_at)

    def card(self, prose: Stretch, after: int = 0) -> Question:
        return Question(self.encode(PROMPTS["summary"]), self.encode(prose.card) + [EOS], after)

    def section_cards(self, prose: Stretch, strewn: Strewn, most: int) -> list[Question]:
        """Cards of stretches of a document, each of 1,000 tokens of its prose or more."""
        rng, out, length = self.rng, [], len(prose.tokens)
        for _ in range(most if length >= 1500 else 0):
            size = int(1000 * (min(8000, length) / 1000) ** rng.random())
            begin = rng.randint(0, length - size)
            if card := self.books.card_of(prose, begin, begin + size):
                span = strewn.place(begin, "right"), strewn.place(begin + size, "left")
                out.append(Question(self.encode(PROMPTS["summary"]), self.encode(card) + [EOS], span[1], told_at=span[0], just_this=True))
        return out

    def foreign_question(self) -> str:
        """A natural question about another place of the corpus: the answer is that the book does not say."""
        return self.books.mined[self.rng.randrange(len(self.books.mined))][0]

    def pass_key(self) -> str:
        return self.names.number(1000, 99999)

    def line(self) -> str:
        """Words that somebody says somewhere in the corpus, as far as their question quotes them."""
        return quote_of(self.books.mined[self.rng.choice(self.books.said)][0])

    def speeches(self, most: int, count: int | None = None) -> list[Fact]:
        """Lines of other places of the corpus, given to new speakers: who said them can be known from the text alone."""
        rng, found = self.rng, {}
        if not self.books.said:
            return []
        for _ in range(rng.choice([0, 0, 1, 2, 4, 8]) if count is None else count):
            question, speaker = self.books.mined[rng.choice(self.books.said)]
            quote = quote_of(question)
            if rng.random() < 0.6:  # the others are "the old man" and the like
                speaker = self.names.person()
            verb = rng.choice(["said", "said", "said", "cried", "asked", "replied", "answered", "exclaimed", "whispered"])
            end = rng.choice([f"{verb} {speaker}", f"{speaker} {verb}"])
            if quote.endswith("..."):  # a question quotes a long line's beginning only
                quote = f"{quote[:-3]} {self.line().removesuffix('...')}"
            end += f', "{self.line().removesuffix("...")}."' if rng.random() < 0.3 else "."
            if question not in found:
                found[question] = Fact("said", False, f'"{quote}," {end}', question, speaker)
        return list(found.values())[:most]

    def described(self, count: int) -> list[Fact]:
        """People of other places of the corpus under new names: who they are, and whose kin."""
        rng, out = self.rng, []
        for _ in range(count if self.books.described else 0):
            question, answer = self.books.mined[rng.choice(self.books.described)]
            name, other = self.names.person(), self.names.person()
            if kin := re.fullmatch(r"Whose (\w+) is .+\?", question):
                relation = f"{name}, the {kin[1]} of {other}," if rng.random() < 0.6 else f"{other}'s {kin[1]} {name}"
                out.append(Fact("kin", False, f"{relation} {rng.choice(_DID)}.", f"Whose {kin[1]} is {name}?", other))
                continue
            statement = rng.choice([f"{name}, {answer}, {rng.choice(_DID)}.", f"{name} was {answer}.", f"There was {answer} called {name}.",
                                    f"Everybody knew {name}, {answer}.", f"It was {name}, {answer}."])
            out.append(Fact("who", False, statement, f"Who is {name}?", answer))
        return out

    # -- documents -----------------------------------------------------------------------------------------------

    def prose(self, length: int, asked: bool = False) -> Stretch:
        """Some `length` tokens; in three documents of four its people are renamed."""
        rng = self.rng
        if self.neighbours:
            return self.neighbour(int(length * 0.96))
        if rng.random() < 0.25:
            return self.books.stretch(*self.books.range(rng, length, asked))
        # new names may take more tokens than the old ones
        return self.books.stretch(*self.books.range(rng, int(length * 0.96), asked), rng, self.names.surname)

    def begin_neighbours(self, length: int, count: int) -> None:
        """The prose of the next `count` documents comes from neighbouring stretches of a book, its people called the same in all:
        what one says of them, or who it is that spoke, is asked of the others, too (strangers). A question put to the sections of
        a book is answered wrongly by another section that knows those people more often than by one that does not."""
        begin, _ = self.books.range(self.rng, length * count, asked=True)
        self.neighbours = Neighbours(begin, None if self.rng.random() < 0.25 else {})

    def neighbour(self, length: int) -> Stretch:
        begin, ends = self.neighbours.at, self.books.sentence_ends
        if begin + length > len(self.books.tokens):  # all that there is has been read
            begin = 0
        end = min(begin + length, len(self.books.tokens))
        self.neighbours.at = int(ends[min(np.searchsorted(ends, end), len(ends) - 1)])
        if self.neighbours.renamed is None:
            return self.books.stretch(begin, end)
        return self.books.stretch(begin, end, self.rng, self.names.surname, self.neighbours.renamed)

    def strew(self, prose: Stretch, statements: list[str]) -> Strewn:
        """The prose with the statements put in at sentence ends."""
        pieces, begins, ends, at, length = [], [], [], 0, 0
        points = prose.insertion_points(self.rng, len(statements))
        for point, statement in zip(points, statements):
            fact = np.array(self.encode(" " + statement), np.uint16)
            pieces += [prose.tokens[at:point], fact]
            begins.append(length + point - at)
            length = begins[-1] + len(fact)
            ends.append(length)
            at = point
        pieces.append(prose.tokens[at:])
        return Strewn(np.concatenate(pieces), begins, ends, points)

    def passkey_document(self, length: int) -> tuple[np.ndarray, Question]:
        rng = self.rng
        key = self.pass_key()
        filler = self.encode(" " + PASSKEY_FILLER)
        intro, needle = self.encode(PASSKEY_INTRO), self.encode(" " + passkey_sentence(key))
        total = max(1, (length - len(intro) - len(needle)) // len(filler))
        before = rng.randint(0, total)
        tokens = np.array(intro + filler * before + needle + filler * (total - before), np.uint16)
        at = len(intro) + before * len(filler)
        return tokens, self.qa(PASSKEY_QUESTION, key, at + len(needle), told_at=at)

    def document(self, stage: Stage, met: Acquaintances | None = None) -> tuple[np.ndarray, list[Question], set]:
        """Tokens, what is asked, and what else is told (Question.about). met: of whom other documents of the batch tell."""
        rng = self.rng
        length = stage.segments * stage.segment_length
        length = int(length * 0.88)  # segments end at sentence ends and are not quite full
        if stage.stories:
            return self.story_document(stage, length)
        if rng.random() < 0.05:
            tokens, asked = self.passkey_document(length)
            return tokens, [asked] * 2, set()
        low, high = stage.facts
        count = round(low * (high / low) ** rng.random())
        absent = sum(rng.random() < ABSENT_RATE for _ in range(count))
        facts, unknown = draw_training_facts(rng, count, absent, met=met)
        if stage.speeches:
            few, many = stage.speeches
            facts += self.speeches(many, round(few * (many / few) ** rng.random()))
        else:
            facts += self.speeches(count // 2)
        facts += self.described(round(count * rng.choice([0, 0, 0.1, 0.25])))
        statements = [f.statement for f in facts]
        if rng.random() < 0.15:
            key = self.pass_key()
            statements.append(passkey_sentence(key))
        else:
            key = None
        prose = self.prose(max(16, length - room_for(statements)), asked=rng.random() < 0.5)
        strewn = self.strew(prose, statements)
        tokens, ends = strewn.tokens, strewn.ends
        questions = [self.qa(f.question, f.answer, at, again=True, elsewhere=True, about=f.about, told_at=begin)
                     for f, begin, at in zip(facts, strewn.begins, ends)]
        if key:  # other documents have keys too
            questions.append(self.qa(PASSKEY_QUESTION, key, ends[-1], told_at=strewn.begins[-1]))
        questions += [self.qa(f.question, UNKNOWN, again=True) for f in unknown]
        if length >= 1500 and rng.random() < 0.7:
            questions.append(self.card(prose, len(tokens)))
        if self.sectioned:
            questions += self.section_cards(prose, strewn, rng.choice((0, 1, 2)))
        questions += self.natural(prose, max(2, stage.questions - len(questions)), len(tokens), strewn if self.sectioned else None)
        return tokens, questions, {q for q, _ in prose.questions}

    def story_document(self, stage: Stage, length: int) -> tuple[np.ndarray, list[Question], set]:
        """bAbI stories strewn over prose, each in its order; asked is what holds at the end, and what held before, of a memory
        of then or of a section of it."""
        if not self.stories:
            raise ValueError("a stage of stories needs files of them (--babi)")
        rng, told, taken, sizes = self.rng, [], set(), {}  # sizes: of each sentence, in tokens
        taking = lambda story: sum(sizes.setdefault(s, len(self.encode(" " + s))) for s in story)
        for _ in range(rng.randint(*stage.stories)):
            story = self.stories.draw(rng, self.names, taken, stage.told)
            if 3 * sum(map(taking, [*told, story])) < 2 * length:  # a third is left for prose
                told.append(story)
        merged = interleaved(rng, told)
        statements = [s for _, s in merged]
        prose = self.prose(max(16, length - taking(statements)))
        strewn = self.strew(prose, statements)
        tokens, begins, ends = strewn.tokens, strewn.begins, strewn.ends
        lasting, passing, known, answered = [], [], set(), set()
        for i, story in enumerate(told):
            places = [n for n, (k, _) in enumerate(merged) if k == i]  # of its sentences among all
            told_of = spells(story)
            carried = any(s.question.startswith("Where is the ") for s in told_of)
            for s in told_of:
                after, ends_it = (ends[places[s.first - 1]] if s.first else 0), s.last < len(story)
                if ends_it and not begins[places[s.last]]:
                    continue  # ended before anything was read
                q = self.qa(s.question, s.answer or UNKNOWN, after, elsewhere=s.answer is not None and not ends_it,
                            until=begins[places[s.last]] if ends_it else 0, told_at=begins[places[s.first - 1]] if s.answer else None)
                q = replace(q, other_before=s.question in answered)
                known.add(s.question)
                if s.answer:
                    answered.add(s.question)
                # Who is where is known first; where things are needs it.
                if carried and re.match(r"Where is (?!the )", s.question) and rng.random() < 0.5:
                    continue
                passing.append((q, s.answer is not None)) if ends_it else lasting.append(q)
        some = lambda questions, most: rng.sample(questions, min(most, len(questions)))
        asked = some(lasting, 10)
        few = 1 + len(asked) // 6  # not yet said, and never said: or refusing would be the rule
        asked += some([q for q, said in passing if said], len(asked)) + some([q for q, said in passing if not said], few)
        # One sentence tells of two places; what lies on their other sides is what such a section is asked in vain.
        absent = unanswered(rng, statements, few, sum(q.about.startswith("What is ") for q in asked) // 3)
        return tokens, asked + [self.qa(q, UNKNOWN) for q in absent] + self.natural(prose, 4, len(tokens)), known | {q for q, _ in prose.questions}

    def natural(self, prose: Stretch, most: int, after: int, strewn: Strewn | None = None) -> list[Question]:
        """Questions mined from a stretch, and some about other places, which the book does not answer. They are asked when all has been
        read, or, with `strewn`, of a section in which the answer stands."""
        found = self.rng.sample(range(len(prose.questions)), min(most, len(prose.questions)))
        questions = []
        for i in found:
            begin, end = None, after
            if strewn and prose.asked_at:
                begin, end = (strewn.place(at, side) for at, side in zip(prose.asked_at[i], ("left", "right")))
            questions.append(self.qa(*prose.questions[i], end, again=self.rng.random() < 0.25, elsewhere=True, told_at=begin))
        return questions + [self.qa(self.foreign_question(), UNKNOWN) for _ in range(1 + len(questions) // 4)]

    def strangers(self, count: int, own: list[Question], told: set, others: list[list[Question]]) -> list[Question]:
        """What other documents of the batch are asked: this one does not say. So a section learns what is not in it, above all
        (half of them, if there are) of somebody of whom it says something else. told: what this one tells beside `own`."""
        told = told | {q.about for q in own}
        subjects = {about[1] for about in told if isinstance(about, tuple)}
        asked = self.untold(own, told, [q for other in others for q in other if q.elsewhere])
        known = [q for q in asked if (q.about[1] in subjects if isinstance(q.about, tuple) else self.neighbours)]
        chosen = self.rng.sample(known, min(count // 2, len(known)))
        drawn = {id(q) for q in chosen}
        rest = [q for q in asked if id(q) not in drawn]
        chosen += self.rng.sample(rest, min(count - len(chosen), len(rest)))
        return [Question(q.prompt, self.refusal()) for q in chosen]

    @staticmethod
    def untold(own: list[Question], told: set, asked: list[Question]) -> list[Question]:
        """Those of `asked` that a document which tells `told` and is asked `own` does not answer."""
        prompts, told = {tuple(q.prompt) for q in own}, told | {q.about for q in own}
        return [q for q in asked if q.about not in told and tuple(q.prompt) not in prompts]

    def portion(self, stage: Stage, row: int, rows: int) -> tuple[np.ndarray, list[Question], bool]:
        """The next stretch of the stream in `row`; and whether a pass key stands in it.

        Row 0 is mostly the pass key's filler. The other rows differ in how often a fact comes: from one in 25 portions
        to several in each, so that after a million tokens a memory holds from some five to some hundreds.
        """
        rng = self.rng
        length = int(stage.segments * stage.segment_length * 0.88)
        # a second key begins a document anew (Streams.go_on): rare, lest none grow to a million tokens
        has_key = rng.random() < (0.015 if row == 0 else 0.005)
        key = self.pass_key()
        if row == 0 and rng.random() < 0.8:
            filler = self.encode(" " + PASSKEY_FILLER)
            count = length // len(filler)
            before = rng.randint(0, count)
            needle = self.encode(" " + passkey_sentence(key)) if has_key else []
            tokens = np.array(filler * before + needle + filler * (count - before), np.uint16)
            asked = [self.qa(self.foreign_question(), UNKNOWN)]
            if has_key:
                asked.append(self.qa(PASSKEY_QUESTION, key, before * len(filler) + len(needle), again=True))
            return tokens, asked, has_key
        low, high = stage.facts
        rate = low * (high / low) ** (row / max(1, rows - 1))
        count = int(rate) + (rng.random() < rate % 1)
        facts, unknown = draw_training_facts(rng, count, 1 + (rng.random() < 0.5) + count // 2, bare_objects=False, met=self.met[row])
        facts += self.speeches(count) + self.described(count if rng.random() < 0.3 else 0)
        statements = [f.statement for f in facts] + [passkey_sentence(key)] * has_key
        prose = self.prose(max(16, length - room_for(statements)))
        strewn = self.strew(prose, statements)
        tokens, ends = strewn.tokens, strewn.ends
        asked = [self.qa(f.question, f.answer, at, again=True) for f, at in zip(facts, ends)]
        if has_key:
            asked.append(self.qa(PASSKEY_QUESTION, key, ends[-1], again=True))
        asked += [self.qa(f.question, UNKNOWN) for f in unknown]
        return tokens, asked + self.natural(prose, 8, len(tokens)), has_key

    # -- what another tokenizer does in its own way (head_batches.py) ---------------------------------------------

    def cut(self, tokens: np.ndarray, asked: list[Question], stage: Stage) -> tuple[np.ndarray, list[int], list[Question]]:
        """The document in the model's tokens, where its segments end (at most stage.segments of them), and its questions."""
        words = self.books.table.word_ends(tokens)
        return tokens, cut_tokens(words, self.books.table.sentence_ends(tokens, words), stage.segment_length)[: stage.segments], asked

    def refusal(self) -> list[int]:
        return self.encode(" " + UNKNOWN) + [EOS]

    def after_turn(self, earlier: Question, prompt: list[int]) -> list[int]:
        """The prompt with an earlier question and its answer before it."""
        return earlier.prompt + earlier.answer[:-1] + self.encode("\n\n") + prompt

    # -- batches -------------------------------------------------------------------------------------------------

    def memory_batch(self, name: str) -> dict[str, np.ndarray]:
        stage, rng = self.stages[name], self.rng
        if stage.shortest:
            halves = [n for k in range(16) if (n := stage.segments >> k) >= stage.shortest]
            stage = replace(stage, segments=rng.choice(halves or [stage.segments]))
        S, N, P = stage.segment_length, stage.segments, self.P
        B, L = max(1, self.tokens_per_batch // (S * N)), S + 1
        self.sectioned = not (stage.stream or stage.stories) and rng.random() < self.sectioned_share
        # A stream's own earlier sections serve for that.
        strangers = stage.strangers or stage.questions // STRANGERS if (B > 1 or self.sectioned) and not stage.stream else 0
        Q = stage.questions + strangers
        segments = np.full((B, N, L), EOS, self.ids)  # padding, whatever the model's own end is
        write = np.zeros((B, N, L), bool)
        labels = np.full((B, N, L), IGNORE, np.int64)
        questions = np.full((B, Q, P), EOS, self.ids)
        answers = np.full((B, Q, P), IGNORE, np.int64)
        reads_from = np.zeros((B, Q), np.int64)
        begins, contest = np.zeros((B, Q), np.int64), np.zeros((B, Q), np.int64)
        again, has_key = np.zeros((B, Q), bool), np.zeros(B, bool)
        segments[:, :, 0] = questions[:, :, 0] = self.bos
        documents, met, self.neighbours = [], Acquaintances(), None
        if B > 1 and not stage.stream and rng.random() < NEIGHBOURS_SHARE:
            self.begin_neighbours(S * N, B)
        for b in range(B):
            if stage.stream:
                tokens, asked, has_key[b] = self.portion(stage, b, B)
                told = set()
            else:
                tokens, asked, told = self.document(stage, met)
            tokens, cuts, asked = self.cut(tokens, asked, stage)
            asked = [a for a in asked if a.after <= cuts[-1] and memories(a, cuts)]
            rng.shuffle(asked)
            documents.append((tokens, cuts, asked, told))
        contests = self.contests(stage, [asked[: Q - strangers] for _, _, asked, _ in documents], strangers)
        for b, (tokens, cuts, asked, told) in enumerate(documents):
            start = 0
            for n, end in enumerate(cuts):
                ids = tokens[start:end]
                segments[b, n, 1 : len(ids) + 1] = ids
                write[b, n, 1 : len(ids) + 1] = True
                labels[b, n, : len(ids)] = ids
                start = end
            own = asked[: Q - strangers]
            for q, put in enumerate(self.put_to(b, documents, own, contests, stage, strangers)[:Q]):
                prompt, answer = put.question.prompt, put.answer
                # a conversation: an earlier question and its answer, which was the same then, stand before it
                if 0 < q < len(own) and (self.sectioned or not put.begin and put.read in memories(own[q - 1], cuts)) and rng.random() < 0.15:
                    turn = self.after_turn(own[q - 1], prompt)
                    if len(turn) + len(answer) + 1 <= P:
                        prompt = turn
                ids = prompt + answer
                if len(ids) + 1 > P:
                    continue
                questions[b, q, 1 : len(ids) + 1] = ids
                answers[b, q, len(prompt) : len(ids)] = answer
                again[b, q], reads_from[b, q], begins[b, q] = put.question.again, put.read, put.begin
                # negative: a section in which it is not told
                contest[b, q] = -abs(put.contest) if answer == self.refusal() else put.contest
        self.neighbours = None
        return by_length(dict(segments=segments, write=write, labels=labels, questions=questions, answers=answers, reads_from=reads_from,
                              again=again, has_key=has_key, contest=contest) | (dict(begins=begins) if stage.stories or self.sectioned else {}))

    def contests(self, stage: Stage, asked: list[list[Question]], strangers: int) -> list[Contest]:
        """asked: of each document, what it is asked of its own; strangers: for how many more questions each has room."""
        shared = 0 if len(asked) == 1 else strangers // 4 if stage.stories else (strangers + 1) // 2
        room = strangers - shared if self.sectioned or stage.stories else 0
        return draw_contests(self.rng, asked, shared, -(-room // OWN_SECTIONS))

    def put_to(self, b: int, documents: list[tuple], own: list[Question], contests: list[Contest], stage: Stage, strangers: int) -> list[Put]:
        """All that document b is asked: its own questions, what others of the batch tell, and of its own sections what another one tells."""
        _, cuts, asked, told = documents[b]
        contestant = {id(c.question): g for g, c in enumerate(contests, 1) if c.teller == b and c.answered}
        refused, others = [], []
        for g, c in enumerate(contests, 1):
            if c.teller != b:
                if c.shared and self.untold(asked, told, [c.question]):
                    refused.append(Question(c.question.prompt, self.refusal()))
                    contestant[id(refused[-1])] = -g
            elif c.question.told_at is not None and (self.sectioned or stage.stories):
                sections = (section_without(self.rng, c.question, cuts, self.shortest_section(stage)) for _ in range(OWN_SECTIONS))
                others += [Put(c.question, *section, self.refusal(), -g) for section in sections if section]
        others = others[: strangers - len(refused)]
        elsewhere = [d[2] for d in documents[:b] + documents[b + 1 :]]
        refused += self.strangers(strangers - len(refused) - len(others), asked, told, elsewhere)
        return [Put(question, *self.asked_of(question, cuts, stage), contestant.get(id(question), 0)) for question in own + refused] + others

    def asked_of(self, question: Question, cuts: list[int], stage: Stage) -> tuple[int, int, list[int]]:
        """Of which segments of its document a question is asked, the first and the one behind the last, and what is answered of them."""
        rng, may_read = self.rng, memories(question, cuts)
        if not self.sectioned:
            read = may_read[-1] if rng.random() < 0.6 else rng.choice(may_read)
            begin, answer = self.of_section(question, cuts, read) if stage.stories and rng.random() < SECTIONS_SHARE else (0, question.answer)
            return begin, read, answer
        least, refused = self.shortest_section(stage), question.answer == self.refusal()
        if not question.just_this and (rng.random() < WHOLE_SHARE or (question.told_at is None and not refused)):
            return 0, may_read[-1], question.answer
        return *(section_without if refused else section_around)(rng, question, cuts, least), question.answer

    @staticmethod
    def shortest_section(stage: Stage) -> int:
        """In segments."""
        return max(1, min(SHORTEST_SECTION // stage.segment_length, stage.segments // 4))

    def of_section(self, question: Question, cuts: list[int], read: int) -> tuple[int, list[int]]:
        """Where a section begins that ends after `read` segments, and what is answered of it; the whole text for questions of
        which nothing tells where they are answered."""
        if question.answer == self.refusal():
            return self.rng.randrange(read), question.answer
        holds, lacks = section_begins(question, cuts, read)
        if lacks and (not holds or self.rng.random() < 0.12):
            return self.rng.choice(lacks), self.refusal()
        return self.rng.choice(holds), question.answer

    def base_batch(self, length: int) -> dict[str, np.ndarray]:
        """Rows of prose with facts and, behind it, questions and answers as in a conversation; all inside the row."""
        rng = self.rng
        B = max(1, self.tokens_per_batch // length)
        segments = np.full((B, 1, length), EOS, np.uint16)
        labels = np.full((B, 1, length), IGNORE, np.int64)
        answers = np.full((B, 1, length), IGNORE, np.int64)
        segments[:, :, 0] = BOS
        for b in range(B):
            row, marks = self._base_row(length - 1)
            row = row[: length - 1]
            segments[b, 0, 1 : len(row) + 1] = row
            labels[b, 0, : len(row)] = row
            for at, target in marks:
                if at < length:
                    answers[b, 0, at] = target
                    labels[b, 0, at] = IGNORE
        return dict(segments=segments, labels=labels, answers=answers)

    def _base_row(self, room: int) -> tuple[list[int], list[tuple[int, int]]]:
        """Tokens without BOS, and (position in the row with BOS, target) of every answer token."""
        rng = self.rng
        if rng.random() < 0.25:  # plain prose, as in reading
            begin, end = self.books.range(rng, room)
            return self.books.tokens[begin:end].tolist(), []
        count = rng.randint(1, max(2, room // 60))
        facts, unknown = draw_training_facts(rng, count, 1 + count // 5)
        facts += self.speeches(max(1, count // 2)) + self.described(rng.choice([0, 0, 1]))
        story = self.stories.draw(rng, self.names, set(), (3, 12)) if self.stories and room > 300 and rng.random() < 0.2 else ()
        card = room > 700 and rng.random() < 0.4
        spare = room - room_for([f.statement for f in facts] + list(story)) - 24 * min(count + 2, 8) - 80 * card
        prose = self.prose(max(24, spare), asked=rng.random() < 0.6)
        told = interleaved(rng, [tuple(f.statement for f in facts), story])
        tokens = self.strew(prose, [s for _, s in told]).tokens
        asked = [self.qa(f.question, f.answer) for f in facts] + [self.qa(f.question, UNKNOWN) for f in unknown]
        asked += [self.qa(q, a) for q, a in prose.questions]
        last = answers_now(story)
        asked += [self.qa(q, last[q]) for q in rng.sample(list(last), min(4, len(last)))]
        if prose.questions and rng.random() < 0.3:
            asked.append(self.qa(self.foreign_question(), UNKNOWN))
        rng.shuffle(asked)
        if card:  # first, lest there be no room left for it
            asked.insert(0, self.card(prose))
        row, marks = tokens.tolist(), []
        gap = self.encode("\n\n")
        for prompt, answer in ((q.prompt, q.answer) for q in asked[:8]):
            if len(row) + len(gap) + len(prompt) + len(answer) > room:
                break
            row += gap + prompt
            marks += [(len(row) + i, t) for i, t in enumerate(answer)]
            row += answer[:-1]  # the end token is predicted, the next question follows
        return row, marks
