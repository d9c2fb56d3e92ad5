"""Cards of sections become one: the same cases as the engine's (tests/engine/book_card_test.cpp)."""

from collections import Counter

from palimpsest_training.book_cards import cards_for, faultless, index_of, merge, parse, people_of, recall, stretches
from palimpsest_training.books import book_card


def test_a_card_is_read_line_by_line():
    assert parse(book_card(["Mr. Clennam", "Affery"], [], ["prison"])) == [("People", ["Mr. Clennam", "Affery"]), ("Places", []), ("Keywords", ["prison"])]
    for prose in ("", "\n \n", "It is the story of a man.", "He said this: go.", "People: Weena.\nAnd so on.", ": Weena."):
        assert parse(prose) is None


def test_a_card_of_sections_lists_what_most_of_them_name():
    cards = ["People: Deronda, Deronda, Mirah.\nPlaces: Genoa.", "People: Gwendolen, Deronda, Hans.\nPlaces: none.",
             "People: Mirah, Gwendolen, Deronda.\nPlaces: none."]
    assert merge(cards) == "People: Deronda, Gwendolen, Mirah.\nPlaces: Genoa."
    assert merge(["Once upon a time.", "People: Weena.\nPlaces: none."]) == "People: Weena.\nPlaces: none."
    assert merge(["People: Filby, Weena, Kew.\nPlaces: Weena, London, Kew.", "People: Filby, Weena.\nPlaces: Weena.",
                  "People: Filby, London.\nPlaces: Weena, London."]) == "People: Filby, Kew.\nPlaces: Weena, London."
    assert merge(["Once upon a time."]) is None and merge([]) is None


def test_names_are_listed_by_how_often_they_stand_in_the_text():
    cards = ["People: Filby, Weena, Wee.\nKeywords: harvest, sphinx.", "People: Filby, Élodie.\nKeywords: harvest, match."]
    text = "Filby. Weena, “Weena” Weena’s. “Miss Filby, Mrs. Filby, Filby Filby. Élodie and Élodie. A sphinx, a sphinx, a harvest."
    assert merge(cards, index_of(text)) == "People: Weena, Élodie, Filby.\nKeywords: harvest, sphinx."
    assert merge(cards, index_of("Filby")) == "People: Filby.\nKeywords: none."


def test_a_longer_text_takes_more_cards():
    assert [cards_for(n) for n in (0, 8191, 8192, 131072, 10**12)] == [1, 1, 2, 32, 32]


class Told:
    """Ten people; each hundred tokens name five of them, the first of whom most often."""

    def range(self, rng, size):
        begin = rng.randrange(10)
        return begin, begin + size

    def card(self, begin, end):
        named = Counter()
        for place in range(begin, end, 100):
            for rank in range(5):
                named[f"P{(place // 100 * 7 + rank * rank) % 10}"] += 5 - rank
        return [name for name, _ in named.most_common(5)], [], []


def test_the_card_of_faultless_sections_cards_is_what_the_rule_can_reach():
    books = Told()
    spans = stretches(books, 4000, 6, seed=1)
    assert len(spans) == 6 and all(end - begin == 4000 for begin, end in spans)
    own = [faultless(books, begin, end, 1) for begin, end in spans]  # of one section it is the text's own card
    assert recall(books, spans, own) == [1.0] * 6 and people_of(own[0]) == books.card(*spans[0])[0]
    of_many = recall(books, spans, [faultless(books, begin, end, 20) for begin, end in spans])
    assert 0 < sum(of_many) < 6
    assert recall(books, spans, ["", "People: P99.", *own[2:]])[:3] == [0.0, 0.0, 1.0]
