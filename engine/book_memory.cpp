#include "engine/book_memory.h"

#include <omp.h>

#include <algorithm>
#include <exception>
#include <functional>
#include <iterator>
#include <string>
#include <utility>
#include <variant>

#include "engine/errors.h"
#include "engine/generator.h"
#include "engine/memory_sum.h"
#include "engine/section_rule.h"

namespace palimpsest::engine {

namespace {

[[noreturn]] void refuseSection(const ReadingPosition& end, const ReadingPosition& next) {
  throw SnapshotError(SnapshotError::Reason::Damaged,
                      "This saved memory cannot be used: the part of it that was saved at byte " +
                          std::to_string(end.position) + " does not belong to what was saved at byte " +
                          std::to_string(next.position) + ". Read the book again from its stored text.");
}

bool samePlace(const ReadingPosition& one, const ReadingPosition& other) {
  return one.position == other.position && one.tokens == other.tokens && one.segments == other.segments;
}
// Whether `later` can have grown out of `earlier`.
bool follows(const ReadingPosition& later, const ReadingPosition& earlier) {
  return later.position > earlier.position && later.tokens > earlier.tokens && later.segments > earlier.segments;
}

MemorySnapshot copyOf(const MemorySnapshot& snapshot) {
  return {snapshot.memory.clone(), snapshot.reading, snapshot.fingerprint, snapshot.arithmetic};
}

// work(i) for each i < count, by the threads that the model computes with. Throws what the first that fails throws.
template <class Work>
void atOnce(const Model& model, std::size_t count, Work&& work) {
  constexpr int kBesideCard = 8;  // more do not write memory faster
  const int threads = model.card().empty() ? model.threads() : std::min(kBesideCard, omp_get_num_procs());
  std::vector<std::exception_ptr> failures(count);
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (count > 1)
  for (std::size_t i = 0; i < count; ++i) {
    try {
      work(i);
    } catch (...) {
      failures[i] = std::current_exception();
    }
  }
  for (const std::exception_ptr& failure : failures)
    if (failure) std::rethrow_exception(failure);
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
  std::optional<MemorySnapshot> begin;
  PassPortions portions = std::exchange(spare_, {});
  const auto keepBegin = [&] {
    if (mostSections() == 1) return;
    if (std::optional<LastPass> last = appendLastPass()) {
      spare_ = std::move(last->portions);
      begin = std::move(last->before);
      std::ranges::copy(std::as_const(whole_.memory).values(), begin->memory.values().begin());
      begin->memory.setTokens(whole_.memory.tokens());
      begin->reading = whole_.reading;
      begin->arithmetic = whole_.arithmetic;
    } else {
      begin = copyOf(whole_);
    }
  };
  whole_.reading = generator.read(whole_.memory, passes, whole_.reading, places_, notes_, std::move(stop), keepBegin,
                                  mostSections() == 1 ? nullptr : &portions);
  whole_.arithmetic = {model_->precision(), generator.threads(), model_->card(), model_->weights()};
  if (whole_.reading.segments == before) return;  // nothing but white space was left
  opened_.clear();
  if (begin) lastPass_ = {std::move(*begin), whole_.reading, std::move(portions)};
}

void BookMemory::noteBetween(std::vector<std::int64_t> places, std::span<const std::byte> last) {
  noteAt(std::move(places));
  notesBetween_ = true;
  if (last.empty()) return;
  MemorySnapshot note = loadSnapshot(*model_, last);
  if (note.reading.position > whole_.reading.position || note.reading.tokens > whole_.reading.tokens)
    refuseSection(note.reading, whole_.reading);
  lastNote_ = PlaceMemory{note.reading, std::move(note.memory)};
}

std::vector<std::byte> BookMemory::lastNote() const {
  if (!lastNote_ || whole_.reading.complete) return {};
  return saveSnapshot(*model_, lastNote_->memory, lastNote_->reading, whole_.arithmetic);
}

std::vector<SavedPart> BookMemory::takeNotesBetween() {
  std::vector<PlaceMemory> notes = std::exchange(notes_, {});
  const ReadingPosition& last =
      notes.empty() ? (lastNote_ ? lastNote_->reading : ReadingPosition()) : notes.back().reading;
  if (whole_.reading.complete && whole_.reading.tokens > last.tokens)
    notes.push_back({whole_.reading, whole_.memory.clone()});
  std::vector<SavedPart> taken;
  for (PlaceMemory& note : notes) {
    SectionSnapshot written{lastNote_ ? SectionMemory(note.memory, lastNote_->memory) : SectionMemory(note.memory),
                            lastNote_ ? lastNote_->reading : ReadingPosition(), note.reading};
    written.begin.complete = written.end.complete = false;
    taken.push_back({note.reading.position, written.memory.tokens(),
                     std::make_shared<const std::vector<std::byte>>(saveSection(*model_, written))});
    lastNote_ = std::move(note);
  }
  return taken;
}

BookMemory BookMemory::ofNotes(std::shared_ptr<const Model> model, std::span<const SavedPart> notes,
                               std::int64_t begin) {
  BookMemory written(std::move(model));
  std::vector<std::variant<MemorySnapshot, SectionSnapshot>> parts(notes.size());
  atOnce(*written.model_, parts.size(),
         [&](std::size_t i) { parts[i] = loadPart(*written.model_, *notes[i].snapshot); });
  ReadingPosition at;
  at.position = begin;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    auto* section = std::get_if<SectionSnapshot>(&parts[i]);
    if (!section) refuseSection(std::get<MemorySnapshot>(parts[i]).reading, at);
    if (i == 0 ? section->begin.position != begin : !samePlace(section->begin, at)) refuseSection(section->end, at);
    at = section->end;
    const CompressiveMemory opened = section->memory.opened();
    std::ranges::transform(written.whole_.memory.values(), opened.values(), written.whole_.memory.values().begin(),
                           std::plus());
    written.whole_.memory.setTokens(written.whole_.memory.tokens() + opened.tokens());
    written.append(std::move(*section), notes[i].snapshot);
  }
  written.whole_.reading = at;
  written.whole_.reading.tokens = written.whole_.memory.tokens();
  if (written.mostSections() == 1)
    written.sections_.clear();
  else
    join(written.sections_, written.mostSections());
  return written;
}

std::vector<SavedPart> BookMemory::takeNotes() {
  if (notesBetween_) return takeNotesBetween();
  std::vector<SavedPart> taken;
  for (const PlaceMemory& note : std::exchange(notes_, {}))
    taken.push_back({note.reading.position, note.reading.tokens,
                     std::make_shared<const std::vector<std::byte>>(
                         saveSnapshot(*model_, note.memory, note.reading, whole_.arithmetic))});
  return taken;
}

std::optional<BookMemory::LastPass> BookMemory::appendLastPass() const {
  std::optional<LastPass> pass = std::exchange(lastPass_, std::nullopt);
  if (!pass) return pass;
  const CompressiveMemory* from = &pass->before.memory;
  ReadingPosition begin = pass->before.reading;
  const auto add = [&](const CompressiveMemory& to, const ReadingPosition& end) {
    append({SectionMemory(to, *from), begin, end});
    join(sections_, mostSections());
    from = &to;
    begin = end;
  };
  for (std::size_t i = 0; i < pass->portions.ends.size(); ++i) add(pass->portions.memories[i], pass->portions.ends[i]);
  add(whole_.memory, pass->end);
  return pass;
}

void BookMemory::append(SectionSnapshot section, SnapshotBlob blob) const {
  section.begin.complete = section.end.complete = false;
  sections_.push_back(std::make_shared<const Section>(Section{std::move(section), std::move(blob)}));
}

void BookMemory::join(Sections& sections, std::size_t most) {
  // What holds the text of those before it as well (appendSince) stays by itself: joined, that would count twice.
  const auto count = sections.size();
  const std::size_t apart =
      count > 1 && sections[count - 1]->snapshot.begin.tokens < sections[count - 2]->snapshot.end.tokens ? 1 : 0;
  while (sections.size() > std::max(most, apart + 1)) {
    std::vector<std::int64_t> ends;
    for (const auto& section : std::span(sections).first(sections.size() - apart))
      ends.push_back(section->snapshot.end.segments);
    const auto one = sections.begin() + static_cast<std::ptrdiff_t>(leastNeededEnd(ends));
    const SectionSnapshot &first = (*one)->snapshot, &second = (*std::next(one))->snapshot;
    auto joined = std::make_shared<const Section>(
        Section{{SectionMemory::joined(first.memory, second.memory), first.begin, second.end}, {}});
    *one = std::move(joined);
    sections.erase(std::next(one));
  }
}

// What has been written since `begin`, as the newest section, though earlier ones may hold a part of it as well. To
// subtract these would leave what their roundings have changed, and that is not small where few keys have written.
void BookMemory::appendSince(const MemorySnapshot& begin) {
  append({SectionMemory(whole_.memory, begin.memory), begin.reading, whole_.reading});
}

BookMemory BookMemory::since(const MemorySnapshot& begin) const {
  appendLastPass();
  BookMemory written(model_);
  written.whole_ = copyOf(whole_);
  bool fromBegin = false;
  for (const auto& section : sections_) {
    const ReadingPosition& from = section->snapshot.begin;
    if (from.position < begin.reading.position) continue;
    written.sections_.push_back(section);
    fromBegin = fromBegin || from.tokens == begin.reading.tokens;
  }
  if (!fromBegin || written.sections_.back()->snapshot.end.tokens != whole_.reading.tokens) written.appendSince(begin);
  written.whole_.memory = subtractMemories(*model_, whole_, begin);
  written.whole_.reading.tokens -= begin.reading.tokens;
  written.whole_.reading.segments -= begin.reading.segments;
  return written;
}

std::vector<std::int64_t> BookMemory::ends() const {
  appendLastPass();
  std::vector<std::int64_t> ends;
  const std::int64_t begin = sections_.empty() ? 0 : sections_.front()->snapshot.begin.segments;
  for (const auto& section : sections_) ends.push_back(section->snapshot.end.segments - begin);
  if (ends.empty()) ends.push_back(whole_.reading.segments);
  return ends;
}

std::vector<const CompressiveMemory*> BookMemory::sections() const {
  appendLastPass();
  if (sections_.size() <= 1) return {&whole_.memory};
  if (opened_.empty()) {
    opened_.resize(sections_.size());
    atOnce(*model_, sections_.size(), [&](std::size_t i) { opened_[i] = sections_[i]->snapshot.memory.opened(); });
  }
  std::vector<const CompressiveMemory*> sections;
  for (const CompressiveMemory& section : opened_) sections.push_back(&section);
  return sections;
}

CompressiveMemory BookMemory::takeSection(std::size_t place) && {
  appendLastPass();
  if (sections_.size() <= 1) return std::move(whole_.memory);
  return sections_.at(place)->snapshot.memory.opened();
}

std::vector<CompressiveMemory> BookMemory::fewerSections(std::size_t most) const {
  appendLastPass();
  std::vector<CompressiveMemory> fewer;
  if (most == 1 || sections_.size() <= 1) {
    fewer.push_back(whole_.memory.clone());
    return fewer;
  }
  Sections joined = sections_;
  join(joined, most);
  for (const auto& section : joined) fewer.push_back(section->snapshot.memory.opened());
  return fewer;
}

std::size_t BookMemory::bytes() const {
  appendLastPass();
  std::size_t bytes = whole_.memory.bytes();
  if (sections_.size() > 1)
    for (const auto& section : sections_) bytes += section->snapshot.memory.bytes();
  return bytes;
}

SavedBook BookMemory::save() const {
  appendLastPass();
  SavedBook saved{saveSnapshot(*model_, whole_.memory, whole_.reading, whole_.arithmetic), {}};
  if (sections_.size() <= 1) return saved;
  for (const auto& section : sections_) {
    const SectionSnapshot& kept = section->snapshot;
    if (!section->blob) section->blob = std::make_shared<const std::vector<std::byte>>(saveSection(*model_, kept));
    saved.sections.push_back({kept.end.position, kept.memory.tokens(), section->blob});
  }
  return saved;
}

BookMemory BookMemory::load(std::shared_ptr<const Model> model, std::span<const std::byte> whole,
                            std::span<const SavedPart> sections, std::optional<MemorySnapshot> before) {
  BookMemory book(std::move(model));
  book.whole_ = loadSnapshot(*book.model_, whole);
  if (book.mostSections() == 1 || book.whole_.memory.empty()) return book;
  MemorySnapshot begin{book.model_->emptyMemory(), {}, book.model_->fingerprint(), {}};
  MemorySnapshot earlier = copyOf(begin);  // the last memory of an earlier place
  std::vector<std::variant<MemorySnapshot, SectionSnapshot>> parts(sections.size());
  atOnce(*book.model_, parts.size(), [&](std::size_t i) { parts[i] = loadPart(*book.model_, *sections[i].snapshot); });
  for (std::size_t i = 0; i < parts.size(); ++i) {
    auto& part = parts[i];
    const ReadingPosition last = book.sections_.empty() ? begin.reading : book.sections_.back()->snapshot.end;
    if (auto* section = std::get_if<SectionSnapshot>(&part)) {
      if (!samePlace(section->begin, last)) refuseSection(section->end, last);
      book.append(std::move(*section), sections[i].snapshot);
    } else {
      auto& place = std::get<MemorySnapshot>(part);
      if (!samePlace(earlier.reading, last) || !follows(place.reading, last) || place.reading.complete)
        refuseSection(place.reading, last);
      book.append({SectionMemory(place.memory, earlier.memory), earlier.reading, place.reading});
      earlier = std::move(place);
    }
  }
  const ReadingPosition last = book.sections_.empty() ? begin.reading : book.sections_.back()->snapshot.end;
  const ReadingPosition& now = book.whole_.reading;
  const bool same = now.tokens == last.tokens && now.segments == last.segments;  // behind it only white space, if any
  if (now.position < last.position || (!same && !follows(now, last))) refuseSection(last, now);
  if (before && follows(before->reading, earlier.reading)) earlier = std::move(*before);
  if (!same) book.appendSince(earlier);
  join(book.sections_, book.mostSections());
  return book;
}

}  // namespace palimpsest::engine
