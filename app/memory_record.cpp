#include "app/memory_record.h"

#include <utility>

namespace palimpsest::app {

namespace {

std::vector<engine::SavedMilestone> milestonesOf(const storage::MemoryRecord& record) {
  std::vector<engine::SavedMilestone> milestones;
  for (const storage::MilestoneRecord& milestone : record.milestones)
    milestones.push_back({milestone.position, milestone.tokens, milestone.snapshot});
  return milestones;
}

}  // namespace

storage::MemoryRecord recordOf(engine::SavedBook book) {
  storage::MemoryRecord record;
  record.snapshot = std::move(book.whole);
  for (const engine::SavedMilestone& milestone : book.milestones)
    record.milestones.push_back({milestone.position, milestone.tokens, milestone.snapshot});
  return record;
}

engine::SavedBook savedBookOf(storage::MemoryRecord record) {
  return {std::move(record.snapshot), milestonesOf(record)};
}

engine::BookMemory bookOf(std::shared_ptr<const engine::Model> model, const storage::MemoryRecord& record) {
  return engine::BookMemory::load(std::move(model), record.snapshot, milestonesOf(record));
}

}  // namespace palimpsest::app
