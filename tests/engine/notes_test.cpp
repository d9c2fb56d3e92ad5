// The memory at places inside a book: noted while it is read, and what lies between two of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/book_memory.h"
#include "engine/errors.h"
#include "engine/segment_cutter.h"
#include "engine/transformer.h"
#include "tests/engine/generator_fixture.h"
#include "tests/engine/sentence.h"

namespace palimpsest::engine {
namespace {

using testing::HasSubstr;

class NotesTest : public testing::Test {
 protected:
  static std::shared_ptr<const Model> withSections(int sections, Precision precision = Precision::Float32,
                                                   const char* rule = "linear") {
    const ChangedModel changed("config.json", [&](Json& config) {
      config["infini_attention"]["sections"] = sections;
      config["infini_attention"]["memory_update"] = rule;
    });
    return load(changed.path(), precision);
  }
  // Ends of paragraphs, among them two in one segment and one shortly before the end.
  static std::vector<std::int64_t> paragraphEnds(std::string_view text) {
    std::vector<std::int64_t> all;
    for (std::size_t end = text.find("\n\n"); end != std::string_view::npos; end = text.find("\n\n", end + 2))
      all.push_back(static_cast<std::int64_t>(end));
    return {all[0], all[1], all[7], all[30], all[50], all[all.size() - 2]};
  }
  static BookMemory readWith(const std::shared_ptr<const Model>& model, std::string_view text,
                             std::vector<std::int64_t> places) {
    BookMemory book(model);
    book.noteAt(std::move(places));
    return readToItsEnd(model, std::move(book), text);
  }
  static BookMemory readToItsEnd(const std::shared_ptr<const Model>& model, BookMemory book, std::string_view text) {
    Generator generator(model);
    while (!book.reading().complete) book.advance(generator, text);
    return book;
  }
  BookMemory readNotingBetween(const std::shared_ptr<const Model>& model) const {
    BookMemory book(model);
    book.noteBetween(places_);
    return readToItsEnd(model, std::move(book), text_);
  }
  static std::vector<std::vector<std::byte>> blobsOf(const SavedBook& saved) {
    std::vector<std::vector<std::byte>> blobs{saved.whole};
    for (const SavedPart& section : saved.sections) blobs.push_back(*section.snapshot);
    return blobs;
  }
  static double difference(std::span<const float> a, std::span<const float> b) { return relativeError(a, b); }

