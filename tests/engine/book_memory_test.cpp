// A book's memory in sections: what is kept while it is read, saved and loaded again.
#include "engine/book_memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "engine/errors.h"
#include "engine/memory_sum.h"
#include "engine/text_passes.h"
#include "engine/transformer.h"
#include "tests/engine/generator_fixture.h"
#include "tests/engine/sentence.h"

namespace palimpsest::engine {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::shared_ptr<const Model> withSections(int sections, Precision precision = Precision::Float32) {
  const ChangedModel changed("config.json", [&](Json& config) { config["infini_attention"]["sections"] = sections; });
  return load(changed.path(), precision);
}

void readWhole(BookMemory& book, Generator& generator, std::string_view text) {
  while (!book.reading().complete) book.advance(generator, text);
}

// All bytes that would be stored.
std::vector<std::vector<std::byte>> blobsOf(const BookMemory& book) {
  const SavedBook saved = book.save();
  std::vector<std::vector<std::byte>> blobs{saved.whole};
  for (const SavedPart& milestone : saved.sections) blobs.push_back(*milestone.snapshot);
  return blobs;
}

class BookMemoryTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    model_ = withSections(3);
    text_ = bookText(9000);
    Generator generator(model_);
    read_ = std::make_unique<BookMemory>(model_);
    readWhole(*read_, generator, text_);
  }
  static void TearDownTestSuite() {
    read_.reset();
    model_.reset();
  }
  template <typename Work>
  static SnapshotError::Reason refusal(Work&& work, std::string* sentence = nullptr) {
    try {
      work();
    } catch (const SnapshotError& error) {
      if (sentence) *sentence = expectSentence(error.what());
      return error.reason();
    }
    ADD_FAILURE() << "was accepted";
    return SnapshotError::Reason::OtherVersion;
  }
  static SnapshotBlob changed(const SnapshotBlob& blob, const std::function<void(std::vector<std::byte>&)>& change) {
    std::vector<std::byte> bytes = *blob;
    change(bytes);
    return std::make_shared<const std::vector<std::byte>>(std::move(bytes));
  }

  static inline std::shared_ptr<const Model> model_;
  static inline std::string text_;
  static inline std::unique_ptr<BookMemory> read_;
};

TEST_F(BookMemoryTest, TheWholeIsWhatReadingWithoutSectionsGives) {
  EXPECT_EQ(read_->ends().size(), 3U);
  EXPECT_EQ(read_->ends().back(), read_->reading().segments);
  const auto plain = load(tinyFolder());
  EXPECT_EQ(plain->fingerprint(), model_->fingerprint()) << "memories that were read before stay good";
  Generator generator(plain);
  CompressiveMemory memory = plain->emptyMemory();
  ReadingPosition reading;
  while (!reading.complete) reading = generator.read(memory, text_, reading);
  EXPECT_EQ(copyOf(read_->whole().values()), copyOf(memory.values()));
  EXPECT_EQ(read_->save().whole, saveSnapshot(*plain, memory, reading));
}

TEST_F(BookMemoryTest, ItsSectionsAddUpToTheWhole) {
  const auto sections = read_->sections();
  ASSERT_EQ(sections.size(), 3U);
  CompressiveMemory sum = model_->emptyMemory();
  for (const CompressiveMemory* section : sections) {
    EXPECT_GT(section->tokens(), 0);
    sum.setTokens(sum.tokens() + section->tokens());
    for (std::size_t i = 0; i < sum.values().size(); ++i) sum.values()[i] += section->values()[i];
  }
  EXPECT_EQ(sum.tokens(), read_->whole().tokens());
  EXPECT_LT(relativeError(sum.values(), read_->whole().values()), 1e-1) << "each is rounded to four bits";
  EXPECT_LT(read_->bytes(), 2 * static_cast<double>(read_->whole().bytes()));
}

