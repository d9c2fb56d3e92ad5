// What a book leaves behind: its memory, and what that was at a few earlier places of the reading.
//
//   milestone   the memory as it was at an earlier place (all that had been written until there)
//   section     what was written between two neighbouring milestones: the later less the earlier one
//   note        the memory as it was at a place that was chosen (the end of a chapter); what a chapter wrote, given
//               the text before it, is the difference of two notes
//
// The whole memory is the sum of the sections, to rounding. Facts that drown in the sum can still be found in their
// section, so a question is put to all of them (see section_choice.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
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

// A book's memory as it is kept: each blob is a snapshot of its own (see saveSnapshot()).
struct SavedMilestone {
  std::int64_t position = 0;  // bytes of the stored text that had been read
  std::int64_t tokens = 0;    // and tokens
  SnapshotBlob snapshot;
};
struct SavedBook {
  std::vector<std::byte> whole;
  std::vector<SavedMilestone> milestones;  // in the order of the text
};

// The whole memory is, bit for bit, the one that reading without sections gives. How many sections there are is the
// model's ("sections" of its config, 1 = no milestones) and where they end follows from the counts of segments alone
// (see section_rule.h): a reading that was interrupted ends with the same milestones. A value: moving is cheap. Not
// thread-safe; one owner at a time.
class BookMemory {
 public:
  explicit BookMemory(std::shared_ptr<const Model> model);  // of a book that has not been begun

  // The places at which the memory is noted from now on, see Generator::read; those that lie behind are passed over.
  // The whole, the milestones and what is noted keep the same bits whichever places are wanted.
  void noteAt(std::vector<std::int64_t> places) { places_ = std::move(places); }
  // What has been noted since the last call, in the order of the text, encoded as ordinary snapshots. Notes are kept
  // apart from what save() gives: there may be many, and an ordinary question needs none of them.
  std::vector<SavedMilestone> takeNotes();

  // Reads one pass (see Generator::read) and notes where it ended. Throws ModelError, Stopped; unchanged then.
  void advance(Generator& generator, std::string_view text, std::stop_token stop = {});
  void advance(Generator& generator, TextPasses& passes, std::stop_token stop = {});

  const MemorySnapshot& snapshot() const { return whole_; }
  const CompressiveMemory& whole() const { return whole_.memory; }
  const ReadingPosition& reading() const { return whole_.reading; }
  const SnapshotArithmetic& arithmetic() const { return whole_.arithmetic; }  // that wrote the whole
  std::vector<std::int64_t> ends() const;  // segments read where each section ends; the last end is that of the whole

  // What each section has written, in the order of the text; the whole alone where there are no milestones. Differences
  // are made when they are first asked for and kept until the next pass. Valid until then, and as long as this object.
  std::vector<const CompressiveMemory*> sections() const;
  // One of them, and one thing alone of all that is kept: for many books that are asked at once.
  CompressiveMemory takeSection(std::size_t place) &&;
  MemorySnapshot takeSnapshot() && { return std::move(whole_); }

  // All that is kept: the whole and the milestones, as snapshots without their headers.
  std::size_t bytes() const;

  // A milestone is encoded once and its blob kept.
  SavedBook save() const;
  // Throws SnapshotError like loadSnapshot(), for each of them, and where they are not milestones of one reading.
  // Those that a model with fewer sections would not have kept are left out.
  static BookMemory load(std::shared_ptr<const Model> model, std::span<const std::byte> whole,
                         std::span<const SavedMilestone> milestones = {});

  // What has been written since `begin`, an earlier memory of the same reading: itself, and its milestones after it,
  // less `begin`. Not to be read on. Throws ModelError like subtractMemories().
  BookMemory since(const MemorySnapshot& begin) const;

 private:
  struct Milestone {
    MemorySnapshot snapshot;
    mutable SnapshotBlob blob;  // once it has been saved
  };
  // read(memory): one pass into `memory`, and the position after it.
  void advanceBy(const std::function<ReadingPosition(CompressiveMemory& memory)>& read, const Generator& generator);
  std::size_t mostSections() const;
  void mergeSections();

  std::shared_ptr<const Model> model_;
  MemorySnapshot whole_;
  std::vector<std::shared_ptr<const Milestone>> milestones_;
  std::vector<std::int64_t> places_;
  std::vector<PlaceMemory> notes_;
  mutable std::vector<CompressiveMemory> differences_;  // of the sections after the first; empty = not made yet
};

}  // namespace palimpsest::engine
