"""Natural questions mined by rule from the sentences of a book: never from templates with invented facts.

Input is normalised text (corpus.normalise): straight quotes, paragraphs separated by a blank line.

  kind      sentence of the book                               question                              answer
  who       Mr. Collins, the clergyman, ...                    Who is Mr. Collins?                   the clergyman
            Filby was an argumentative person.         Who is Filby?                         an argumentative person
            a little woman called Weena                Who is Weena?                         a little woman
  wed       Lydia had married Wickham.                 Whom did Lydia marry?                 Wickham
  said      "It is a trap," said Filby.                        Who said "It is a trap"?              Filby
  kin       Laertes, the son of Polonius, ...                  Whose son is Laertes?                 Polonius
  where     Ramona was born in Los Angeles.                    Where was Ramona born?                Los Angeles
            Dantes returned to Marseilles.             Where did Dantes return to?           Marseilles
  when      Napoleon entered Moscow in 1812.                   When was it that Napoleon entered ... 1812
"""

from __future__ import annotations

import re
from dataclasses import dataclass

TITLES = (
    "Mr|Mrs|Ms|Miss|Dr|Doctor|Captain|Colonel|Major|General|Lieutenant|Sergeant|Admiral|Sir|Lord|Lady|Madame|Madam|Mademoiselle|"
    "Monsieur|Professor|Father|Mother|Sister|Brother|Uncle|Aunt|King|Queen|Prince|Princess|Count|Countess|Duke|Duchess|Baron|"
    "Baroness|Bishop|Judge|Don|Dona|Dame|Senor|Senora|Cousin|Saint|St|Inspector|President|Squire"
)
WORD = r"[A-Z][a-z]+(?:'[A-Z]?[a-z]+)?(?:-[A-Z]?[a-z]+)?"
NAME = rf"(?:(?:{TITLES})\.? )?{WORD}(?: (?:de |von |van |du |la |le )?{WORD}){{0,2}}"
KIN = "son|daughter|brother|sister|wife|widow|husband|father|mother|nephew|niece|cousin|uncle|aunt|grandson|granddaughter"
SAID = (
    "said|cried|asked|replied|answered|exclaimed|whispered|shouted|remarked|observed|returned|muttered|murmured|added|continued|"
    "began|called|interrupted|repeated|inquired|growled|declared|suggested|demanded|laughed|sighed|retorted|rejoined"
)
# A speaker: a name, or what the book calls a person ("the Time Traveller", "the old man").
SPEAKER = rf"(?:{NAME}|[Tt]he (?:[A-Za-z]+ ){{0,2}}?[A-Za-z]+)"

# Words that begin sentences or lines with a capital and are no names.
NOT_NAMES = set(
    "The A An And But Or Nor For So Yet If Then When While Where Why How What Who Whom Whose Which This That These Those There Here "
    "He She It We They You I His Her Its Our Their Your My Mine Him Them Me Us One Two Three Four Five Six Seven Eight Nine Ten "
    "In On At By To From With Without Of Off Up Down Over Under After Before As Because Since Until Till Though Although Not No Yes "
    "Oh Ah Well Now Nay Ay Aye Alas Indeed Perhaps Never Ever Always Sometimes Once Again Still Even Only Just All Some Any Many Most "
    "Much More Each Every Both Either Neither Such Another Other Others Do Does Did Is Are Was Were Be Been Am Have Has Had Can Could "
    "Will Would Shall Should May Might Must Let Come Go Look See Say Tell Think Know Thus Hence However Moreover Meanwhile Presently "
    "Suddenly Therefore Besides Chapter Book Part Volume Section Scene Act Chap Figure Table Unit Introduction Preface Contents Note "
    "God Lord Heaven Sir Madam Mr Mrs Miss Dr Dear Good Great Poor Old Young Little First Second Third Last Next Like Upon Among "
    "Between Through During Against About Above Below Into Out Nothing Everything Something Anything Everybody Somebody Nobody "
    "Monday Tuesday Wednesday Thursday Friday Saturday Sunday January February March April May June July August September October "
    "November December English French German American Christian Spanish Italian Roman Greek Latin European Indian "
    "Later Earlier Afterwards Today Yesterday Tomorrow Why Hush Pray Thank Thanks Very Quite Rather Too Also Soon Hullo Hello Hallo Bravo Farewell Stop Wait Listen Give Take Make".split()
)
NO_ANSWER_WORDS = set("man one same other first last way moment time day night morning world thing latter former rest whole more most "
                      "less better worse only very next fact truth result matter".split())


@dataclass(frozen=True)
class Mined:
    kind: str
    question: str
    answer: str
    offset: int  # character offset of the sentence's end in the normalised text: what must have been read


def _name(raw: str) -> str:
    """Without the capitalised words before it that only begin the sentence: "Later Ramona" -> "Ramona"."""
    words = raw.split()
    while len(words) > 1 and words[0] in NOT_NAMES and not re.fullmatch(TITLES, words[0].rstrip(".")):
        words.pop(0)
    return " ".join(words)


