#include "engine/book_card.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace palimpsest::engine {
namespace {

using testing::ElementsAre;
using testing::Optional;

TEST(BookCard, ALongerTextTakesMoreCards) {
  EXPECT_EQ(cardsFor(0), 1U);
  EXPECT_EQ(cardsFor(8191), 1U);
  EXPECT_EQ(cardsFor(8192), 2U);
  EXPECT_EQ(cardsFor(131072), 32U);
  EXPECT_EQ(cardsFor(std::int64_t{1} << 40), 32U);
}

TEST(BookCard, IsReadLineByLine) {
  EXPECT_THAT(parseCard("People: Mr. Clennam, Affery.\nPlaces: none.\n\nKeywords: prison, debt."),
              Optional(ElementsAre(CardLine{"People", {"Mr. Clennam", "Affery"}}, CardLine{"Places", {}},
                                   CardLine{"Keywords", {"prison", "debt"}})));
  EXPECT_THAT(parseCard("Keywords: lord, : lord."), Optional(ElementsAre(CardLine{"Keywords", {"lord", "lord"}})));
  EXPECT_THAT(parseCard("People:\nPlaces: Genoa:"),
              Optional(ElementsAre(CardLine{"People", {}}, CardLine{"Places", {"Genoa"}})));
  EXPECT_THAT(parseCard("People: Weena, Weena"), Optional(ElementsAre(CardLine{"People", {"Weena", "Weena"}})));
}

TEST(BookCard, ProseIsNone) {
  EXPECT_EQ(parseCard(""), std::nullopt);
  EXPECT_EQ(parseCard("\n \n"), std::nullopt);
  EXPECT_EQ(parseCard("It is the story of a man who travels in time."), std::nullopt);
  EXPECT_EQ(parseCard("He said this: go."), std::nullopt) << "no label has blanks";
  EXPECT_EQ(parseCard("People: Weena.\nAnd so on."), std::nullopt);
  EXPECT_EQ(parseCard(": Weena."), std::nullopt);
}

TEST(BookCard, OfSectionsListsWhatMostOfThemNameAndThenWhatTheyNameSooner) {
  const std::vector<std::string> cards = {
      "People: Deronda, Deronda, Mirah.\nPlaces: Genoa.",
      "People: Gwendolen, Deronda, Hans.\nPlaces: none.",
      "People: Mirah, Gwendolen, Deronda.\nPlaces: none.",
  };
  // Deronda 3; Gwendolen 2 (1 + 1/2), Mirah 2 (1/3 + 1); Hans once, and the longest list has three
  EXPECT_EQ(mergeCards(cards), "People: Deronda, Gwendolen, Mirah.\nPlaces: Genoa.");
}

TEST(BookCard, AnItemStandsUnderTheLabelThatMostSectionsGiveIt) {
  const std::vector<std::string> cards = {
      "People: Filby, Weena, Kew.\nPlaces: Weena, London, Kew.",
      "People: Filby, Weena.\nPlaces: Weena.",
      "People: Filby, London.\nPlaces: Weena, London.",
  };
  EXPECT_EQ(mergeCards(cards), "People: Filby, Kew.\nPlaces: Weena, London.") << "Kew: of equals the first";
}

TEST(BookCard, WhatMayNotBeListedMakesRoomForTheNext) {
  const std::vector<std::string> cards = {
      "People: Fillby, Filby.\nKeywords: starld, harvest.",
      "People: Fillby, Weena.\nKeywords: starld, sphinx.",
  };
  const auto spelt = [](const std::string& item) {
    return item != "Fillby" && item != "starld" ? std::optional(1) : std::nullopt;
  };
  EXPECT_EQ(mergeCards(cards), "People: Fillby, Filby.\nKeywords: starld, harvest.");
  EXPECT_EQ(mergeCards(cards, spelt), "People: Filby, Weena.\nKeywords: harvest, sphinx.");
  EXPECT_EQ(mergeCards(cards, [](const std::string&) { return std::nullopt; }), "People: none.\nKeywords: none.");
}

TEST(BookCard, NamesAreListedByHowOftenTheyStandInTheText) {
  const std::vector<std::string> cards = {
      "People: Filby, Weena.\nKeywords: harvest, sphinx.",
      "People: Filby, Élodie.\nKeywords: harvest, match.",
  };
  const std::map<std::string, int> index = {{"Filby", 3},   {"Weena", 40}, {"Élodie", 9},
                                            {"sphinx", 50}, {"match", 0},  {"harvest", 1}};
  EXPECT_EQ(mergeCards(cards, [&](const std::string& item) { return index.at(item); }),
            "People: Weena, Élodie.\nKeywords: harvest, sphinx.")
      << "a keyword is what most sections name";
}

TEST(BookCard, WhatIsNoCardIsLeftOut) {
  const std::vector<std::string> cards = {"Once upon a time there was a book.", "People: Weena.\nPlaces: none."};
  EXPECT_EQ(mergeCards(cards), "People: Weena.\nPlaces: none.");
  EXPECT_EQ(mergeCards(std::span(cards).first(1)), std::nullopt);
  EXPECT_EQ(mergeCards({}), std::nullopt);
}

}  // namespace
}  // namespace palimpsest::engine
