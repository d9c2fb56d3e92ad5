"""bAbI stories for the BABILong protocol (arXiv 2406.10149): short sentences of who went where, carried and gave what, strewn in
order over a book; asked is what holds after the last of them.

A file of stories is JSON lines of {"doc": task, "context", "question", "answers"}, in the order of the original: a context
that begins with the whole one before it is the same story, told further. `World` understands the sentences of the four
tasks: of the 7,094 answers of the two files that were at hand (all of en-1k, a sample of en-10k's training part) two differ,
where somebody gave the same person one thing after another. So a story can be asked after each of its sentences, and more of them can be made (`simulated`).
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from .facts import COMMON_FIRST, UNKNOWN, Names
from .steps import BEFORE, quoted

TASKS = {"qa1": "one supporting fact", "qa2": "two supporting facts", "qa4": "two-argument relations", "qa5": "three-argument relations"}
HELD_OUT_SHARE = 4  # one story in four is the evaluation's
PEOPLE = "Mary John Sandra Daniel Bill Fred Jeff Julie".split()
PLACES = "garden office kitchen bedroom hallway bathroom".split()
OBJECTS = "football apple milk".split()
# How often training draws them: who is where is known first.
WEIGHTS = {"qa1": 1, "qa2": 3, "qa4": 3, "qa5": 1.5}
# What training's stories may be retold with, so that it is not three things and six rooms that are learned.
MORE_PLACES = PLACES + "cellar library parlour attic stable chapel orchard courtyard laundry pantry nursery dairy".split()
MORE_OBJECTS = OBJECTS + "lantern basket hat umbrella kettle candle hammer rope book cup shawl ladle".split()
OPPOSITE = {"north": "south", "south": "north", "east": "west", "west": "east"}

_MOVED = re.compile(r"(\w+) (?:went back|went|journeyed|travelled|moved) to the (\w+)\.")
_TOOK = re.compile(r"(\w+) (?:grabbed|got|picked up|took) the (\w+) there\.")
_DROPPED = re.compile(r"(\w+) (?:left|discarded|dropped|put down) the (\w+)(?: there)?\.")
_GAVE = re.compile(r"(\w+) (?:gave|passed|handed) the (\w+) to (\w+)\.")
_LIES = re.compile(r"The (\w+) is (north|south|east|west) of the (\w+)\.")
_SIDE = re.compile(r"What is (?:\w+ of the (\w+)|the (\w+) \w+ of)\?")
_FORMS = {"qa1": re.compile(r"Where is [A-Z]\w+\?"), "qa2": re.compile(r"Where is the \w+\?"), "qa4": re.compile(r"What is .+"),
          "qa5": re.compile(r"(Who|What did) .+")}


class World:
    """What the sentences heard so far leave known. They may be a story's later part: what only the earlier ones told is unknown."""

    def __init__(self):
        self.where: dict[str, str] = {}  # person -> place
        self.holder: dict[str, str] = {}  # object -> who carries it
        self.at: dict[str, str] = {}  # object -> place where it was put down
        self.left_by: dict[str, str] = {}  # object -> who put it down last
        self.gifts: list[tuple[str, str, str]] = []  # giver, object, receiver
        self.sides: dict[str, set[str]] = defaultdict(set)  # question -> places
        self.relations: list[str] = []  # sentences
        self.heard = 0  # sentences
        self.said: dict[str, int] = {}  # question -> how many had been heard when one last told its answer, if only together with others

    def hear(self, sentence: str) -> None:
        self.heard += 1
        if found := _MOVED.fullmatch(sentence):
            self.where[found[1]] = found[2]
            told = [f"Where is {found[1]}?"] + [f"Where is the {t}?" for t, person in self.holder.items() if person == found[1]]
        elif found := _GAVE.fullmatch(sentence):
            self.gifts.append(found.groups())
            self.holder[found[2]] = found[3]
            told = [f"Where is the {found[2]}?", *self._given(*found.groups())]
        elif found := _TOOK.fullmatch(sentence):
            self.holder[found[2]] = found[1]
            told = [f"Where is the {found[2]}?"]
        elif found := _DROPPED.fullmatch(sentence):
            self.holder.pop(found[2], None)
            self.at.pop(found[2], None)
            self.left_by[found[2]] = found[1]
            if found[1] in self.where:
                self.at[found[2]] = self.where[found[1]]
            told = [f"Where is the {found[2]}?"]
        elif found := _LIES.fullmatch(sentence):
            a, side, b = found.groups()
            told = []
            self.relations.append(sentence)
            for x, s, y in ((a, side, b), (b, OPPOSITE[side], a)):
                for question, place in ((f"What is {s} of the {y}?", x), (f"What is the {x} {s} of?", y)):
                    self.sides[question].add(place)
                    told.append(question)
        else:
            raise ValueError(f"no sentence of {', '.join(TASKS)}: {sentence}")
        self.said |= dict.fromkeys(told, self.heard)

    @staticmethod
    def _given(giver: str, thing: str, receiver: str) -> dict[str, str]:
        return {f"What did {giver} give to {receiver}?": thing, f"Who gave the {thing}?": giver, f"Who gave the {thing} to {receiver}?": giver,
                f"Who received the {thing}?": receiver, f"Who did {giver} give the {thing} to?": receiver}

    def answers(self) -> dict[str, str]:
        """Every question of the four tasks that has one answer now: question -> answer."""
        out = {f"Where is {person}?": place for person, place in self.where.items()}
        for thing in dict.fromkeys([*self.holder, *self.at]):  # in one order in every process
            place = self.where.get(self.holder[thing]) if thing in self.holder else self.at[thing]
            if place:
                out[f"Where is the {thing}?"] = place
        for gift in self.gifts:  # the latest counts
            out |= self._given(*gift)
        return out | {q: next(iter(places)) for q, places in self.sides.items() if len(places) == 1}

    def to_say(self, question: str) -> str | None:
        """What a memory of these sentences alone is to say to a question, in steps (steps.py): who carries a thing may go on elsewhere in
        the book, so where he is is asked on; which side of a place is meant is told from the sentence, once it is recalled. None: nothing."""
        if found := re.fullmatch(r"Where is the (\w+)\?", question):
            thing = found[1]
            if thing in self.holder:
                return f"Where is {self.holder[thing]}?"
            return self.at.get(thing) or (f"{BEFORE}Where is {self.left_by[thing]}?" if thing in self.left_by else None)
        if found := _SIDE.fullmatch(question):
            room = found[1] or found[2]
            for sentence in reversed(self.relations):
                if question in (one := heard([sentence])).sides:
                    return quoted(sentence, next(iter(one.sides[question])))
            others = [s for s in self.relations if re.search(rf"\b{room}\b", s)]
            return quoted(others[-1], UNKNOWN) if others else None
        return self.answers().get(question)