// The memory after each portion that can be a section, as reading without sections gives it.
std::vector<MemorySnapshot> memoriesOf(const std::shared_ptr<const Model>& model, std::string_view text) {
  const PassSize& size = model->transformer().passSize();
  SegmentCutter cutter = cutterOf(*model);
  std::vector<std::int64_t> ends;
  for (TextPass pass; !pass.ended;) {
    pass = cutPass(cutter, text, ends.empty() ? 0 : ends.back(), static_cast<std::size_t>(size.sectionSegments));
    if (!pass.ends.empty()) ends.push_back(pass.ends.back());
  }
  Generator generator(model);
  CompressiveMemory memory = model->emptyMemory();
  ReadingPosition reading;
  std::vector<PlaceMemory> noted;
  while (!reading.complete) reading = generator.read(memory, text, reading, ends, noted);
  std::vector<MemorySnapshot> memories;
  memories.push_back({model->emptyMemory(), {}, model->fingerprint(), arithmeticOf(*model)});
  for (PlaceMemory& note : noted)
    memories.push_back({std::move(note.memory), note.reading, model->fingerprint(), arithmeticOf(*model)});
  memories.back().reading = reading;
  return memories;
}

TEST_F(BookMemoryTest, ASectionIsWhatWasWrittenThereToFourBits) {
  const auto model = withSections(256);
  const auto memories = memoriesOf(model, text_);
  ASSERT_GT(memories.size(), 20U);
  Generator generator(model);
  BookMemory book(model);
  readWhole(book, generator, text_);
  const auto sections = book.sections();
  ASSERT_EQ(sections.size(), memories.size() - 1) << "each portion of a pass";
  for (std::size_t i = 0; i < sections.size(); ++i) {
    const CompressiveMemory written = subtractMemories(*model, memories[i + 1], memories[i]);
    EXPECT_EQ(copyOf(sections[i]->values()), copyOf(SectionMemory(written).opened().values()));
    EXPECT_EQ(sections[i]->tokens(), written.tokens());
  }
}

TEST_F(BookMemoryTest, ASectionThatWasJoinedIsWhatItsPortionsWrote) {
  const auto memories = memoriesOf(model_, text_);
  const std::vector<std::int64_t> ends = read_->ends();
  const auto sections = read_->sections();
  const MemorySnapshot* before = &memories.front();
  for (std::size_t i = 0; i < ends.size(); ++i) {
    const auto end = std::ranges::find(memories, ends[i], [](const auto& memory) { return memory.reading.segments; });
    ASSERT_NE(end, memories.end());
    const CompressiveMemory written = subtractMemories(*model_, *end, *before);
    EXPECT_LT(relativeError(sections[i]->values(), written.values()), 2e-1);
    EXPECT_EQ(sections[i]->tokens(), written.tokens());
    before = &*end;
  }
}

TEST_F(BookMemoryTest, ASectionOrTheWholeCanBeTakenOutOfIt) {
  const SavedBook saved = read_->save();
  const auto loaded = [&] { return BookMemory::load(model_, saved.whole, saved.sections); };
  const auto sections = read_->sections();
  for (std::size_t i = 0; i < sections.size(); ++i) {
    const CompressiveMemory taken = loaded().takeSection(i);
    EXPECT_EQ(copyOf(taken.values()), copyOf(sections[i]->values()));
    EXPECT_EQ(taken.tokens(), sections[i]->tokens());
  }
  EXPECT_THROW(loaded().takeSection(3), std::out_of_range);
  const auto whole = copyOf(read_->whole().values());
  EXPECT_EQ(copyOf(BookMemory::load(model_, saved.whole).takeSection(0).values()), whole);
  EXPECT_EQ(copyOf(loaded().takeSnapshot().memory.values()), whole);
}

