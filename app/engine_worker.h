// What runs on the engine thread: reading pass by pass, answers, summaries. Only the Assistant talks to it.
#pragma once

#include <QObject>
#include <QString>
#include <chrono>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "app/chapters.h"
#include "app/library_items.h"
#include "engine/book_memory.h"
#include "engine/generator.h"
#include "engine/text_passes.h"
#include "storage/database.h"
#include "storage/library.h"
#include "ui/records.h"

namespace palimpsest::app {

struct ReadingProgress {
  qint64 id = 0;
  double share = 0;
  double tokensPerSecond = 0;
  int secondsLeft = -1;
  int page = 0;            // the page reached, 0 where the format has none
  qint64 memoryBytes = 0;  // all that is kept of the book
};

struct ReadingEnd {
  enum class Outcome { Complete, Stopped, Refused, Failed };
  qint64 id = 0;
  Outcome outcome = Outcome::Complete;
  QString problem;  // Refused (the snapshot) and Failed: the sentence
};

struct AnswerJob {
  quint64 number = 0;
  qint64 id = 0;                   // of the book, or of the shelf
  std::vector<storage::Id> shelf;  // its books, ascending: asked, or their memories added, in this order; empty = one
  bool summary = false;
  storage::BookPart part;  // of the one book; its title is not needed
  QString question;
  ui::AnswerWay way = ui::AnswerWay::Memory;
  bool earlierTurns = true;
  engine::SamplingOptions sampling;
  std::stop_token stop;
};

struct AnswerResult {
  quint64 number = 0;
  qint64 id = 0;
  bool summary = false;
  storage::TurnRecord turn;  // a summary uses its answer, coverage, finished and modelName
  // The section of the answering book that answered, of how many, and its doubt; -1 = no section was chosen.
  int section = -1, sections = 0;
  double doubt = 0;
  QString recalled;              // Generation::recalled
  QStringList furtherQuestions;  // those of Generation::steps but the first
  QString problem;               // a sentence instead of an answer
  qint64 refusedBook = 0;        // the book whose stored memory cannot be used; 0 = none
};

struct EngineOptions {
  std::filesystem::path database;
  int threads = 0;
  engine::DeviceChoice device = {};
  engine::WeightType weights = engine::WeightType::Automatic;
  double checkpointSeconds = 3.0;
  engine::MakeModel makeModel = engine::Model::load;
};

// Lives on the engine thread; every slot is invoked there. Signals are received on the Assistant's thread.
class EngineWorker : public QObject {
  Q_OBJECT
 public:
  // Called on the engine thread with each checkpoint; must be quick and thread-safe.
  using SaveMemory = std::function<void(std::shared_ptr<const storage::MemoryRecord>)>;

  EngineWorker(EngineOptions options, SaveMemory save);
  ~EngineWorker() override;

  // In place of the model that is loaded. A stop means that another load() follows, or the end: nothing is told then,
  // but modelLoaded() may be on its way; `number` tells it apart from the next load's.
  void load(quint64 number, const std::filesystem::path& folder, std::stop_token stop);
  void startReading(qint64 id, std::stop_token stop);  // one book at a time; readingEnded() tells the end
  void answer(const AnswerJob& job);
  void forget(qint64 id);  // the book, or this model's memory of it, is gone
  void finish();           // checkpoints what is being read and leaves the thread's event loop

 signals:
  void modelLoaded(quint64 number, const palimpsest::ui::ModelStatus& status,
                   const palimpsest::app::ModelIdentity& identity);
  void progressed(const palimpsest::app::ReadingProgress& progress);
  void readingEnded(const palimpsest::app::ReadingEnd& end);
  void notice(const QString& sentence);
  void piece(quint64 number, qint64 id, const QString& text);
  void answered(const palimpsest::app::AnswerResult& result);

 private:
  using Clock = std::chrono::steady_clock;
  struct PageStart {
    std::int64_t begin;
    int page;
  };
  struct Sample {
    double seconds;  // of reading, not of waiting
    std::int64_t tokens, position;
  };
  struct Held {  // a memory that can be asked
    qint64 id = 0;
    engine::BookMemory book;
    const engine::ReadingPosition& reading() const { return book.reading(); }
  };
  struct Reading {
    explicit Reading(Held begun) : held(std::move(begun)) {}
    Held held;
    std::string text;
    std::unique_ptr<engine::TextPasses> passes;  // of it
    std::vector<PageStart> pages;
    std::stop_token stop;
    std::unique_ptr<engine::Generator> generator;  // where it was begun with another number of threads
    double secondsSpent = 0;
    std::deque<Sample> samples;
    Clock::time_point lastCheckpoint, lastProgress;
    std::int64_t savedPosition = -1;
  };