def heard(sentences) -> World:
    world = World()
    for s in sentences:
        world.hear(s)
    return world


def answers(sentences) -> dict[str, str]:
    return heard(sentences).answers()


def last_of_thing(sentences, question: str) -> int | None:
    """The last of the sentences that tells who has, or had, the thing that "Where is the ...?" asks for; None: it asks for none, or none does."""
    thing = re.fullmatch(r"Where is the (\w+)\?", question)
    found = [i for i, s in enumerate(sentences) if thing and any((m := p.fullmatch(s)) and m[2] == thing[1] for p in (_TOOK, _DROPPED, _GAVE))]
    return found[-1] if found else None


@dataclass(frozen=True)
class Told:
    """The sentences of a document's stories in the order of its text, and at which tokens each begins and ends."""

    sentences: tuple[str, ...]
    begins: tuple[int, ...]
    ends: tuple[int, ...]

    def said(self, question, begin: int, end: int) -> str | None:
        """What a memory of tokens `begin` to `end` is to say (World.to_say)."""
        return heard(s for s, a, b in zip(self.sentences, self.begins, self.ends) if begin <= a and b <= end).to_say(question)


def is_held_out(sentences) -> bool:
    """Whether a story is the evaluation's. Its first two sentences decide: however far a story is told, it stays on one side."""
    return int.from_bytes(hashlib.sha256(" ".join(sentences[:2]).encode()).digest()[:4], "big") % HELD_OUT_SHARE == 0


