"""Short invented facts and questions about them, to be strewn over real prose.

Names are put together from syllables, numbers are drawn, so their supply is practically endless; which of them
training may use is decided by a hash of the word (`held_out`), so that evaluation asks only for what was never seen.
Families with a small closed set of answers (colours, professions, ...) are marked `closed` and reported apart.
"""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass

from .question_forms import MORE_QUESTIONS

UNKNOWN = "The book does not say."

_ONSETS = "b br c ch cl cr d dr f fl g gl gr h j k l m n p pr qu r s sh sl st t th tr v w wh".split()
_NUCLEI = "a e i o u ai ar ea el en er il in ol on or ou un".split()
_ENDS = ("ton ford well worth ley man by ham field wood stone brook dale mere low ridge croft gate shaw bury wick den combe son sen "
         "ski vich etti ano eau ard ix och ane ell itt ock ast orn und art ver").split()
_FIRST_ENDS = "a ia en an el in is ora ina eth ard us o ene ette ric win bert dan my la ly na ra mir".split()
_TOWN_ENDS = "ton mouth port ville bury haven burg stead minster field chester wick holm dorf mont bridge stad ness grad poli".split()
_TITLES = ["Mr.", "Mrs.", "Miss", "Dr.", "Captain", "Colonel", "Sir", "Lady", "Professor", "Father", "Aunt", "Uncle"]
COMMON_FIRST = ("John Mary William Anne Thomas Elizabeth George Margaret Henry Alice Charles Emma Edward Clara Robert Helen James Lucy "
                 "Arthur Martha Frank Rose Walter Edith Harry Grace Philip Agnes Peter Nora Hugh Ellen Ralph Julia Oscar Flora").split()

COLOURS = ("red blue green yellow white black brown grey purple orange pink violet crimson scarlet golden silver turquoise ivory "
           "amber olive maroon indigo").split()
PROFESSIONS = ("baker blacksmith carpenter doctor lawyer teacher sailor tailor weaver painter farmer miller clerk printer gardener "
               "shepherd clockmaker fisherman mason engineer chemist soldier bookseller organist surveyor glazier cooper saddler "
               "butcher barber notary librarian astronomer beekeeper potter").split()
PLACES = ["under the oak bench", "behind the clock", "in the flour barrel", "beneath the third stair", "inside the old piano",
          "in the hollow elm", "behind the loose brick", "under the hearthstone", "in the blue teapot", "above the stable door",
          "in the dry well", "under the mattress", "inside the globe", "behind the portrait", "in the sewing box",
          "under the doorstep", "in the boathouse", "inside the umbrella stand", "at the bottom of the trunk", "in the belfry",
          "beneath the sundial", "behind the wine casks", "in the attic chest", "under the beehive", "inside the weathercock"]
OBJECTS = ["silver key", "brass compass", "ivory ring", "leather diary", "ruby brooch", "golden watch", "sealed letter", "pearl necklace",
           "iron box", "glass flute", "old map", "copper coin", "jade figure", "velvet purse", "signet ring", "black notebook",
           "crystal vial", "wooden mask", "emerald pin", "bronze medal", "tin whistle", "marble egg", "lace veil", "spare lens"]
ANIMALS = ["dog", "cat", "horse", "parrot", "pony", "raven", "goat", "donkey", "tortoise", "canary"]
DISHES = ("roast duck|onion soup|plum cake|fried trout|apple pie|mutton stew|boiled eggs|lentil broth|cherry tart|pickled herring|"
          "rice pudding|ginger bread|oyster pie|barley porridge|smoked eel|pumpkin soup|honey cakes|veal pie|baked apples|mushroom pie").split("|")
INSTRUMENTS = "violin|flute|harp|cello|trumpet|piano|guitar|organ|drum|oboe|lute|bassoon|clarinet|horn|zither".split("|")


def held_out(word: str) -> bool:
    """One word in eight is never used in training."""
    return zlib.crc32(word.encode()) % 8 == 0


class Names:
    """Draws names and numbers of one side of the split."""

    def __init__(self, rng: random.Random, evaluation: bool):
        self.rng, self.evaluation = rng, evaluation

    def _draw(self, make) -> str:
        while True:
            word = make()
            if held_out(word) == self.evaluation:
                return word

    def _word(self, ends) -> str:
        r = self.rng
        stem = r.choice(_ONSETS) + r.choice(_NUCLEI)
        if r.random() < 0.35:
            stem += r.choice(_ONSETS) + r.choice(_NUCLEI)
        return (stem + r.choice(ends)).capitalize()

    def surname(self) -> str:
        return self._draw(lambda: self._word(_ENDS))

    def first(self) -> str:
        if self.rng.random() < 0.5:
            return self.rng.choice(COMMON_FIRST)
        return self._draw(lambda: self._word(_FIRST_ENDS))

    def person(self) -> str:
        if self.rng.random() < 0.35:
            return f"{self.rng.choice(_TITLES)} {self.surname()}"
        return f"{self.first()} {self.surname()}"

    def given(self) -> str:  # a rare first name, for pets and spouses
        return self._draw(lambda: self._word(_FIRST_ENDS))

    def town(self) -> str:
        return self._draw(lambda: self._word(_TOWN_ENDS))

    def number(self, low: int, high: int) -> str:
        return self._draw(lambda: str(self.rng.randint(low, high)))