  const std::string text_ = bookText(9000);
  const std::vector<std::int64_t> places_ = paragraphEnds(text_);
};

TEST_F(NotesTest, WhatIsNotedLeavesTheBitsOfTheReadingAsTheyAre) {
  for (const Precision precision : {Precision::Float32, Precision::BFloat16}) {
    if (precision == Precision::BFloat16 && !cpuMultipliesBFloat16()) continue;
    const auto model = withSections(3, precision);
    BookMemory noted = readWith(model, text_, places_);
    EXPECT_EQ(blobsOf(noted.save()), blobsOf(readWith(model, text_, {}).save()));
    const auto notes = noted.takeNotes();
    ASSERT_EQ(notes.size(), places_.size());
    for (std::size_t i = 0; i < notes.size(); ++i) EXPECT_EQ(notes[i].position, places_[i]);
    EXPECT_TRUE(noted.takeNotes().empty()) << "each is told once";
  }
}

TEST_F(NotesTest, ANoteHoldsTheSegmentsBeforeThePlaceAndTheBeginningOfItsOwn) {
  const auto model = withSections(1);
  const auto notes = readWith(model, text_, places_).takeNotes();
  SegmentCutter cutter(model->tokenizer(), model->config().infiniAttention->segmentLength);
  const auto workspace = model->transformer().makeWorkspace();
  for (const SavedPart& note : notes) {
    CompressiveMemory expected = model->emptyMemory();
    for (std::int64_t at = 0; at < note.position;) {
      Segment segment = *cutter.next(text_, at);
      at = segment.end;
      if (segment.end > note.position)
        segment.tokens = model->tokenizer().encode(std::string_view(text_).substr(
            static_cast<std::size_t>(segment.begin), static_cast<std::size_t>(note.position - segment.begin)));
      model->transformer().read(*workspace, std::span(&segment.tokens, 1), expected, {});
    }
    const MemorySnapshot snapshot = loadSnapshot(*model, *note.snapshot);
    EXPECT_EQ(snapshot.memory.tokens(), expected.tokens());
    EXPECT_EQ(note.tokens, expected.tokens());
    EXPECT_FALSE(snapshot.reading.complete);
    EXPECT_LT(difference(snapshot.memory.values(), expected.values()), 1e-5) << "byte " << note.position;
  }
}

TEST_F(NotesTest, WhatFollowsAPlaceHasNoPartInItsNote) {
  const auto model = withSections(1);
  const auto place = static_cast<std::size_t>(places_[3]);
  const std::string other = text_.substr(0, place) + "\n\n" + bookText(3000, 99);
  const auto note = loadSnapshot(*model, *readWith(model, text_, {places_[3]}).takeNotes().at(0).snapshot);
  const auto sameText = loadSnapshot(*model, *readWith(model, other, {places_[3]}).takeNotes().at(0).snapshot);
  EXPECT_EQ(note.memory.tokens(), sameText.memory.tokens());
  EXPECT_LT(difference(note.memory.values(), sameText.memory.values()), 1e-5);
}

TEST_F(NotesTest, InterruptedBetweenThePassesTheNotesAreTheSameToTheBit) {
  for (const Precision precision : {Precision::Float32, Precision::BFloat16}) {
    if (precision == Precision::BFloat16 && !cpuMultipliesBFloat16()) continue;
    const auto model = withSections(3, precision);
    const auto expected = readWith(model, text_, places_).takeNotes();
    std::vector<SavedPart> notes;
    SavedBook saved = BookMemory(model).save();
    for (bool complete = false; !complete;) {  // each pass as if by a new process
      Generator generator(model);
      BookMemory book = BookMemory::load(model, saved.whole, saved.sections);
      book.noteAt(places_);
      book.advance(generator, text_);
      complete = book.reading().complete;
      saved = book.save();
      for (SavedPart& note : book.takeNotes()) notes.push_back(std::move(note));
    }
    ASSERT_EQ(notes.size(), expected.size());
    for (std::size_t i = 0; i < notes.size(); ++i) EXPECT_EQ(*notes[i].snapshot, *expected[i].snapshot) << i;
  }
}

TEST_F(NotesTest, ANoteDoesNotDependOnTheOtherPlaces) {
  const auto model = withSections(3);
  const auto all = readWith(model, text_, places_).takeNotes();
  for (const std::size_t i : {0U, 1U, 4U})
    EXPECT_EQ(*readWith(model, text_, {places_[i]}).takeNotes().at(0).snapshot, *all[i].snapshot);
}

TEST_F(NotesTest, APartAndTheRestAddUpToTheWhole) {
  const auto model = withSections(3);
  BookMemory book = readWith(model, text_, places_);
  const auto notes = book.takeNotes();
  const SavedBook saved = book.save();
  const MemorySnapshot begin = loadSnapshot(*model, *notes[1].snapshot);
  const BookMemory upTo = BookMemory::load(model, *notes[4].snapshot);
  const BookMemory part = upTo.since(begin);
  const BookMemory rest = book.since(upTo.snapshot());
  EXPECT_EQ(part.whole().tokens(), upTo.whole().tokens() - begin.memory.tokens());
  std::vector<float> sum = copyOf(begin.memory.values());
  for (const BookMemory* piece : {&part, &rest})
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += piece->whole().values()[i];
  EXPECT_LT(difference(sum, book.whole().values()), 1e-6);
}

TEST_F(NotesTest, APartIsInTheSectionsAfterItsBeginAndInOneOfAllOfIt) {
  const auto model = withSections(4);
  BookMemory book = readWith(model, text_, places_);
  const SavedBook saved = book.save();
  const auto notes = book.takeNotes();
  const MemorySnapshot begin = loadSnapshot(*model, *notes[0].snapshot);
  const BookMemory rest = book.since(begin);
  const auto sections = rest.sections();
  ASSERT_EQ(sections.size(), 4U);
  for (std::size_t i = 0; i < 3; ++i)
    EXPECT_EQ(copyOf(sections[i]->values()), copyOf(book.sections()[i + 1]->values()));
  // The place lies in a section: what it leaves out is in the part as a whole, exact but for its own rounding.
  EXPECT_EQ(sections[3]->tokens(), book.whole().tokens() - begin.memory.tokens());
  EXPECT_EQ(copyOf(sections[3]->values()), copyOf(SectionMemory(rest.whole()).opened().values()));
  // In fewer, it stays by itself, and the others are joined.
  const auto fewer = rest.fewerSections(2);
  ASSERT_EQ(fewer.size(), 2U);
  EXPECT_EQ(fewer[0].tokens(), sections[0]->tokens() + sections[1]->tokens() + sections[2]->tokens());
  EXPECT_EQ(copyOf(fewer[1].values()), copyOf(sections[3]->values()));
}

TEST_F(NotesTest, BetweenThePlacesIsNotedWhatWasWrittenThere) {
  for (const int sections : {1, 3}) {
    const auto model = withSections(sections);
    BookMemory exact = readWith(model, text_, places_);
    const auto notes = exact.takeNotes();
    BookMemory book = readNotingBetween(model);
    EXPECT_EQ(blobsOf(book.save()), blobsOf(exact.save()));
    const auto pieces = book.takeNotes();
    ASSERT_EQ(pieces.size(), places_.size() + 1) << "and one for the rest of the text";
    EXPECT_TRUE(book.lastNote().empty()) << "all has been read";
    for (std::size_t i = 0; i < places_.size(); ++i) {
      EXPECT_EQ(pieces[i].position, places_[i]);
      ASSERT_TRUE(isSection(*pieces[i].snapshot));
      EXPECT_LT(pieces[i].snapshot->size(), notes[i].snapshot->size());
      const auto piece = std::get<SectionSnapshot>(loadPart(*model, *pieces[i].snapshot));
      const CompressiveMemory end = loadSnapshot(*model, *notes[i].snapshot).memory;
      const SectionMemory expected =
          i == 0 ? SectionMemory(end) : SectionMemory(end, loadSnapshot(*model, *notes[i - 1].snapshot).memory);
      EXPECT_EQ(copyOf(piece.memory.opened().values()), copyOf(expected.opened().values())) << i;
    }
    // Two pieces are the difference of two notes, rounded.
    const BookMemory part = BookMemory::ofNotes(model, std::span(pieces).subspan(2, 2), places_[1]);
    const MemorySnapshot begin = loadSnapshot(*model, *notes[1].snapshot);
    const BookMemory difference = BookMemory::load(model, *notes[3].snapshot).since(begin);
    EXPECT_EQ(part.whole().tokens(), difference.whole().tokens());
    EXPECT_LT(NotesTest::difference(part.whole().values(), difference.whole().values()), 0.1)
        << "as far as four bits go";
    EXPECT_EQ(part.sections().size(), sections == 1 ? 1U : 2U);
    // All of them are the whole.
    const BookMemory all = BookMemory::ofNotes(model, pieces, 0);
    EXPECT_EQ(all.whole().tokens(), exact.whole().tokens());
    EXPECT_LT(NotesTest::difference(all.whole().values(), exact.whole().values()), 0.1);
    EXPECT_LE(all.sections().size(), static_cast<std::size_t>(sections));
  }
}

TEST_F(NotesTest, InterruptedWhatIsNotedBetweenThePlacesIsTheSameToTheBit) {
  const auto model = withSections(3);
  const auto expected = readNotingBetween(model).takeNotes();
  std::vector<SavedPart> notes;
  std::vector<std::byte> last;
  SavedBook saved = BookMemory(model).save();
  for (bool complete = false; !complete;) {  // each pass as if by a new process
    Generator generator(model);
    BookMemory book = BookMemory::load(model, saved.whole, saved.sections);
    book.noteBetween(places_, last);
    book.advance(generator, text_);
    complete = book.reading().complete;
    saved = book.save();
    for (SavedPart& note : book.takeNotes()) notes.push_back(std::move(note));
    last = book.lastNote();
  }
  ASSERT_EQ(notes.size(), expected.size());
  for (std::size_t i = 0; i < notes.size(); ++i) EXPECT_EQ(*notes[i].snapshot, *expected[i].snapshot) << i;
}

TEST_F(NotesTest, PiecesThatDoNotFollowEachOtherAreRefused) {
  const auto model = withSections(3);
  const auto pieces = readNotingBetween(model).takeNotes();
  const std::vector<SavedPart> gap = {pieces[0], pieces[2]};
  EXPECT_THROW(BookMemory::ofNotes(model, gap, 0), SnapshotError);
  EXPECT_THROW(BookMemory::ofNotes(model, std::span(pieces).first(1), 5), SnapshotError);
  const auto exact = readWith(model, text_, places_).takeNotes();
  EXPECT_FALSE(isSection(*exact[0].snapshot));
  EXPECT_THROW(BookMemory::ofNotes(model, std::span(exact).first(1), 0), SnapshotError);
  BookMemory early(model);
  EXPECT_THROW(early.noteBetween(places_, *exact[3].snapshot), SnapshotError) << "it has not read so far";
}

TEST_F(NotesTest, AStoppedPassNotesNothing) {
  const auto model = withSections(1);
  Generator generator(model);
  BookMemory book(model);
  book.noteAt(places_);
  std::stop_source source;
  source.request_stop();
  EXPECT_THROW(book.advance(generator, text_, source.get_token()), Stopped);
  EXPECT_TRUE(book.takeNotes().empty());
}

TEST_F(NotesTest, AnotherRuleIsNotedAndItsDifferencesAreRefused) {
  const auto model = withSections(1, Precision::Float32, "delta");
  BookMemory book = readWith(model, text_, places_);
  EXPECT_EQ(blobsOf(book.save()), blobsOf(readWith(model, text_, {}).save()));
  const MemorySnapshot begin = loadSnapshot(*model, *book.takeNotes()[1].snapshot);
  try {
    book.since(begin);
    ADD_FAILURE() << "was subtracted";
  } catch (const ModelError& error) {
    EXPECT_THAT(expectSentence(error.what()), HasSubstr("delta rule"));
  }
}

}  // namespace
}  // namespace palimpsest::engine