@dataclass(frozen=True)
class Story:
    task: str
    sentences: tuple[str, ...]
    asked: tuple[tuple[int, str, str], ...]  # by the file: (sentences told before it, question, answer)

    def others(self, told: int, question: str) -> list[tuple[str, str]]:
        """What else its task could ask after so many sentences, with the answers."""
        return [(q, a) for q, a in answers(self.sentences[:told]).items() if _FORMS[self.task].fullmatch(q) and q != question]


@dataclass(frozen=True)
class Spell:
    """A question's answer from one sentence that tells it to the next: when `first` to `last` sentences have been told. The
    first-th of them told it, if only to who knew those before. None: nothing told answers it."""

    question: str
    answer: str | None
    first: int
    last: int


def spells(sentences) -> list[Spell]:
    """Of every question that some of the sentences answer, one answer after another."""
    world, known = World(), [{}]
    for s in sentences:
        world.hear(s)
        known.append({q: (a, world.said[q]) for q, a in world.answers().items()})
    out = []
    for question in dict.fromkeys(q for answered in known for q in answered):
        begin = 0
        for told in range(1, len(known) + 1):
            if told == len(known) or known[told].get(question) != known[begin].get(question):
                out.append(Spell(question, known[begin].get(question, (None,))[0], begin, told - 1))
                begin = told
    return out


def unanswered(rng: random.Random, sentences, count: int, sides: int = 0) -> list[str]:
    """Questions that these sentences never answer: `count` about people, things and places that they name, or that no story here names,
    and `sides` more about a side of a place of which they tell another side."""
    words = set(re.findall(r"\w+", " ".join(sentences)))
    known = {s.question for s in spells(sentences)}
    matches = lambda *patterns: [m for s in sentences for pattern in patterns if (m := pattern.fullmatch(s))]
    gifts = matches(_GAVE)
    people = sorted({m[1] for m in matches(_MOVED, _TOOK, _GAVE)} | {m[3] for m in gifts})
    things = sorted({m[2] for m in matches(_TOOK, _DROPPED, _GAVE)})
    rooms = sorted({m[i] for m in matches(_LIES) for i in (1, 3)})
    asked = [f"Where is {p}?" for p in PEOPLE if p not in words] + [f"Where is the {t}?" for t in OBJECTS if t not in words]
    others = [q for room in rooms for side in OPPOSITE for q in (f"What is {side} of the {room}?", f"What is the {room} {side} of?") if q not in known]
    others = rng.sample(others, min(sides + count, len(others)))
    asked += others[sides:]
    if gifts:
        asked += [f"What did {a} give to {b}?" for a in people for b in people if a != b]
        asked += [q for t in things for q in (f"Who gave the {t}?", f"Who received the {t}?", f"Who did {rng.choice(people)} give the {t} to?")]
    asked = [q for q in asked if q not in known]
    return rng.sample(asked, min(count, len(asked))) + others[:sides]


def load(files, evaluation: bool) -> dict[str, list[Story]]:
    """Task -> the stories of one side, without those that are told twice."""
    told: list[list[tuple[str, tuple[str, ...], str, str]]] = []
    for file in files:
        last = ("", "")
        for line in Path(file).read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if row["doc"] not in TASKS:
                continue
            if row["doc"] != last[0] or not row["context"].startswith(last[1]):
                told.append([])
            last = row["doc"], row["context"]
            told[-1].append((row["doc"], tuple(re.findall(r"\S[^.]*\.", row["context"])), row["question"], row["answers"][0]))
    stories: dict[str, dict[tuple, Story]] = {task: {} for task in TASKS}
    for rows in told:
        task, sentences = rows[-1][0], rows[-1][1]
        if is_held_out(sentences) == evaluation:
            stories[task][sentences] = Story(task, sentences, tuple((len(s), q, a) for _, s, q, a in rows))
    return {task: list(found.values()) for task, found in stories.items()}