TEST_F(BookMemoryTest, ASavedSectionSaysWhereItBeginsAndEnds) {
  const SavedBook saved = read_->save();
  ASSERT_EQ(saved.sections.size(), 3U);
  ReadingPosition last;
  for (std::size_t i = 0; i < 3; ++i) {
    const auto part = loadPart(*model_, *saved.sections[i].snapshot);
    const auto& section = std::get<SectionSnapshot>(part);
    EXPECT_EQ(section.begin.position, last.position);
    EXPECT_EQ(section.begin.tokens, last.tokens);
    EXPECT_EQ(section.end.segments, read_->ends()[i]);
    EXPECT_EQ(section.end.position, saved.sections[i].position);
    EXPECT_EQ(section.end.tokens - section.begin.tokens, saved.sections[i].tokens);
    EXPECT_EQ(copyOf(section.memory.opened().values()), copyOf(read_->sections()[i]->values()));
    last = section.end;
  }
  EXPECT_EQ(last.position, read_->reading().position);
  EXPECT_EQ(read_->save().sections[0].snapshot, saved.sections[0].snapshot) << "encoded once, and shared";
}

// As earlier versions kept a book: its memory as it was at the end of each section but the last.
TEST_F(BookMemoryTest, MemoriesOfEarlierPlacesBecomeSections) {
  const auto memories = memoriesOf(model_, text_);
  const std::vector<std::int64_t> ends = read_->ends();
  std::vector<SavedPart> places;
  for (const MemorySnapshot& memory : memories)
    if (std::ranges::count(ends, memory.reading.segments) > 0 && !memory.reading.complete)
      places.push_back(
          {memory.reading.position, memory.reading.tokens,
           std::make_shared<const std::vector<std::byte>>(saveSnapshot(*model_, memory.memory, memory.reading))});
  ASSERT_EQ(places.size(), 2U);
  const SavedBook saved = read_->save();
  const BookMemory old = BookMemory::load(model_, saved.whole, places);
  EXPECT_EQ(old.ends(), ends);
  const auto sections = old.sections();
  const MemorySnapshot* before = &memories.front();  // of nothing
  for (std::size_t i = 0; i < 3; ++i) {
    const auto end = std::ranges::find(memories, ends[i], [](const auto& memory) { return memory.reading.segments; });
    ASSERT_NE(end, memories.end());
    EXPECT_EQ(copyOf(sections[i]->values()),
              copyOf(SectionMemory(subtractMemories(*model_, *end, *before)).opened().values()));
    before = &*end;
  }
  // What is stored from now on.
  const SavedBook again = old.save();
  EXPECT_EQ(blobsOf(BookMemory::load(model_, again.whole, again.sections)), blobsOf(old));
  // The first of them is as far as the first section, and one may be stored in the place of the other.
  std::vector<SavedPart> mixed = again.sections;
  mixed[0] = places[0];
  EXPECT_EQ(blobsOf(BookMemory::load(model_, again.whole, mixed)), blobsOf(old));
}

// A place within a section, as chapters end at: what lies behind the sections before it is one more.
TEST_F(BookMemoryTest, AnEarlierPlaceIsInTheSectionsBeforeItAndOneMore) {
  const auto model = withSections(256);
  const auto memories = memoriesOf(model, text_);
  Generator generator(model);
  BookMemory book(model);
  readWhole(book, generator, text_);
  const SavedBook saved = book.save();
  const MemorySnapshot& place = memories[4];
  const auto blob = saveSnapshot(*model, place.memory, place.reading);
  const auto first = std::span(saved.sections).first(3);
  const auto copyOf = [](const MemorySnapshot& memory) {
    return MemorySnapshot{memory.memory.clone(), memory.reading, memory.fingerprint, memory.arithmetic};
  };
  const BookMemory upTo = BookMemory::load(model, blob, first, copyOf(memories[3]));
  ASSERT_EQ(upTo.sections().size(), 4U);
  EXPECT_EQ(upTo.ends().back(), place.reading.segments);
  EXPECT_LT(relativeError(upTo.sections()[3]->values(),
                          SectionMemory(subtractMemories(*model, place, memories[3])).opened().values()),
            1e-6);
  // With a memory of further back, or none, all since then is that one more.
  const BookMemory fromTwo = BookMemory::load(model, blob, first, copyOf(memories[2]));
  ASSERT_EQ(fromTwo.sections().size(), 4U);
  EXPECT_EQ(fromTwo.sections()[3]->tokens(), place.reading.tokens - memories[2].reading.tokens);
  EXPECT_EQ(BookMemory::load(model, blob, first).sections()[3]->tokens(), place.reading.tokens);
  const BookMemory since = book.since(memories[2]);
  ASSERT_EQ(since.sections().size(), book.sections().size() - 2);
  EXPECT_TRUE(std::ranges::equal(since.sections()[0]->values(), book.sections()[2]->values())) << "nothing left out";
}

