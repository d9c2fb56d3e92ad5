"""Questions that a text does not answer, as training asks them: mostly about somebody whom the text does know.

To refuse a name that was never told is easily learned. What a model gets wrong is the other attribute of a known subject:
of 384 absent questions about invented facts (8 facts in 4K tokens, eight sections) version 5 answered 3 % where nobody of
that name was told of, 17 % where something was, and 36 % where what was told is an answer of the same sort (the birthplace
for the home).
"""

from __future__ import annotations

import random

from .facts import FAMILIES, Fact, Family, Telling

# Families whose answers are of one sort, or which ask about one thing.
NEAR = (("number", "room", "debt", "year"), ("birthplace", "home", "journey"), ("spouse", "friend", "pet"),
        ("profession", "colour", "dish", "instrument"), ("ruler", "population"), ("hiding", "owner"))
_NEAR = {family: group for group in NEAR for family in group}
_FAMILY = {f.name: f for f in FAMILIES}
# Shares of the absent questions; the others ask for somebody of whom no text tells.
NEAR_SHARE, KNOWN_SHARE, MET_SHARE = 0.45, 0.25, 0.10
# Versions 7 and 9 knew least of these (docs/memory.md).
OFTENER = {"ruler": 1.7, "population": 1.5, "owner": 1.5}
# Texts that tell of few things only, of one to three families: what tells their subjects apart is then the name alone. Of 64
# facts version 9 gives one town's mayor to another more often than anything else.
FEW_FAMILIES_SHARE = 0.15
LENT_SHARE = 0.25  # of new subjects: somebody of whom another text has told something else


class Acquaintances:
    """Of whom other documents of a batch tell, or earlier portions of a stream, and what has been told or asked of them. They
    are spoken of here as well, so that a section knows many a name without knowing what another section says of it."""

    def __init__(self, most: int = 64):
        self.most = most
        self.taken: dict[tuple[str, str], set[str]] = {}  # (kind, subject) -> families

    def note(self, family: str, subject: str) -> None:
        kind = _FAMILY[family].subject
        if kind == "object" and " of " not in subject:
            return  # "the silver key": another text's is another one
        self.taken[kind, subject] = self.taken.pop((kind, subject), set()) | {family}
        while len(self.taken) > self.most:
            del self.taken[next(iter(self.taken))]

    def free(self, kind: str | None = None) -> list[tuple[str, str]]:
        """(family, subject): what nobody has told or asked."""
        return [(f.name, s) for (k, s), taken in self.taken.items() for f in FAMILIES if f.subject == k == (kind or k) and f.name not in taken]


class TrainingTelling(Telling):
    def __init__(self, rng: random.Random, bare_objects: bool, met: Acquaintances | None):
        super().__init__(rng, False, bare_objects)
        self.met = met or Acquaintances()
        self.families = list(FAMILIES)
        if rng.random() < FEW_FAMILIES_SHARE:
            self.families = list(dict.fromkeys(self.draw_family() for _ in range(rng.randint(1, 3))))
        self.elsewhere = dict(self.met.taken)  # as it was before this text
        self.used |= {(family, s) for (_, s), taken in self.elsewhere.items() for family in taken}

    def newcomer(self, kind: str) -> str:
        if self.rng.random() < LENT_SHARE:
            lent = sorted({s for _, s in self.met.free(kind) if (kind, s) not in self.subjects})
            if lent:
                self.subjects.append((kind, self.rng.choice(lent)))
                return self.subjects[-1][1]
        return super().newcomer(kind)

    def draw_family(self) -> Family:
        return self.rng.choices(self.families, [OFTENER.get(f.name, 1.0) for f in self.families])[0]

    def tell(self, count: int) -> list[Fact]:
        facts = super().tell(count)
        for f in facts:
            self.met.note(*f.about)
        return facts

    def draw_absent(self) -> tuple[str, str] | None:
        """(family, subject) of one question; None where the draw has none."""
        rng, share = self.rng, self.rng.random()
        if share < NEAR_SHARE + KNOWN_SHARE and self.facts:
            told, subject = rng.choice(self.facts).about
            families = _NEAR[told] if share < NEAR_SHARE else [f.name for f in FAMILIES if f.subject == _FAMILY[told].subject]
            free = [(f, subject) for f in families if (f, subject) not in self.used]
        elif share < NEAR_SHARE + KNOWN_SHARE + MET_SHARE:
            free = [(f, s) for f, s in self.met.free() if (_FAMILY[f].subject, s) in self.elsewhere and (f, s) not in self.used]
        else:
            family = self.draw_family()
            kept = list(self.subjects)
            free = [(family.name, Telling.newcomer(self, family.subject))]
            self.subjects[:] = kept
        return rng.choice(free) if free else None

    def absent(self, count: int) -> list[Fact]:
        out: list[Fact] = []
        for _ in range(50 * count):  # a text that tells next to nothing has few known subjects to ask about
            if len(out) == count:
                break
            if (drawn := self.draw_absent()) and drawn not in self.used:
                self.used.add(drawn)
                self.met.note(*drawn)
                out.append(self.unknown(_FAMILY[drawn[0]], drawn[1]))
        return out


def draw_training_facts(rng: random.Random, count: int, absent: int, bare_objects: bool = True,
                        met: Acquaintances | None = None) -> tuple[list[Fact], list[Fact]]:
    """As facts.draw_facts. The wordings of both are drawn alike, lest a wording tell whether there is an answer."""
    text = TrainingTelling(rng, bare_objects, met)
    return text.tell(count), text.absent(absent)
