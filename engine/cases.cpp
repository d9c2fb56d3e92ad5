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

Question questionOf(const CaseQuestion& asked) {
  Question question;
  question.text = asked.question;
  question.earlierTurns = asked.turns;
  question.sampling.maxTokens = kAnswerTokens;
  return question;
}

Generation finished(Generation made) {
  if (made.end == Generation::End::Stopped) throw Stopped();
  return made;
}

CaseTally& tallyOf(std::vector<CaseTally>& tallies, const std::string& row, const std::string& size) {
  const auto known =
      std::ranges::find_if(tallies, [&](const CaseTally& tally) { return tally.row == row && tally.size == size; });
  return known != tallies.end() ? *known : tallies.emplace_back(CaseTally{.row = row, .size = size});
}

// Asks document after document; what is to be asked of another document's memory waits until that has been read.
class Examination {
 public:
  Examination(std::shared_ptr<const Model> model, const CasesOptions& options, std::stop_token stop)
      : model_(std::move(model)), generator_(model_), options_(options), stop_(std::move(stop)) {}

  void take(CaseDocument document) {
    const auto book = std::make_shared<const BookMemory>(readDocument(generator_, model_, document.text, stop_));
    const std::int64_t tokens = book->reading().tokens;
    report_.tokens += tokens;
    for (auto& [row, questions] : document.rows) {
      RowAnswers asked{.row = row,
                       .size = document.size,
                       .document = documents_,
                       .tokens = tokens,
                       .questions = std::move(questions),
                       .answers = {},
                       .forced = {},
                       .bySection = {}};
      ask(asked, CaseCondition::Memory, *book);
      count(asked);
      if (options_.knockOut) knockOut(std::move(asked), book);
    }
    documents_ += 1;
  }

  CasesReport finish() {
    for (Cell& cell : cells_)
      if (cell.waiting.document != cell.firstDocument)  // else there is no other
        ask(cell.waiting, CaseCondition::Swapped, *cell.first);
    return std::move(report_);
  }

 private:
  // Of one row and size.
  struct Cell {
    std::shared_ptr<const BookMemory> first;
    std::size_t firstDocument = 0;
    RowAnswers waiting;  // for the memory of the next document
  };

  void ask(RowAnswers& asked, CaseCondition condition, const BookMemory& book) {
    asked.condition = condition;
    asked.answers.clear();
    asked.forced.assign(asked.questions.size(), std::nullopt);
    asked.bySection.assign(asked.questions.size(), {});
    for (const CaseQuestion& question : asked.questions) {
      std::optional<Generation>& answer = asked.answers.emplace_back();
      if (condition == CaseCondition::Memory || !question.unanswerable)
        answer = askCase(generator_, book, question, stop_);
      if (condition == CaseCondition::Memory && options_.forced && answer->unknown)
        asked.forced[asked.answers.size() - 1] = askCase(generator_, book, question, stop_, true);
      if (condition == CaseCondition::Memory && options_.bySection && answer->section)
        asked.bySection[asked.answers.size() - 1] = askEach(book, question, *answer);
    }
    if (options_.answered) options_.answered(asked);
  }

  std::map<std::size_t, Generation> askEach(const BookMemory& book, const CaseQuestion& question,
                                            const Generation& answered) {
    std::map<std::size_t, Generation> said{{*answered.section, answered}};
    const auto sections = book.sections();
    for (std::size_t i = 0; i < answered.doubts.size(); ++i)
      if (answered.doubts[i] < kMayAnswer && !said.contains(i))
        said.emplace(i, finished(generator_.answerBy(sections, i, questionOf(question), stop_)));
    return said;
  }

  void count(const RowAnswers& asked) {
    CaseTally& tally = tallyOf(report_.tallies, asked.row, asked.size);
    for (std::size_t q = 0; q < asked.questions.size(); ++q)
      tally.add(asked.questions[q], asked.questions[q].isExact(asked.answers[q]->text), asked.answers[q]->unknown);
  }

  void knockOut(RowAnswers asked, const std::shared_ptr<const BookMemory>& book) {
    // Not in sections: those of nothing would all doubt alike, and any of them answer.
    ask(asked, CaseCondition::Zeroed, BookMemory(model_));
    const auto known = std::ranges::find_if(
        cells_, [&](const Cell& cell) { return cell.waiting.row == asked.row && cell.waiting.size == asked.size; });
    if (known == cells_.end()) {
      cells_.push_back({book, asked.document, std::move(asked)});
      return;
    }
    ask(known->waiting, CaseCondition::Swapped, *book);
    known->waiting = std::move(asked);
  }

  std::shared_ptr<const Model> model_;
  Generator generator_;
  const CasesOptions& options_;
  std::stop_token stop_;
  std::size_t documents_ = 0;
  std::vector<Cell> cells_;
  CasesReport report_;
};

}  // namespace

std::string_view nameOf(CaseCondition condition) {
  switch (condition) {
    case CaseCondition::Memory:
      return "memory";
    case CaseCondition::Zeroed:
      return "zeroed";
    case CaseCondition::Swapped:
      return "swapped";
  }
  return {};
}

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

void checkCases(const std::filesystem::path& file) {
  std::error_code unknown;
  if (!std::filesystem::is_regular_file(file, unknown)) return;
  for (CasesFile lines(file); lines.next();) {
  }
}

BookMemory readDocument(Generator& generator, std::shared_ptr<const Model> model, std::string_view text,
                        std::stop_token stop) {
  BookMemory book(model);
  TextPasses passes(std::move(model), text);
  while (!book.reading().complete) book.advance(generator, passes, stop);
  return book;
}

Generation askCase(Generator& generator, const BookMemory& book, const CaseQuestion& question, std::stop_token stop,
                   bool mustAnswer) {
  Question asked = questionOf(question);
  asked.mustAnswer = mustAnswer;
  return finished(generator.answer(book, asked, {}, std::move(stop)));
}

CasesReport runCases(const std::shared_ptr<const Model>& model, CasesFile& file, const CasesOptions& options,
                     std::stop_token stop) {
  Examination examination(model, options, std::move(stop));
  while (std::optional<CaseDocument> document = file.next()) examination.take(*std::move(document));
  return examination.finish();
}

}  // namespace palimpsest::engine