  storage::Database& database();
  bool asksSections() const;  // of a shelf; else its memories are added
  void open(Reading& reading, qint64 id);
  void keepArithmetic(Reading& reading, const engine::SnapshotArithmetic& begun, const std::string& title);
  engine::Generator& generatorOf(const Reading& reading) const;
  static void findPages(Reading& reading, const std::vector<storage::PassageRecord>& passages);
  void nextPass();
  void readPass(Reading& reading);
  void checkpoint(Reading& reading);
  void report(Reading& reading);
  void endReading(ReadingEnd::Outcome outcome, const QString& problem = {});
  const Held* memoryFor(qint64 id);
  struct ShelfBook;
  [[noreturn]] void refuseUnread() const;
  static QString withoutText(const storage::DocumentRecord& document);  // why there is none
  void compose(const AnswerJob& job, AnswerResult& result);
  void sumUp(const AnswerJob& job, const engine::BookMemory& book, const storage::TextRange& range,
             AnswerResult& result);
  void reply(const AnswerJob& job, const engine::BookMemory* book, const storage::TextRange& range,
             const storage::DocumentRecord& document, AnswerResult& result);
  engine::Question questionOf(const AnswerJob& job, const std::vector<storage::TurnRecord>& earlier,
                              const std::vector<storage::PassageRecord>& passages) const;
  // What a question is put to; neither = to passages alone.
  struct Source {
    const engine::CompressiveMemory* memory = nullptr;
    std::vector<const engine::CompressiveMemory*> sections;  // of which one is chosen
  };
  Source sourceOf(const engine::BookMemory& book) const;
  engine::Generation say(const AnswerJob& job, const Source& source, const engine::Question& question,
                         AnswerResult& result);
  static void quote(const storage::Library& library, bool unknown, const storage::TextRange& range,
                    storage::TurnRecord& turn);

  // engine_chapters.cpp; each refuses where there is no such chapter, or no memory of it
  ChapterPlace placeOf(storage::Id book, storage::BookPart& part);  // fills in its title
  static storage::TextRange rangeOf(const ChapterPlace& place, storage::BookPart::Kind kind);
  storage::MemoryPartRecord noted(const storage::MemoryRecord& stored, const ChapterPlace& chapter, std::int64_t place);
  ChapterNotes notesWanted(storage::Id book);
  std::vector<engine::SavedPart> notedBetween(const storage::MemoryRecord& stored, std::int64_t begin,
                                              const ChapterPlace& until);
  std::optional<engine::MemorySnapshot> notedBefore(const storage::MemoryRecord& stored, std::int64_t place);
  engine::BookMemory partMemory(const storage::MemoryRecord& stored, const ChapterPlace& place,
                                storage::BookPart::Kind kind);

  // engine_shelf.cpp
  void composeShelf(const AnswerJob& job, AnswerResult& result);
  QString lacks(const storage::DocumentRecord& document);
  std::vector<ShelfBook> openShelf(const AnswerJob& job, ui::AnswerWay way);
  engine::BookMemory reopen(const storage::DocumentRecord& document, AnswerResult& result);
  std::vector<storage::BookScore> scoreOfSteps(const AnswerJob& job, storage::Id answering,
                                               const engine::BookMemory& memory, const engine::Generation& made);
  void recall(ShelfBook& book, const AnswerJob& job, const engine::Question& question, AnswerResult& result);
  Source sourceOf(const std::vector<ShelfBook>& books, const ShelfBook*& answering,
                  std::optional<engine::CompressiveMemory>& sum) const;
  std::vector<storage::BookScore> scoresOf(const AnswerJob& job, const std::vector<ShelfBook>& books,
                                           const engine::Question& question,
                                           std::span<const storage::PassageRecord> used, const std::string& answer);
  ui::AnswerWay possibleWay(ui::AnswerWay wanted) const;

  EngineOptions options_;
  SaveMemory save_;
  QString loadProblem_;
  std::optional<storage::Database> database_;
  std::shared_ptr<const engine::Model> model_;
  std::unique_ptr<engine::Generator> generator_;
  std::optional<Reading> reading_;
  std::optional<Held> held_;  // the last memory asked that is not being read
};

}  // namespace palimpsest::app