def _is_name(name: str) -> bool:
    words = [w for w in name.replace(".", "").split() if not re.fullmatch(TITLES, w)]
    return bool(words) and all(w not in NOT_NAMES for w in words)


_APPOSITION = re.compile(rf"(?<![\w'])({NAME}), ((?:the|a|an) [a-z][A-Za-z' -]{{2,60}})(?=[,.;])")
# Quoted speech ends in a comma, ! or ? before its attribution; British books quote with single marks.
_DOUBLE = r'"([^"\n]{10,400}?)[,!?]"'
_SINGLE = r"(?<![\w'])'((?:(?!' )[^\"\n]){10,400}?)[,!?]'"
_QUOTE = rf"(?:{_DOUBLE}|{_SINGLE})"
_SPEECH_AFTER = re.compile(rf'{_QUOTE} ({SAID}) ({SPEAKER})(?=[,.;:]| (?:in|with|to|as|at|and|from|after|again|quietly|softly|gravely|slowly)\b)')
_SPEECH_BEFORE_VERB = re.compile(rf'{_QUOTE} ({SPEAKER}) ({SAID})(?=[,.;:]| )')
_KIN_OF = re.compile(rf"(?<![\w'])({NAME}), (?:the )?(?:only |eldest |youngest |second |elder |younger )?({KIN}) of ({NAME})(?=[,.;])")
_KIN_POSSESSIVE = re.compile(rf"(?<![\w'])({NAME})'s? (?:only |eldest |youngest |second |elder |younger )?({KIN}),? ({NAME})(?=[,.;])")
_WHERE = re.compile(rf"(?<![\w'])({NAME}) (lived|was born|died|dwelt|settled|arrived|landed|stayed) (?:in|at|near) ({NAME})(?=[,.;]| )")
_VERB = "was|were|became|took|began|won|went|came|left|built|wrote|made|died|fell|rose|held|gave|met|led|had|married|[a-z]+ed"
_WHEN = re.compile(rf"(?<![\w'])((?:[Tt]he )?{NAME}) ((?:{_VERB})\b[^.,;:\"()\n]{{3,70}}?) in (1[0-9]{{3}})(?=[,.;]| )")
# What stands between the commas is an apposition only if it has no finite verb of its own.
_FINITE = re.compile(r"\b(?:was|were|is|are|am|had|has|have|did|do|does|could|would|should|shall|will|may|might|must|can|came|went|took|"
                     r"made|gave|began|became|stood|sat|lay|saw|said|says|felt|found|seemed|looked|turned|appeared|sent|ran|fell|rose|[a-z]+ing)\b")
_COPULA = re.compile(rf"(?<![\w'])({NAME}) (?:was|is) ((?:a|an|the) [a-z][A-Za-z' -]{{2,60}})(?=[,.;])")
_CALLED = re.compile(rf"\b((?:a|an|the) (?:[a-z]+ ){{0,3}}[a-z]+),? (?:called|named|by the name of|whose name was) ({NAME})(?=[,.;]| )")
_WED = re.compile(rf"(?<![\w'])({NAME}) (?:had |has )?(?:married|wedded) ({NAME})(?=[,.;]| )")
_INFINITIVE = {"went": "go", "came": "come", "returned": "return", "travelled": "travel", "traveled": "travel", "sailed": "sail",
               "journeyed": "journey", "hastened": "hasten", "fled": "flee", "rode": "ride", "drove": "drive", "walked": "walk", "moved": "move"}
_TO = re.compile(rf"(?<![\w'])({NAME}) (?:had |has )?({'|'.join(_INFINITIVE)}) (?:back |down |up |over |on )?to ({NAME})(?=[,.;]| )")
_WHERE_QUESTION = {
    "lived": "Where did {} live?", "was born": "Where was {} born?", "died": "Where did {} die?", "dwelt": "Where did {} dwell?",
    "settled": "Where did {} settle?", "arrived": "Where did {} arrive?", "landed": "Where did {} land?", "stayed": "Where did {} stay?",
}


_CUT_SHORT = set(TITLES.split("|")) | set("of in at to for with from by and or the a an his her their my your our very than as that".split())
_ADJECTIVE = re.compile(r".+(?:ic|ous|ful|al|ive|less|able|ish|ent|ant)$|(?:second|third|fourth|fifth|only|eldest|youngest|elder|younger|"
                        r"big|tall|small|little|old|young|handsome|great|good|fat|thin|rich|poor|dark|pale|fair|strong|stout|lean|brave|clever)$")
_PRONOUN = re.compile(r"\b(?:he|she|they|it|I|we|you|who|which|him|them)\b")


def _describes(what: str) -> bool:
    """Whether "a ..." can stand as the answer to who somebody is: no clause, no adjective without its noun."""
    words = what.split()
    return (2 <= len(words) <= 8 and words[1] not in NO_ANSWER_WORDS and words[-1] not in _CUT_SHORT and not _FINITE.search(what)
            and not _PRONOUN.search(what) and not (len(words) == 2 and _ADJECTIVE.match(words[1])))


SAID = 'Who said "{}"?'