_GO = ("went to", "went back to", "journeyed to", "travelled to", "moved to")
_TAKE = ("got", "grabbed", "picked up", "took")
_DROP = ("left", "discarded", "dropped", "put down")
_GIVE = ("gave", "passed", "handed")


def simulated(rng: random.Random, task: str, count: int) -> tuple[str, ...]:
    """A story of some `count` sentences of a task's kind: shorter than the files', or longer, and no end of them."""
    if task == "qa4":
        return _relations(rng, min(count, len(PLACES) - 1))
    people, things = rng.sample(PEOPLE, rng.randint(1 + (task == "qa5"), 4)), rng.sample(OBJECTS, rng.randint(1, len(OBJECTS)))
    where: dict[str, str] = {}  # person -> place
    holder: dict[str, str] = {}
    lies: dict[str, str | None] = {}  # thing -> where it was put down
    out: list[str] = []
    while len(out) < count:
        person = rng.choice(people)
        here = where.get(person)
        own = [t for t in things if holder.get(t) == person]
        near = [t for t in things if t not in holder and lies.get(t, here) == here] if here or rng.random() < 0.2 else []
        company = [p for p in people if p != person and here and where.get(p) == here]
        acts = {"go": 2.0}
        if task != "qa1":
            acts |= {"take": 2.0 * bool(near), "drop": (1.6 if task == "qa2" else 0.8) * bool(own)}
        if task == "qa5":
            acts |= {"give": 4.0 * bool(own and company)}
        act = rng.choices(list(acts), list(acts.values()))[0]
        if act == "go":
            others = [p for p in where.values() if p != here] if task == "qa5" and rng.random() < 0.5 else []
            where[person] = rng.choice(others or [p for p in PLACES if p != here])
            out.append(f"{person} {rng.choice(_GO)} the {where[person]}.")
        elif act == "give":
            thing, other = rng.choice(own), rng.choice(company)
            holder[thing] = other
            out.append(f"{person} {rng.choice(_GIVE)} the {thing} to {other}.")
        elif act == "take":
            thing = rng.choice(near)
            holder[thing] = person
            out.append(f"{person} {rng.choice(_TAKE)} the {thing} there.")
        else:
            thing = rng.choice(own)
            del holder[thing]
            lies[thing] = here
            out.append(f"{person} {rng.choice(_DROP)} the {thing}{rng.choice([' there', ''])}.")
    return tuple(out)


def _relations(rng: random.Random, count: int) -> tuple[str, ...]:
    """Which place lies on which side of another: all on one map, so that no two of them contradict each other."""
    steps = {"north": (0, 1), "south": (0, -1), "east": (1, 0), "west": (-1, 0)}
    places = iter(rng.sample(PLACES, len(PLACES)))
    at = {(0, 0): next(places)}
    out = []
    while len(out) < count:
        (x, y), known = rng.choice(list(at.items()))
        side, (dx, dy) = rng.choice(list(steps.items()))
        if (x + dx, y + dy) in at:
            continue
        at[x + dx, y + dy] = new = next(places)
        out.append(f"The {new} is {side} of the {known}." if rng.random() < 0.5 else f"The {known} is {OPPOSITE[side]} of the {new}.")
    return tuple(out)