TEST_F(BookMemoryTest, SavedAndLoadedBetweenThePassesItEndsWithTheSameBits) {
  std::vector<std::vector<std::byte>> blobs;
  for (const Precision precision : {Precision::Float32, Precision::BFloat16}) {
    if (precision == Precision::BFloat16 && !cpuMultipliesBFloat16()) continue;
    const auto model = withSections(3, precision);
    Generator once(model);
    BookMemory expected(model);
    readWhole(expected, once, text_);
    SavedBook saved = BookMemory(model).save();
    for (bool complete = false; !complete;) {  // each pass as if by a new process
      Generator generator(model);
      BookMemory book = BookMemory::load(model, saved.whole, saved.sections);
      book.advance(generator, text_);
      complete = book.reading().complete;
      saved = book.save();
    }
    EXPECT_EQ(blobsOf(BookMemory::load(model, saved.whole, saved.sections)), blobsOf(expected));
    EXPECT_EQ(saved.sections.size(), 3U);
  }
}

TEST_F(BookMemoryTest, AskedBetweenThePassesItEndsWithTheSameBits) {
  const std::string text = text_ + "\n \n" + std::string(5000, ' ');
  Generator generator(model_);
  BookMemory expected(model_), asked(model_);
  readWhole(expected, generator, text);
  while (!asked.reading().complete) {
    asked.advance(generator, text);
    asked.sections();
  }
  EXPECT_EQ(blobsOf(asked), blobsOf(expected));
}

TEST_F(BookMemoryTest, ALongerBookIsKeptInNoMore) {
  std::vector<std::int64_t> last;
  Generator generator(model_);
  BookMemory book(model_);
  const std::string text = bookText(30000);
  std::size_t most = 0;
  while (!book.reading().complete) {
    book.advance(generator, text);
    most = std::max(most, book.ends().size());
  }
  EXPECT_EQ(most, 3U);
  EXPECT_EQ(book.bytes(), read_->bytes());
}

// Another book in between takes the same device and the same room for its passes.
TEST_F(BookMemoryTest, TwoBooksReadInTurnHaveTheSectionsOfEachByItself) {
  const auto model = withSections(256);
  const std::string other = bookText(5000, 3);
  Generator generator(model);
  BookMemory alone(model), first(model), second(model);
  readWhole(alone, generator, text_);
  while (!first.reading().complete) {
    first.advance(generator, text_);
    if (!second.reading().complete) second.advance(generator, other);
  }
  EXPECT_GT(first.sections().size(), 64U);
  EXPECT_EQ(blobsOf(first), blobsOf(alone));
}

TEST_F(BookMemoryTest, ABookOfOnePortionIsOneSection) {
  Generator generator(model_);
  for (const char* text : {"The clock stood.", "", " \n "}) {
    BookMemory book(model_);
    readWhole(book, generator, text);
    EXPECT_THAT(book.sections(), ElementsAre(&book.whole())) << text;
    EXPECT_TRUE(book.save().sections.empty());
  }
}

TEST_F(BookMemoryTest, AStoppedPassChangesNothing) {
  Generator generator(model_);
  BookMemory book(model_);
  book.advance(generator, text_);
  book.advance(generator, text_);
  const auto before = blobsOf(book);
  std::stop_source source;
  source.request_stop();
  EXPECT_THROW(book.advance(generator, text_, source.get_token()), Stopped);
  EXPECT_EQ(blobsOf(book), before);
  EXPECT_EQ(before.size(), 4U);
}

