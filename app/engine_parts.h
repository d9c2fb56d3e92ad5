// What the .cpp files of EngineWorker share.
#pragma once

#include <QString>
#include <span>

#include "storage/records.h"

namespace palimpsest::app {

constexpr int kPassages = 6;  // put before a question

// Ends an answer with a sentence in its place.
[[noreturn]] void refuse(const QString& sentence);

// How much of the books was read again: different pages, or passages where a format has none.
int countReread(std::span<const storage::PassageRecord> used, bool inPages);

}  // namespace palimpsest::app