@dataclass(frozen=True)
class Family:
    name: str
    closed: bool  # whether the answers are a small known set
    subject: str  # "person", "town" or "object": what the fact is about
    statements: tuple[str, ...]  # {s} subject, {v} value, {k} a second key (an animal)
    questions: tuple[str, ...]
    value: object  # Names -> str


_F = Family
FAMILIES = (
    _F("number", False, "person",
       ("The secret number of {s} is {v}.", "{s} never told anyone that the secret number was {v}.", "Remember that {s} has the secret number {v}."),
       ("What is the secret number of {s}?", "Which secret number has {s}?"), lambda n: n.number(1000, 99999)),
    _F("room", False, "person",
       ("{s} took room {v} at the inn.", "The room of {s} was number {v}.", "They gave {s} room {v}."),
       ("What is the room number of {s}?", "In which room was {s}?"), lambda n: n.number(100, 999)),
    _F("debt", False, "person",
       ("{s} owed the bank {v} pounds.", "The debt of {s} had grown to {v} pounds.", "It was known that {s} owed {v} pounds."),
       ("How many pounds did {s} owe?", "How large was the debt of {s}?"), lambda n: n.number(101, 9999)),
    _F("year", False, "person",
       ("{s} came into the world in the year {v}.", "The year in which {s} was born was {v}.", "{s} was born in {v}."),
       ("In which year was {s} born?", "When was {s} born?"), lambda n: n.number(1600, 1950)),
    _F("birthplace", False, "person",
       ("{s} was born in {v}.", "The birthplace of {s} was {v}.", "{s}, who was born in {v}, spoke of it often.", "It was in {v} that {s} had been born."),
       ("Where was {s} born?", "What is the birthplace of {s}?"), lambda n: n.town()),
    _F("home", False, "person",
       ("{s} lived in {v}.", "{s} had a house in {v}.", "The home of {s} was in {v}."),
       ("Where did {s} live?", "Where was the home of {s}?"), lambda n: n.town()),
    _F("journey", False, "person",
       ("{s} set out for {v} before daybreak.", "That week {s} travelled to {v}.", "{s} was on the road to {v}."),
       ("Where did {s} travel to?", "What was the destination of {s}?"), lambda n: n.town()),
    _F("spouse", False, "person",
       ("{s} was married to {v}.", "{s} had married {v}.", "The wedding of {s} and {v} was long remembered."),
       ("Who was married to {s}?", "Whom did {s} marry?"), lambda n: f"{n.given()} {n.surname()}"),
    _F("friend", False, "person",
       ("The best friend of {s} was {v}.", "{s} trusted nobody but {v}.", "{s} and {v} had been friends from childhood."),
       ("Who was the best friend of {s}?", "Which friend did {s} trust?"), lambda n: f"{n.given()} {n.surname()}"),
    _F("pet", False, "person",
       ("{s} had a {k} called {v}.", "The {k} of {s} was named {v}.", "{v} was the name that {s} had given to the {k}."),
       ("What was the {k} of {s} called?", "What is the name of the {k} of {s}?"), lambda n: n.given()),
    _F("ruler", False, "town",
       ("The mayor of {s} was {v}.", "In {s} the mayor was called {v}.", "{v} had been mayor of {s} for years."),
       ("Who was the mayor of {s}?",), lambda n: f"{n.given()} {n.surname()}"),
    _F("population", False, "town",
       ("{s} had {v} inhabitants.", "The people of {s} numbered {v}.", "No more than {v} people lived in {s}."),
       ("How many people lived in {s}?", "How many inhabitants had {s}?"), lambda n: n.number(101, 99999)),
    _F("profession", True, "person",
       ("{s} worked as a {v}.", "{s} was a {v} by trade.", "{s}, the {v}, was well known in the district.", "By trade {s} was a {v}."),
       ("What was the profession of {s}?", "What did {s} work as?"), lambda n: n.rng.choice(PROFESSIONS)),
    _F("colour", True, "person",
       ("The favourite colour of {s} was {v}.", "{s} loved the colour {v} above all."),
       ("What was the favourite colour of {s}?", "Which colour did {s} love?"), lambda n: n.rng.choice(COLOURS)),
    _F("dish", True, "person",
       ("{s} liked nothing better than {v}.", "The favourite dish of {s} was {v}.", "Every Sunday {s} ate {v}."),
       ("What was the favourite dish of {s}?", "What did {s} like to eat?"), lambda n: n.rng.choice(DISHES)),
    _F("instrument", True, "person",
       ("{s} played the {v}.", "{s} had learned to play the {v}.", "In the evenings {s} practised the {v}."),
       ("Which instrument did {s} play?", "What did {s} play in the evenings?"), lambda n: n.rng.choice(INSTRUMENTS)),
    _F("hiding", True, "object",
       ("The {s} is hidden {v}.", "The {s} was lying {v}.", "Somebody had put the {s} {v}.", "They found the {s} {v}."),
       ("Where is the {s}?", "Where was the {s} hidden?"), lambda n: n.rng.choice(PLACES)),
    _F("owner", False, "object",
       ("The {s} belonged to {v}.", "{v} was the owner of the {s}.", "The {s} was the property of {v}."),
       ("Who was the owner of the {s}?", "To whom did the {s} belong?"), lambda n: f"{n.given()} {n.surname()}"),
)


