// What the .cpp files of EngineWorker share.
#pragma once

#include <QString>
#include <span>
#include <string>
#include <vector>

#include "engine/prompt.h"
#include "storage/records.h"

namespace palimpsest::app {

constexpr int kPassages = 6;  // put before a question

// Ends an answer with a sentence in its place.
[[noreturn]] void refuse(const QString& sentence);

// How much of the books was read again: different pages, or passages where a format has none.
int countReread(std::span<const storage::PassageRecord> used, bool inPages);

// What was said before `question`, as text to put before it: the latest turns that came to an end, oldest first. A
// question that is asked again is asked as if it were new: its earlier answer would be taken up, right or wrong.
std::vector<engine::Turn> turnsBefore(const std::string& question, std::span<const storage::TurnRecord> conversation);

}  // namespace palimpsest::app
