#include "engine/cases.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "engine/errors.h"
#include "engine/text_passes.h"

namespace palimpsest::engine {

namespace {

using Json = nlohmann::json;

constexpr int kFormat = 1;
constexpr int kAnswerTokens = 24;  // as evaluate.py; longer ones are wrong anyway

// What is missing or of another type counts as empty.
const Json& member(const Json& object, const char* key) {
  static const Json none;
  const auto found = object.find(key);
  return found == object.end() ? none : *found;
}
const Json& listOf(const Json& value) {
  static const Json none = Json::array();
  return value.is_array() ? value : none;
}
std::string textOf(const Json& value) { return value.is_string() ? value.get<std::string>() : std::string(); }

CaseQuestion questionOf(const Json& entry, const std::string& place) {
  CaseQuestion question{textOf(member(entry, "kind")), textOf(member(entry, "question")), {}, false, {}};
  const Json& answer = member(entry, "answer");
  for (const Json& truth : answer.is_array() ? answer : Json::array({answer})) question.truths.push_back(textOf(truth));
  if (question.question.find_first_not_of(" \t\r\n") == std::string::npos ||
      std::ranges::all_of(question.truths, &std::string::empty))
    throw CasesError(place + " has no \"question\" or no \"answer\".");
  question.unanswerable = member(entry, "unanswerable") == Json(true);
  for (const Json& turn : listOf(member(entry, "turns")))
    if (turn.is_array() && turn.size() == 2) question.turns.push_back({textOf(turn[0]), textOf(turn[1])});
  return question;
}

CaseDocument documentOf(const Json& line, const std::string& place) {
  CaseDocument document{textOf(member(line, "size")), {}, {}};
  for (const Json& paragraph : listOf(member(line, "paragraphs"))) {
    if (!document.text.empty()) document.text += "\n\n";
    document.text += textOf(paragraph);
  }
  if (const Json& rows = member(line, "rows"); rows.is_object())
    for (const auto& [row, entries] : rows.items())
      for (const Json& entry : listOf(entries)) document.rows[row].push_back(questionOf(entry, place));
  if (document.text.empty() || document.rows.empty())
    throw CasesError(place + " has no \"paragraphs\" or no \"rows\".");
  return document;
}

CaseTally& tallyOf(std::vector<CaseTally>& tallies, const std::string& row, const std::string& size) {
  const auto known =
      std::ranges::find_if(tallies, [&](const CaseTally& tally) { return tally.row == row && tally.size == size; });
  return known != tallies.end() ? *known : tallies.emplace_back(CaseTally{.row = row, .size = size});
}

}  // namespace

bool CaseQuestion::isExact(std::string_view answer) const { return std::ranges::find(truths, answer) != truths.end(); }

void CaseTally::add(const CaseQuestion& question, bool exact, bool unknown) {
  if (question.unanswerable) {
    unanswerable += 1;
    answeredAnyway += unknown ? 0 : 1;
    return;
  }
  answerable += 1;
  answerableExact += exact ? 1 : 0;
  falseUnknown += unknown ? 1 : 0;
  if (!question.isOpen()) return;
  open += 1;
  openExact += exact ? 1 : 0;
}

CasesFile::CasesFile(const std::filesystem::path& file) : name_("“" + file.string() + "”") {
  std::error_code unknown;
  if (std::filesystem::is_directory(file, unknown)) throw CasesError(name_ + " cannot be opened: it is a folder.");
  lines_.open(file, std::ios::binary);
  if (!lines_) throw CasesError(name_ + " cannot be opened: " + std::strerror(errno) + ".");
}

std::string CasesFile::lineName() const { return "Line " + std::to_string(line_) + " of " + name_; }

std::optional<CaseDocument> CasesFile::next() {
  for (std::string text; std::getline(lines_, text);) {
    line_ += 1;
    const Json line = Json::parse(text, nullptr, false);
    if (!line.is_object()) throw CasesError(lineName() + " is no JSON object.");
    if (line_ > 1) return documentOf(line, lineName());
    if (member(line, "palimpsest_cases") != Json(kFormat))
      throw CasesError(name_ + " is no file of cases of version " + std::to_string(kFormat) +
                       ". Such files are written by python -m palimpsest_training.cases.");
  }
  if (lines_.bad()) throw CasesError(name_ + " cannot be read to its end: " + std::strerror(errno) + ".");
  if (line_ < 2) throw CasesError(name_ + " holds no documents.");
  return std::nullopt;
}

BookMemory readDocument(Generator& generator, std::shared_ptr<const Model> model, std::string_view text,
                        std::stop_token stop) {
  BookMemory book(model);
  TextPasses passes(std::move(model), text);
  while (!book.reading().complete) book.advance(generator, passes, stop);
  return book;
}

Generation askCase(Generator& generator, const BookMemory& book, const CaseQuestion& question, std::stop_token stop) {
  Question asked;
  asked.text = question.question;
  asked.earlierTurns = question.turns;
  asked.sampling.maxTokens = kAnswerTokens;
  Generation made = generator.answer(book, asked, {}, std::move(stop));
  if (made.end == Generation::End::Stopped) throw Stopped();
  return made;
}

CasesReport runCases(const std::shared_ptr<const Model>& model, CasesFile& file,
                     const std::function<void(const CaseQuestion&, const Generation&)>& answered,
                     std::stop_token stop) {
  CasesReport report;
  Generator generator(model);
  while (const std::optional<CaseDocument> document = file.next()) {
    const BookMemory book = readDocument(generator, model, document->text, stop);
    report.tokens += book.reading().tokens;
    for (const auto& [row, questions] : document->rows)
      for (const CaseQuestion& question : questions) {
        const Generation made = askCase(generator, book, question, stop);
        tallyOf(report.tallies, row, document->size).add(question, question.isExact(made.text), made.unknown);
        if (answered) answered(question, made);
      }
  }
  return report;
}

}  // namespace palimpsest::engine
