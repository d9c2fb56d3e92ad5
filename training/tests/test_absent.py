"""What training asks though the text does not say it: of whom, in which words, and that it is true."""

import random
from collections import Counter

from palimpsest_training import absent
from palimpsest_training.batches import BatchMaker
from palimpsest_training.facts import FAMILIES, UNKNOWN, draw_facts
from palimpsest_training.question_forms import MORE_QUESTIONS
from palimpsest_training.stages import STAGES

FAMILY = {f.name: f for f in FAMILIES}


def texts(count: int, facts: int = 10, asked: int = 4):
    return [absent.draw_training_facts(random.Random(seed), facts, asked) for seed in range(count)]


def test_most_absent_questions_are_about_somebody_known_and_none_is_answered():
    share = Counter()
    for told, unknown in texts(400):
        assert len(told) == 10 and len(unknown) == 4
        known = {f.about for f in told}
        assert not known & {f.about for f in unknown} and len({f.about for f in unknown}) == 4
        for f in unknown:
            assert f.answer == UNKNOWN and f.about[1] in f.question
            families = {family for family, subject in known if subject == f.about[1]}
            share["near" if any(x in absent._NEAR[f.about[0]] for x in families) else "known" if families else "stranger"] += 1
    total = sum(share.values())
    assert share["near"] / total > 0.4 and share["known"] / total > 0.15 and share["stranger"] / total > 0.15


def test_some_texts_tell_of_few_things_of_many_people():
    families = [Counter(f.about[0] for f in told) for told, _ in texts(400, facts=30)]
    few = [counts for counts in families if len(counts) <= 3]
    assert 0.11 < len(few) / len(families) < 0.2 and {len(counts) for counts in few} == {1, 2, 3}
    assert all(len(counts) > 8 for counts in families if counts not in few)


def test_known_subjects_are_asked_in_every_wording_as_often_as_where_there_is_an_answer():
    told_forms, absent_forms = Counter(), Counter()

    def form(fact):
        family = FAMILY[fact.about[0]]
        for wording in (*family.questions, *MORE_QUESTIONS[family.name]):
            before, _, after = wording.partition("{s}")
            if "{k}" in wording:
                return None  # of a pet: asked with its kind
            if fact.question == before + fact.about[1] + after:
                return family.name, wording
        raise AssertionError(fact)

    for told, unknown in texts(3000):
        subjects = {f.about[1] for f in told}
        told_forms.update(form(f) for f in told)
        absent_forms.update(form(f) for f in unknown if f.about[1] in subjects)
    every = {(f.name, q) for f in FAMILIES if f.name != "pet" for q in (*f.questions, *MORE_QUESTIONS[f.name])}
    assert set(absent_forms) - {None} == every == set(told_forms) - {None}
    short = lambda forms: sum(n for x, n in forms.items() if x and x[1] in FAMILY[x[0]].questions) / sum(n for x, n in forms.items() if x)
    assert abs(short(told_forms) - short(absent_forms)) < 0.02  # a wording does not tell whether there is an answer
    families = lambda forms: Counter(name for x, n in forms.items() if x for name in [x[0]] * n)
    told, unknown = families(told_forms), families(absent_forms)
    assert all(0.5 < (unknown[f] / unknown.total()) / (told[f] / told.total()) < 2 for f in told)  # nor does what is asked for


def test_documents_of_a_batch_tell_different_things_of_the_same_people():
    rng, met, told, unknown = random.Random(3), absent.Acquaintances(), [], []
    for _ in range(20):
        facts, asked = absent.draw_training_facts(rng, 12, 3, bare_objects=False, met=met)
        told.append({f.about for f in facts})
        unknown.append({f.about for f in asked})
    every = [about for facts in told for about in facts]
    assert len(set(every)) == len(every)  # no subject has an attribute in two of them
    for i, asked in enumerate(unknown):  # nor what one of them is asked for in vain: they may be read as one
        assert not asked & set(every) and not any(asked & other for other in unknown[:i])
    subjects = [{s for _, s in facts} for facts in told]
    shared = sum(bool(s & set().union(*subjects[:i])) for i, s in enumerate(subjects))
    assert shared > 15


def test_another_texts_silver_key_is_another_one():
    met = absent.Acquaintances()
    met.note("hiding", "silver key")
    assert not met.taken
    met.note("hiding", "silver key of Mr. Brent")
    assert met.free("object") == [("owner", "silver key of Mr. Brent")] and not met.free("person")
    for i in range(100):
        met.note("room", f"Mr. Brent {i}")
    assert len(met.taken) == met.most and ("person", "Mr. Brent 99") in met.taken


def test_other_documents_questions_ask_for_known_names_too(plain_books):
    maker = BatchMaker(plain_books, seed=4)
    met, documents = absent.Acquaintances(), []
    for _ in range(8):
        documents.append(maker.document(STAGES["8k"], met))
    known = asked = 0
    for i, (_, own, told) in enumerate(documents):
        answers = {q.about for q in own if q.elsewhere} | told
        others = [q for k, d in enumerate(documents) if k != i for q in d[1]]
        by_prompt = {tuple(q.prompt): q for q in others}
        chosen = maker.strangers(10, own, told, [d[1] for k, d in enumerate(documents) if k != i])
        assert len(chosen) <= 10 and not {tuple(q.prompt) for q in chosen} & {tuple(q.prompt) for q in own}
        subjects = {a[1] for a in answers if isinstance(a, tuple)}
        for q in chosen:
            assert plain_books.tokenizer.decode(q.answer).strip().startswith(UNKNOWN[:8])
            about = by_prompt[tuple(q.prompt)].about
            assert about not in answers  # in whatever words
            known += isinstance(about, tuple) and about[1] in subjects
            asked += 1
    assert asked > 40 and known > asked / 4


def test_what_is_known_least_is_told_more_often_in_training_and_as_often_as_all_else_in_the_evaluation():
    assert set(absent.OFTENER) <= set(FAMILY)
    told = Counter(f.family for facts, _ in texts(600) for f in facts)
    evaluated = Counter(f.family for seed in range(600) for f in draw_facts(random.Random(seed), 10, evaluation=True)[0])
    mean = lambda drawn: sum(drawn[f] for f in FAMILY if f not in absent.OFTENER) / (len(FAMILY) - len(absent.OFTENER))
    for family, oftener in absent.OFTENER.items():
        assert abs(told[family] / mean(told) - oftener) < 0.3
        assert abs(evaluated[family] / mean(evaluated) - 1) < 0.25
