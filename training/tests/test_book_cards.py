"""Cards of sections become one: the same cases as the engine's (tests/engine/book_card_test.cpp)."""

from palimpsest_training.book_cards import cards_for, merge, parse
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
    assert merge(["People: Filby, Weena.\nPlaces: Weena, London.", "People: Filby, Weena.\nPlaces: Weena.",
                  "People: Filby, London.\nPlaces: Weena, London."]) == "People: Filby, Weena.\nPlaces: London."
    assert merge(["Once upon a time."]) is None and merge([]) is None


def test_a_longer_text_takes_more_cards():
    assert [cards_for(n) for n in (0, 8191, 8192, 131072, 10**12)] == [1, 1, 2, 32, 32]
