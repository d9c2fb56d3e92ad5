"""A hundred ways to ask for the facts of facts.py that its templates do not hold: for the evaluation, never for training."""

from __future__ import annotations

import random
import re

from .facts import ANIMALS, FAMILIES

# {s}: the subject; {k}: the animal
PARAPHRASES: dict[str, tuple[str, ...]] = {
    "number": ("Tell me the number that {s} kept secret.", "{s} has a secret number: which one is it?",
               "Do you remember the secret number belonging to {s}?", "What number did {s} keep from everybody?",
               "Give the secret number of {s}, please.", "If I wanted the secret number of {s}, what would it be?"),
    "room": ("What number stood on the door of {s}'s room?", "At the inn, which room was given to {s}?", "Which room did they give {s}?",
             "{s} slept in a numbered room. Which number?", "Under which room number would one find {s}?",
             "What was the number of the room that {s} took?"),
    "debt": ("What sum did {s} owe?", "How much money was {s} in debt?", "How many pounds would {s} have had to pay back?",
             "To what amount had the debts of {s} grown?", "What did {s} owe the bank, in pounds?", "How deep in debt was {s}?"),
    "year": ("What was the birth year of {s}?", "What year saw the birth of {s}?", "Can you tell in what year {s} came into the world?",
             "How is the year called in which {s} was born?", "Since which year had {s} been in this world?", "Name the year of {s}'s birth."),
    "birthplace": ("From what town did {s} come originally?", "In what town was {s} born?", "Which place saw the birth of {s}?",
                   "Of which town was {s} a native?", "Where did {s} come into the world?",
                   "What town could call itself the birthplace of {s}?"),
    "home": ("In which town did {s} live?", "Where would one have found the house of {s}?", "What town did {s} call home?",
             "Where did {s} have a house?", "Which town was {s} living in?", "Where was {s} at home?"),
    "journey": ("To which town did {s} set out?", "Where was {s} going?", "What place was {s} on the way to?",
                "Towards which town did {s} travel?", "Where did the journey of {s} lead?", "For what town had {s} left?"),
    "spouse": ("Who was the husband or wife of {s}?", "To whom was {s} married?", "With whom did {s} celebrate a wedding?",
               "What is the name of the person {s} married?", "Who stood beside {s} at the wedding?", "Whom had {s} taken in marriage?"),
    "friend": ("Who was closest to {s}?", "In whom did {s} put all trust?", "What was the name of {s}'s best friend?",
               "Who had been a friend of {s} since childhood?", "Whom did {s} count as the dearest friend?", "Name the friend {s} relied on."),
    "pet": ("What name did the {k} of {s} answer to?", "How did {s} call the {k}?", "Which name had {s} given the {k}?",
            "{s} kept a {k}. What was its name?", "Tell me the name of {s}'s {k}.", "By what name was the {k} belonging to {s} known?"),
    "ruler": ("Who governed {s} as mayor?", "What was the name of the mayor of {s}?", "Which person held the office of mayor in {s}?",
              "Who was at the head of the town of {s}?", "In {s}, who was mayor?"),
    "population": ("What was the population of {s}?", "How large was the number of people in {s}?", "How many souls did {s} count?",
                   "By how many people was {s} inhabited?", "How many were the inhabitants of {s}?"),
    "profession": ("How did {s} earn a living?", "What was {s} by trade?", "By what work was {s} known?", "Which trade did {s} follow?",
                   "What job did {s} have?"),
    "colour": ("What colour did {s} like best?", "Of all colours, which one was dearest to {s}?", "Which colour was the favourite of {s}?",
               "In what colour did {s} delight most?", "What was the colour {s} preferred?"),
    "dish": ("Which food did {s} like best?", "What would one cook to please {s}?", "What meal did {s} prefer to all others?",
             "Of all dishes, which did {s} love most?", "What did {s} enjoy eating above all?"),
    "instrument": ("On what instrument could {s} play?", "What instrument had {s} learned?", "What did {s} make music on?",
                   "Which instrument was played by {s}?", "What did {s} practise?"),
    "hiding": ("In what place would one find the {s}?", "Where had somebody put the {s}?", "What was the hiding place of the {s}?",
               "Where should I look for the {s}?", "Where did they find the {s}?"),
    "owner": ("Whose property was the {s}?", "Who owned the {s}?", "Whose was the {s}?", "Who could call the {s} their own?",
              "What is the name of the owner of the {s}?"),
}


def _pattern(template: str) -> re.Pattern:
    parts = re.split(r"(\{[sk]\})", template)
    groups = {"{s}": "(?P<s>.+)", "{k}": f"(?P<k>{'|'.join(ANIMALS)})"}
    return re.compile("".join(groups.get(p, re.escape(p)) for p in parts))


_ASKED = [(family.name, _pattern(question)) for family in FAMILIES for question in family.questions]


def paraphrased(question: str, rng: random.Random) -> str:
    """A question of facts.py in other words. Raises ValueError for any other question."""
    for family, pattern in _ASKED:
        if found := pattern.fullmatch(question):
            return rng.choice(PARAPHRASES[family]).format(**found.groupdict())
    raise ValueError(f"no question of facts.py: {question}")