TEST_F(BookMemoryTest, AnotherNumberOfSectionsKeepsWhatItWouldHaveKept) {
  const SavedBook saved = read_->save();
  const auto one = load(tinyFolder());
  const BookMemory whole = BookMemory::load(one, saved.whole, saved.sections);
  EXPECT_THAT(whole.sections(), ElementsAre(&whole.whole()));
  const auto two = withSections(2);
  EXPECT_EQ(BookMemory::load(two, saved.whole, saved.sections).ends().size(), 2U);
  // A memory of before there were sections answers as one.
  const BookMemory old = BookMemory::load(model_, saved.whole);
  EXPECT_THAT(old.sections(), ElementsAre(&old.whole()));
}

TEST_F(BookMemoryTest, ARefusedSectionIsARefusedMemory) {
  using Reason = SnapshotError::Reason;
  const auto loadWith = [&](const SnapshotBlob& blob) {
    SavedBook saved = read_->save();
    saved.sections[1].snapshot = blob;
    BookMemory::load(model_, saved.whole, saved.sections);
  };
  const SavedBook saved = read_->save();
  const SnapshotBlob good = saved.sections[1].snapshot;
  EXPECT_NO_THROW(loadWith(good));
  EXPECT_EQ(refusal([&] { loadWith(changed(good, [](auto& bytes) { bytes.resize(bytes.size() - 1); })); }),
            Reason::Truncated);
  EXPECT_EQ(refusal([&] { loadWith(changed(good, [](auto& bytes) { bytes[bytes.size() - 9] ^= std::byte{1}; })); }),
            Reason::Damaged);
  EXPECT_EQ(refusal([&] { loadWith(std::make_shared<const std::vector<std::byte>>()); }), Reason::Truncated);
  const ChangedModel other("config.json", [](Json& config) { config["rope_theta"] = 20000.0; });
  const auto foreign = load(other.path());
  EXPECT_EQ(refusal([&] {
              loadWith(std::make_shared<const std::vector<std::byte>>(
                  saveSnapshot(*foreign, foreign->emptyMemory(), read_->reading())));
            }),
            Reason::OtherModel);
}

TEST_F(BookMemoryTest, SectionsOfAnotherReadingAreRefused) {
  using Reason = SnapshotError::Reason;
  const SavedBook saved = read_->save();
  const auto loadAs = [&](std::vector<SavedPart> sections) {
    return refusal([&] { BookMemory::load(model_, saved.whole, sections); });
  };
  EXPECT_EQ(loadAs({saved.sections[1], saved.sections[0]}), Reason::Damaged) << "in another order";
  EXPECT_EQ(loadAs({saved.sections[0], saved.sections[0]}), Reason::Damaged) << "twice";
  EXPECT_EQ(loadAs({saved.sections[0], saved.sections[2]}), Reason::Damaged) << "one left out";
  const BookMemory early = [&] {
    Generator generator(model_);
    BookMemory book(model_);
    book.advance(generator, text_);
    return book;
  }();
  EXPECT_EQ(refusal([&] { BookMemory::load(model_, early.save().whole, saved.sections); }), Reason::Damaged)
      << "behind the whole";
  EXPECT_EQ(refusal([&] { loadSnapshot(*model_, *saved.sections[0].snapshot); }), Reason::Damaged) << "not the whole";
  const auto whole = std::make_shared<const std::vector<std::byte>>(saved.whole);
  EXPECT_EQ(loadAs({{read_->reading().position, read_->reading().tokens, whole}}), Reason::Damaged)
      << "as far as the whole";
  const auto nothing = std::make_shared<const std::vector<std::byte>>(saveSnapshot(*model_, model_->emptyMemory(), {}));
  std::string sentence;
  EXPECT_EQ(refusal(
                [&] {
                  BookMemory::load(model_, saved.whole, std::array{SavedPart{0, 0, nothing}});
                },
                &sentence),
            Reason::Damaged);
  EXPECT_THAT(sentence, HasSubstr("saved at byte 0 does not belong"));
}

TEST_F(BookMemoryTest, AModelWithoutMemoryHasNothingToKeep) {
  const TemporaryFolder folder;
  const auto plain = loadWithoutMemory(folder);
  Generator generator(plain);
  BookMemory book(plain);
  EXPECT_THROW(book.advance(generator, text_), ModelError);
}

}  // namespace
}  // namespace palimpsest::engine