def told_by_one(rng: random.Random) -> tuple[str, str, str]:
    """A question about a side of a place, a sentence that names the place, and what that sentence says to it: in half of them nothing."""
    places = PLACES if rng.random() < 0.6 else MORE_PLACES
    a, b = rng.sample(places, 2)
    sentence = f"The {a} is {rng.choice(list(OPPOSITE))} of the {b}."
    told = heard([sentence]).sides
    if rng.random() < 0.5:
        question = rng.choice(list(told))
        return question, sentence, next(iter(told[question]))
    room = rng.choice((a, b))
    untold = [q for side in OPPOSITE for q in (f"What is {side} of the {room}?", f"What is the {room} {side} of?") if q not in told]
    return rng.choice(untold), sentence, UNKNOWN


SIMULATED_SHARE = 0.4  # where a stage has no length of its own for stories
SIMULATED_LENGTH = (4, 40)


class Stories:
    """Training's side, retold with other names, places and things each time; never as a story of the evaluation."""

    def __init__(self, files, weights: dict[str, float] | None = None):
        """weights: how often each task is drawn, beside the others; of those that it does not name WEIGHTS."""
        self.of_task = load(files, evaluation=False)
        if unknown := set(weights or {}) - set(WEIGHTS):
            raise ValueError(f"{', '.join(sorted(unknown))}: no task of stories; there are {', '.join(WEIGHTS)}")
        self.weights = WEIGHTS | (weights or {})

    def draw(self, rng: random.Random, names: Names, taken: set[str], length: tuple[int, int] | None = None) -> tuple[str, ...]:
        """The sentences of a story about nobody and nothing that is `taken`; what it takes is added. One of the files', of which
        one in four begins in the middle, or a simulated one: always, where it is to have a `length` (fewest and most sentences)."""
        made = length or (SIMULATED_LENGTH if rng.random() < SIMULATED_SHARE else None)
        tasks = [t for t, stories in self.of_task.items() if stories or made]
        task = rng.choices(tasks, [self.weights[t] for t in tasks])[0]
        stories = self.of_task[task]
        while True:
            if made:
                sentences = simulated(rng, task, round(made[0] * (made[1] / made[0]) ** rng.random()))
            else:
                sentences = rng.choices(stories, [len(s.sentences) for s in stories])[0].sentences
            sentences, used = self.retold(rng, names, sentences, taken)
            if not made and len(sentences) > 4 and rng.random() < 0.25:
                sentences = sentences[rng.randrange(1, len(sentences) - 2) :]
            if not is_held_out(sentences):
                taken |= used
                return sentences

    @staticmethod
    def retold(rng: random.Random, names: Names, sentences, taken: set[str]) -> tuple[tuple[str, ...], set[str]]:
        """With its people, places and things exchanged; and what must not come in another story of the same text."""
        text, relations = "\n".join(sentences), _LIES.fullmatch(sentences[0])
        own = rng.random() < 0.6
        new: dict[str, str] = {}
        for pool, wide, apart in ((PEOPLE, PEOPLE + COMMON_FIRST, True), (OBJECTS, MORE_OBJECTS, True), (PLACES, MORE_PLACES, bool(relations))):
            used = [w for w in pool if re.search(rf"\b{w}\b", text)]
            free = [w for w in dict.fromkeys(pool if own else wide) if not (apart and w in taken)]
            if len(free) < len(used):
                free = [w for w in dict.fromkeys(wide) if not (apart and w in taken)]
            new |= dict(zip(used, rng.sample(free, min(len(used), len(free)))))
            new |= {w: names.given() for w in used if w not in new}  # as good as no end of them
            if pool is PEOPLE and not own:
                new |= {w: names.given() for w in used if rng.random() < 0.5}
        said = re.sub(rf"\b({'|'.join(new)})\b", lambda m: new[m[1]], text)
        return tuple(said.split("\n")), {new[w] for w in new if relations or w not in PLACES}


def interleaved(rng: random.Random, stories: list[tuple[str, ...]]) -> list[tuple[int, str]]:
    """(which story, sentence), each story's sentences in their order."""
    turns = [i for i, sentences in enumerate(stories) for _ in sentences]
    rng.shuffle(turns)
    left = [iter(s) for s in stories]
    return [(i, next(left[i])) for i in turns]
