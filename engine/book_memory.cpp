#include "engine/book_memory.h"

#include <string>
#include <utility>

#include "engine/errors.h"
#include "engine/generator.h"
#include "engine/memory_sum.h"
#include "engine/section_rule.h"

namespace palimpsest::engine {

namespace {

// Whether `later` can have grown out of `earlier`.
bool follows(const ReadingPosition& later, const ReadingPosition& earlier) {
  return later.position > earlier.position && later.tokens > earlier.tokens && later.segments > earlier.segments;
}

void checkOrder(const ReadingPosition& later, const ReadingPosition& earlier) {
  if (earlier.segments > 0 && !earlier.complete && follows(later, earlier)) return;
  throw SnapshotError(SnapshotError::Reason::Damaged,
                      "This saved memory cannot be used: the part of it that was saved at byte " +
                          std::to_string(earlier.position) + " does not belong to what was saved at byte " +
                          std::to_string(later.position) + ". Read the book again from its stored text.");
}

}  // namespace

BookMemory::BookMemory(std::shared_ptr<const Model> model)
    : model_(std::move(model)),
      whole_{model_->emptyMemory(), {}, model_->fingerprint(), engine::arithmeticOf(*model_)} {}

std::size_t BookMemory::mostSections() const {
  const auto& infini = model_->config().infiniAttention;
  return infini ? static_cast<std::size_t>(infini->sections) : 1;
}

void BookMemory::advance(Generator& generator, std::string_view text, std::stop_token stop) {
  TextPasses passes(model_, text);
  advance(generator, passes, std::move(stop));
}

void BookMemory::advance(Generator& generator, TextPasses& passes, std::stop_token stop) {
  const std::int64_t before = whole_.reading.segments;
  std::shared_ptr<Milestone> milestone;
  const auto keepMilestone = [&] {
    if (mostSections() > 1 && before > 0)
      milestone = std::make_shared<Milestone>(
          Milestone{{whole_.memory.clone(), whole_.reading, whole_.fingerprint, whole_.arithmetic}, {}});
  };
  whole_.reading =
      generator.read(whole_.memory, passes, whole_.reading, places_, notes_, std::move(stop), keepMilestone);
  whole_.arithmetic = {model_->precision(), generator.threads(), model_->card(), model_->weights()};
  if (whole_.reading.segments == before) return;  // nothing but white space was left
  differences_.clear();
  if (milestone) milestones_.push_back(std::move(milestone));
  mergeSections();
}

std::vector<SavedMilestone> BookMemory::takeNotes() {
  std::vector<SavedMilestone> taken;
  for (const PlaceMemory& note : std::exchange(notes_, {}))
    taken.push_back({note.reading.position, note.reading.tokens,
                     std::make_shared<const std::vector<std::byte>>(
                         saveSnapshot(*model_, note.memory, note.reading, whole_.arithmetic))});
  return taken;
}

BookMemory BookMemory::since(const MemorySnapshot& begin) const {
  const auto less = [&](const MemorySnapshot& later) {
    MemorySnapshot rest{subtractMemories(*model_, later, begin), later.reading, later.fingerprint, later.arithmetic};
    rest.reading.tokens -= begin.reading.tokens;
    rest.reading.segments -= begin.reading.segments;
    return rest;
  };
  BookMemory written(model_);
  written.whole_ = less(whole_);
  for (const auto& milestone : milestones_)
    if (follows(milestone->snapshot.reading, begin.reading))
      written.milestones_.push_back(std::make_shared<const Milestone>(Milestone{less(milestone->snapshot), {}}));
  return written;
}

std::vector<std::int64_t> BookMemory::ends() const {
  std::vector<std::int64_t> ends;
  for (const auto& milestone : milestones_) ends.push_back(milestone->snapshot.reading.segments);
  ends.push_back(whole_.reading.segments);
  return ends;
}

void BookMemory::mergeSections() {
  while (milestones_.size() + 1 > mostSections())
    milestones_.erase(milestones_.begin() + static_cast<std::ptrdiff_t>(leastNeededEnd(ends())));
}

std::vector<const CompressiveMemory*> BookMemory::sections() const {
  if (milestones_.empty()) return {&whole_.memory};
  if (differences_.empty())
    for (std::size_t i = 0; i < milestones_.size(); ++i)
      differences_.push_back(subtractMemories(
          *model_, i + 1 < milestones_.size() ? milestones_[i + 1]->snapshot : whole_, milestones_[i]->snapshot));
  std::vector<const CompressiveMemory*> sections{&milestones_.front()->snapshot.memory};
  for (const CompressiveMemory& difference : differences_) sections.push_back(&difference);
  return sections;
}

CompressiveMemory BookMemory::takeSection(std::size_t place) && {
  if (milestones_.empty()) return std::move(whole_.memory);
  const CompressiveMemory& section = *sections().at(place);
  return place == 0 ? section.clone() : std::move(differences_[place - 1]);
}

std::size_t BookMemory::bytes() const { return whole_.memory.bytes() * (1 + milestones_.size()); }

SavedBook BookMemory::save() const {
  SavedBook saved{saveSnapshot(*model_, whole_.memory, whole_.reading, whole_.arithmetic), {}};
  for (const auto& milestone : milestones_) {
    const MemorySnapshot& kept = milestone->snapshot;
    if (!milestone->blob)
      milestone->blob = std::make_shared<const std::vector<std::byte>>(
          saveSnapshot(*model_, kept.memory, kept.reading, kept.arithmetic));
    saved.milestones.push_back({kept.reading.position, kept.reading.tokens, milestone->blob});
  }
  return saved;
}

BookMemory BookMemory::load(std::shared_ptr<const Model> model, std::span<const std::byte> whole,
                            std::span<const SavedMilestone> milestones) {
  BookMemory book(std::move(model));
  book.whole_ = loadSnapshot(*book.model_, whole);
  if (book.mostSections() == 1) return book;
  for (const SavedMilestone& saved : milestones)
    book.milestones_.push_back(
        std::make_shared<const Milestone>(Milestone{loadSnapshot(*book.model_, *saved.snapshot), saved.snapshot}));
  for (std::size_t i = 0; i < book.milestones_.size(); ++i)
    checkOrder(i + 1 < book.milestones_.size() ? book.milestones_[i + 1]->snapshot.reading : book.whole_.reading,
               book.milestones_[i]->snapshot.reading);
  book.mergeSections();
  return book;
}

}  // namespace palimpsest::engine
