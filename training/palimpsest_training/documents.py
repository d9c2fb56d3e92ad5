"""Training documents: prose with facts, pass keys, lines that somebody says or stories strewn in, and all that may be asked of them.

Of a batch they know only what its documents share: a book whose neighbouring stretches they are, and of whom others tell.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from dataclasses import dataclass, field, replace

import numpy as np

from .absent import Acquaintances, draw_training_facts
from . import babi
from .babi import Stories, interleaved, last_of_thing, spells, unanswered
from .books import Books, Stretch, Strewn
from .config import PROMPTS
from .facts import PASSKEY_FILLER, PASSKEY_INTRO, PASSKEY_QUESTION, UNKNOWN, Fact, Names, passkey_sentence
from .mining import quote_of
from .questions import EOS, Question
from .stages import Stage

BEGINNING_SHARE = 0.1  # of the texts of stories begin with one, whose first word has other tokens there
ABSENT_RATE = 0.25  # questions without an answer for each fact of a document
# What somebody does in a sentence that tells who he is.
_DID = ("came in", "was there too", "said nothing", "had gone out", "sat by the fire", "looked up", "was waiting at the door", "smiled",
        "shook hands with everybody", "was the first to leave", "knew better", "lived across the road", "had come with the others")


def room_for(statements: list[str]) -> int:
    """Tokens that they take, roughly: names are torn into short ones."""
    return sum(len(s) // 3 + 1 for s in statements)


@dataclass
class Neighbours:
    """Where the next document of a batch begins, if its documents are to be neighbours; and what that book's people are called."""

    at: int
    renamed: dict[str, str] | None = field(default_factory=dict)  # None: nobody is


class DocumentMaker:
    def __init__(self, books: Books, seed: int, stories: Stories | None = None):
        self.books, self.rng, self.stories = books, random.Random(seed), stories
        self.names = Names(self.rng, evaluation=False)
        self.met: dict[int, Acquaintances] = defaultdict(Acquaintances)  # of each row of the streams
        self.neighbours: Neighbours | None = None
        self.sectioned = False  # whether the document that is being made will be asked of sections of it

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

    def strew(self, prose: Stretch, statements: list[str], first: bool = False) -> Strewn:
        """The prose with the statements put in at sentence ends. first: the text begins with one."""
        pieces, begins, ends, at, length = [], [], [], 0, 0
        points = prose.insertion_points(self.rng, len(statements))
        if first and points:
            points[0] = 0
        for point, statement in zip(points, statements):
            fact = np.array(self.encode(" " + statement if point or pieces or not first else statement), np.uint16)
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
        return tokens, self.qa(PASSKEY_QUESTION, key, at + len(needle), elsewhere=True, told_at=at)

    def document(self, stage: Stage, met: Acquaintances | None = None) -> tuple[np.ndarray, list[Question], set]:
        """Tokens, what is asked, and what else is told (Question.about). met: of whom other documents of the batch tell."""
        rng = self.rng
        length = stage.segments * stage.segment_length
        length = int(length * 0.88)  # segments end at sentence ends and are not quite full
        if stage.stories:
            return self.story_document(stage, length)
        if rng.random() < 0.05:
            tokens, asked = self.passkey_document(length)
            return tokens, [asked, replace(asked)], set()
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
        if key:
            questions.append(self.qa(PASSKEY_QUESTION, key, ends[-1], elsewhere=True, told_at=strewn.begins[-1]))
        questions += [self.qa(f.question, UNKNOWN, again=True) for f in unknown]
        if length >= 1500 and rng.random() < 0.7:
            questions.append(self.card(prose, len(tokens)))
        if self.sectioned:
            questions += self.section_cards(prose, strewn, rng.choice((1, 2)))
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
        strewn = self.strew(prose, statements, rng.random() < BEGINNING_SHARE)
        tokens, begins, ends = strewn.tokens, strewn.begins, strewn.ends
        tale = babi.Told(tuple(statements), tuple(begins), tuple(ends))
        lasting, passing, known, answered = [], [], set(), set()
        for i, story in enumerate(told):
            places = [n for n, (k, _) in enumerate(merged) if k == i]  # of its sentences among all
            told_of = spells(story)
            carried = any(s.question.startswith("Where is the ") for s in told_of)
            for s in told_of:
                after, ends_it = (ends[places[s.first - 1]] if s.first else 0), s.last < len(story)
                if ends_it and not begins[places[s.last]]:
                    continue  # ended before anything was read
                teller = last_of_thing(story[: s.first], s.question)
                q = self.qa(s.question, s.answer or UNKNOWN, after, elsewhere=s.answer is not None and not ends_it,
                            until=begins[places[s.last]] if ends_it else 0, told_at=begins[places[s.first - 1 if teller is None else teller]] if s.answer else None)
                q = replace(q, other_before=s.question in answered, story=tale)
                known.add(s.question)
                if s.answer:
                    answered.add(s.question)
                # Who is where is known first; where things are needs it.
                if teller is not None and teller != s.first - 1 and rng.random() < 0.8:
                    continue  # who has it goes on: who has it is asked once
                if carried and re.match(r"Where is (?!the )", s.question) and rng.random() < 0.5:
                    continue
                passing.append((q, s.answer is not None)) if ends_it else lasting.append(q)
        some = lambda questions, most: rng.sample(questions, min(most, len(questions)))
        asked = some(lasting, 10)
        few = 1 + len(asked) // 6  # not yet said, and never said: or refusing would be the rule
        asked += some([q for q, said in passing if said], len(asked)) + some([q for q, said in passing if not said], few)
        # One sentence tells of two places; what lies on their other sides is what such a section is asked in vain.
        absent = unanswered(rng, statements, few, sum(q.about.startswith("What is ") for q in asked) // 3)
        return tokens, asked + [replace(self.qa(q, UNKNOWN), story=tale) for q in absent] + self.natural(prose, 4, len(tokens)), known | {q for q, _ in prose.questions}

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

    def base_document(self, room: int) -> tuple[np.ndarray, list[Question]]:
        """The text of a row of the base phase, with room left behind it, and what is asked there, in this order: nothing of plain prose."""
        rng = self.rng
        if rng.random() < 0.25:  # plain prose, as in reading
            begin, end = self.books.range(rng, room)
            return self.books.tokens[begin:end], []
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
        world = babi.heard(story)
        last = world.answers()
        asked += [self.qa(q, world.to_say(q)) for q in rng.sample(list(last), min(4, len(last)))]
        asked += [self.qa(q, world.to_say(q) or UNKNOWN) for q in unanswered(rng, story, 0, len(last) // 8)]
        if prose.questions and rng.random() < 0.3:
            asked.append(self.qa(self.foreign_question(), UNKNOWN))
        rng.shuffle(asked)
        if card:  # first, lest there be no room left for it
            asked.insert(0, self.card(prose))
        return tokens, asked
