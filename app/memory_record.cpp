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
  record.milestones = milestonesOf(std::move(book.milestones));
  return record;
}

std::vector<storage::MilestoneRecord> milestonesOf(std::vector<engine::SavedMilestone> saved) {
  std::vector<storage::MilestoneRecord> records;
  for (engine::SavedMilestone& milestone : saved)
    records.push_back({milestone.position, milestone.tokens, std::move(milestone.snapshot)});
  return records;
}

engine::SavedBook savedBookOf(storage::MemoryRecord record) {
  return {std::move(record.snapshot), milestonesOf(record)};
}

engine::BookMemory bookOf(std::shared_ptr<const engine::Model> model, const storage::MemoryRecord& record) {
  return engine::BookMemory::load(std::move(model), record.snapshot, milestonesOf(record));
}

}  // namespace palimpsest::app
