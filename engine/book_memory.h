// What a book leaves behind: its memory, and what each section of its text has written.
//
//   section   what a stretch of the text has written, rounded to four bits (section_memory.h). Each portion of a pass,
//             some 256 tokens, is a section at first; when there are too many, two neighbours are joined
//   note      the memory as it was at a place that was chosen (the end of a chapter); what a chapter wrote, given
//             the text before it, is the difference of two notes. Or, where there are many, that difference itself,
//             rounded as a section is: of the same places an eighth of the room
//
// The whole memory is the sum of the sections, to their rounding. Facts that drown in the sum can still be found in
// their section, so a question is put to all of them (see section_choice.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/compressive_memory.h"
#include "engine/memory_snapshot.h"
#include "engine/model.h"

namespace palimpsest::engine {

class Generator;
class TextPasses;

// Never changes once it is there, and may be shared between threads.
using SnapshotBlob = std::shared_ptr<const std::vector<std::byte>>;

// The memory as it was at a place of the text: all that stands before it has been read, and nothing after it.
struct PlaceMemory {
  ReadingPosition reading;  // .position is the place; a segment that goes on after it counts among .segments
  CompressiveMemory memory;
};

// The memory where each portion of a pass ends but the last: each portion is a section of the book at first.
struct PassPortions {
  std::vector<ReadingPosition> ends;
  std::vector<CompressiveMemory> memories;  // at `ends`, in that order; there may be room for more
};

// A part of what is kept of a book. Two of one reading with the same position and tokens are the same.
struct SavedPart {
  std::int64_t position = 0;  // bytes of the stored text that had been read where it ends
  std::int64_t tokens = 0;    // of a section those that it read, of a note all until there
  SnapshotBlob snapshot;      // of saveSection(), or of saveSnapshot()
};
struct SavedBook {
  std::vector<std::byte> whole;
  std::vector<SavedPart> sections;  // in the order of the text; none where there is one alone
};

// The whole memory is, bit for bit, the one that reading without sections gives. How many sections there are is the
// model's ("sections" of its config, 1 = none) and where they end follows from the counts of segments alone (see
// section_rule.h): a reading that was interrupted ends with the same ones, bit for bit. A value: moving is cheap. Not
// thread-safe; one owner at a time.
class BookMemory {
 public:
  explicit BookMemory(std::shared_ptr<const Model> model);  // of a book that has not been begun

  // The places at which the memory is noted from now on, see Generator::read; those that lie behind are passed over.
  // The whole, the sections and what is noted keep the same bits whichever places are wanted.
  void noteAt(std::vector<std::int64_t> places) { places_ = std::move(places); }
  // The same, but noted is what has been written between one place and the next, and behind the last one until the end
  // of the text: sections, of which ofNotes() makes a memory. `last`: lastNote(), where reading goes on. Linear rule
  // only.
  void noteBetween(std::vector<std::int64_t> places, std::span<const std::byte> last = {});
  // What has been noted since the last call, in the order of the text, encoded as ordinary snapshots. Notes are kept
  // apart from what save() gives: there may be many, and an ordinary question needs none of them.
  std::vector<SavedPart> takeNotes();
  // What noteBetween() needs to go on from here, an ordinary snapshot; empty = nothing. Call it behind takeNotes().
  std::vector<std::byte> lastNote() const;

  // Reads one pass (see Generator::read). Throws ModelError, Stopped; unchanged then.
  void advance(Generator& generator, std::string_view text, std::stop_token stop = {});
  void advance(Generator& generator, TextPasses& passes, std::stop_token stop = {});

  const MemorySnapshot& snapshot() const { return whole_; }
  const CompressiveMemory& whole() const { return whole_.memory; }
  const ReadingPosition& reading() const { return whole_.reading; }
  const SnapshotArithmetic& arithmetic() const { return whole_.arithmetic; }  // that wrote the whole
  std::vector<std::int64_t> ends() const;  // segments read where each section ends; the last end is that of the whole

  // What each section has written, in the order of the text; the whole alone where there is one. They are opened when
  // they are first asked for and kept until the next pass. Valid until then, and as long as this object.
  std::vector<const CompressiveMemory*> sections() const;
  // One of them, and one thing alone of all that is kept: for many books that are asked at once.
  CompressiveMemory takeSection(std::size_t place) &&;
  // The same text in `most` sections at most, as a model that keeps so many would have joined them.
  std::vector<CompressiveMemory> fewerSections(std::size_t most) const;
  MemorySnapshot takeSnapshot() && { return std::move(whole_); }

  // All that is kept: the whole and the sections, without headers.
  std::size_t bytes() const;

  // A section is encoded once and its blob kept.
  SavedBook save() const;
  // Throws SnapshotError like loadSnapshot(), for each of them, and where they are not sections of one reading. The
  // whole may have read further than the sections, which then are the first of its own: `whole` is a note. One more
  // section is then all that was written since `before`, a memory of where the sections end or of an earlier place (not
  // given: since the text began); the nearer, the less its facts crowd. Sections that a model with fewer of them would
  // have joined are joined. Takes memories as they were at earlier places, too, which were kept instead of sections
  // once.
  static BookMemory load(std::shared_ptr<const Model> model, std::span<const std::byte> whole,
                         std::span<const SavedPart> sections = {}, std::optional<MemorySnapshot> before = {});

  // What was written in a stretch of text: what was noted between the places in it, in order and without a gap, from
  // byte `begin` on. Not to be read on. Throws SnapshotError like load().
  static BookMemory ofNotes(std::shared_ptr<const Model> model, std::span<const SavedPart> notes, std::int64_t begin);

  // What has been written since `begin`, an earlier memory of the same reading: the whole less `begin`, the sections
  // after it, and where these leave something out, all of it as the newest section. Not to be read on. Throws
  // ModelError like subtractMemories().
  BookMemory since(const MemorySnapshot& begin) const;

 private:
  struct Section {
    SectionSnapshot snapshot;
    mutable SnapshotBlob blob;  // once it has been saved
  };
  using Sections = std::vector<std::shared_ptr<const Section>>;
  // The last pass becomes sections when these are asked for, or while the next pass is computed.
  struct LastPass {
    MemorySnapshot before;
    ReadingPosition end;
    PassPortions portions;
  };
  std::size_t mostSections() const;
  void append(SectionSnapshot section, SnapshotBlob blob = nullptr) const;
  static void join(Sections& sections, std::size_t most);
  std::optional<LastPass> appendLastPass() const;  // returns it: its room can be used again
  void appendSince(const MemorySnapshot& begin);
  std::vector<SavedPart> takeNotesBetween();

  std::shared_ptr<const Model> model_;
  MemorySnapshot whole_;
  std::vector<std::int64_t> places_;
  std::vector<PlaceMemory> notes_;
  bool notesBetween_ = false;
  std::optional<PlaceMemory> lastNote_;  // of noteBetween(); none: the place before is the beginning
  mutable std::optional<LastPass> lastPass_;
  PassPortions spare_;  // room for the next pass
  mutable Sections sections_;
  mutable std::vector<CompressiveMemory> opened_;  // sections_; empty = not opened yet
};

}  // namespace palimpsest::engine