def quote_of(question: str) -> str:
    """The line that a question of kind "said" asks about."""
    before, after = SAID.split("{}")
    return question.removeprefix(before).removesuffix(after)


def _shorten(quote: str, words: int = 12) -> str:
    parts = quote.split()
    return " ".join(parts) if len(parts) <= words else " ".join(parts[:words]) + "..."


def _speaker(raw: str) -> str | None:
    raw = raw.strip()
    if raw[:4].lower() == "the ":
        rest = raw[4:].split()
        # "said the other", "said the same": nobody can be named by these
        if not rest or rest[-1].lower() in NO_ANSWER_WORDS - {"man"} or any(w in ("and", "of", "with", "in") for w in rest):
            return None
        return "the " + " ".join(rest)
    return raw if _is_name(raw) else None


def mine(text: str) -> list[Mined]:
    """All questions that the rules find, in the order of the text; a question with two different answers is dropped."""
    found: list[Mined] = []
    known = {word for _, name, _ in names(text) for word in name.split()}  # capitalised inside sentences too: really names
    add = lambda kind, question, answer, end: found.append(Mined(kind, question, answer.strip(), end))

    for rule, speaker in ((_SPEECH_AFTER, 4), (_SPEECH_BEFORE_VERB, 3)):
        for m in rule.finditer(text):
            who, quote = _speaker(m.group(speaker)), m.group(1) or m.group(2)
            if who and len(quote.split()) >= 3:
                add("said", SAID.format(_shorten(quote)), who, m.end())
    people = {q.answer for q in found if q.kind == "said"}  # who speaks is a person
    is_person = lambda name: name in people or bool(re.match(rf"(?:{TITLES})\.? ", name))
    for m in _APPOSITION.finditer(text):
        name, what = _name(m.group(1)), m.group(2)
        if is_person(name) and _describes(what) and not text[max(0, m.start() - 2):m.start()].endswith(", "):
            if not re.search(rf"\b({KIN}) of [A-Z]", what) and name.split()[-1] in known:
                add("who", f"Who is {name}?", what, m.end())
    for m in _COPULA.finditer(text):
        name, what = _name(m.group(1)), m.group(2)
        if is_person(name) and _describes(what) and len(what.split()) >= 3:
            add("who", f"Who is {name}?", what, m.end())
    for m in _CALLED.finditer(text):
        what, name = m.group(1), m.group(2)
        if _is_name(name) and _describes(what) and name.split()[-1] in known:
            add("who", f"Who is {name}?" if is_person(name) else f"Who or what is {name}?", what, m.end())
    for m in _WED.finditer(text):
        if _is_name(_name(m.group(1))) and _is_name(m.group(2)):
            add("wed", f"Whom did {_name(m.group(1))} marry?", m.group(2), m.end())
    for m in _TO.finditer(text):
        if is_person(_name(m.group(1))) and _is_name(m.group(3)):
            add("where", f"Where did {_name(m.group(1))} {_INFINITIVE[m.group(2)]} to?", m.group(3), m.end())
    for m in _KIN_OF.finditer(text):
        if _is_name(_name(m.group(1))) and _is_name(m.group(3)):
            add("kin", f"Whose {m.group(2)} is {_name(m.group(1))}?", m.group(3), m.end())
    for m in _KIN_POSSESSIVE.finditer(text):
        if _is_name(_name(m.group(1))) and _is_name(m.group(3)):
            add("kin", f"Whose {m.group(2)} is {m.group(3)}?", _name(m.group(1)), m.end())
    for m in _WHERE.finditer(text):
        if _is_name(_name(m.group(1))) and _is_name(m.group(3)):
            add("where", _WHERE_QUESTION[m.group(2)].format(_name(m.group(1))), m.group(3), m.end())
    for m in _WHEN.finditer(text):
        if _is_name(re.sub("^[Tt]he ", "", m.group(1))):
            subject = m.group(1)[0].lower() + m.group(1)[1:] if m.group(1).startswith("The ") else m.group(1)
            add("when", f"When was it that {subject} {m.group(2)}?", m.group(3), m.end())

    found.sort(key=lambda q: q.offset)
    answers: dict[str, set[str]] = {}
    for q in found:
        answers.setdefault(q.question, set()).add(q.answer)
    seen: set[str] = set()
    unique = []
    for q in found:
        if len(answers[q.question]) == 1 and q.question not in seen:
            seen.add(q.question)
            unique.append(q)
    return unique


_NAME_IN_SENTENCE = re.compile(rf"(?<=[a-z,;] )((?:(?:{TITLES})\.? )?{WORD}(?: {WORD})?)")
_PLACE_BEFORE = re.compile(r"\b(?:in|at|to|from|near|towards?|of) $")


def names(text: str) -> list[tuple[int, str, bool]]:
    """Names inside sentences: (offset, name, whether a preposition of place stands before it)."""
    out = []
    for m in _NAME_IN_SENTENCE.finditer(text):
        name = m.group(1)
        if _is_name(name):
            out.append((m.end(), name, bool(re.search(r"\b(?:in|at|near|from|to) $", text[max(0, m.start() - 6):m.start()]))))
    return out