@dataclass(frozen=True)
class Fact:
    family: str
    closed: bool
    statement: str
    question: str
    answer: str
    about: tuple[str, str] | None = None  # family and subject of what is asked, also where the answer is unknown


class Telling:
    """The facts of one text, each about a subject of its own or one of those before."""

    def __init__(self, rng: random.Random, evaluation: bool, bare_objects: bool = True):
        self.rng, self.evaluation, self.bare_objects = rng, evaluation, bare_objects
        self.names = Names(rng, evaluation)
        self.facts: list[Fact] = []
        self.used: set[tuple[str, str]] = set()  # (family, subject)
        self.subjects: list[tuple[str, str]] = []  # (kind, subject)

    def subject_of(self, kind: str) -> str:
        again = [s for k, s in self.subjects if k == kind]
        if again and self.rng.random() < 0.25:
            return self.rng.choice(again)
        return self.newcomer(kind)

    def newcomer(self, kind: str) -> str:
        rng, names = self.rng, self.names
        while True:
            if kind == "object":
                s = rng.choice(OBJECTS) if self.bare_objects and rng.random() < 0.5 else f"{rng.choice(OBJECTS)} of {names.person()}"
            else:
                s = {"person": names.person, "town": names.town}[kind]()
            if (kind, s) not in self.subjects:
                self.subjects.append((kind, s))
                return s

    def make(self, family: Family, subject: str) -> Fact:
        rng = self.rng
        key = rng.choice(ANIMALS)
        value = family.value(self.names)
        fill = lambda t: t.format(s=subject, v=value, k=key)
        statement = fill(rng.choice(family.statements))
        asked = family.questions  # which the evaluation keeps to
        if not self.evaluation and rng.random() < 0.6:
            asked = MORE_QUESTIONS[family.name]
        return Fact(family.name, family.closed, statement[0].upper() + statement[1:], fill(rng.choice(asked)), value, (family.name, subject))

    def draw_family(self) -> Family:
        return self.rng.choice(FAMILIES)

    def tell(self, count: int) -> list[Fact]:
        while len(self.facts) < count:
            family = self.draw_family()
            subject = self.subject_of(family.subject)
            if (family.name, subject) in self.used:
                continue
            self.used.add((family.name, subject))
            self.facts.append(self.make(family, subject))
        return self.facts

    def unknown(self, family: Family, subject: str) -> Fact:
        """A question that this text does not answer."""
        fact = self.make(family, subject)
        return Fact("unknown", True, "", fact.question, UNKNOWN, fact.about)

    def stranger(self, kind: str) -> str | None:
        """Somebody of whom nothing is told; None if the draw is somebody known."""
        kept = list(self.subjects)
        subject = self.subject_of(kind)
        self.subjects[:] = kept
        return None if (kind, subject) in kept else subject

    def absent(self, count: int) -> list[Fact]:
        """The evaluation's mixture: half of them ask a known subject for another attribute."""
        out: list[Fact] = []
        while len(out) < count:
            family = self.rng.choice(FAMILIES)
            known = [s for k, s in self.subjects if k == family.subject and (family.name, s) not in self.used]
            subject = self.rng.choice(known) if known and self.rng.random() < 0.5 else None
            if subject is None:
                subject = self.stranger(family.subject)
            if subject is not None:
                out.append(self.unknown(family, subject))
        return out


def draw_facts(rng: random.Random, count: int, evaluation: bool, absent: int = 0, bare_objects: bool = True) -> tuple[list[Fact], list[Fact]]:
    """`count` facts with subjects of their own, and `absent` questions whose answer the text does not hold (training has a
    mixture of its own: absent.py).

    Some subjects carry two or three facts, so that a question needs its attribute as well as its name. `bare_objects`:
    things may go without an owner ("the silver key"); in a text of many draws two of them would contradict each other.
    """
    text = Telling(rng, evaluation, bare_objects)
    return text.tell(count), text.absent(absent)


# The paper's passkey task (arXiv 2404.07143, section 4.2): its filler and its key sentence, its question through our prompt.
PASSKEY_INTRO = ("There is an important info hidden inside a lot of irrelevant text. Find it and memorize them. "
                 "I will quiz you about the important information there.")
PASSKEY_FILLER = "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again."
PASSKEY_QUESTION = "What is the pass key?"


def passkey_sentence(key: str) -> str:
    return f"The pass key is {key}. Remember it. {key} is the pass key."
