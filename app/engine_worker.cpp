#include "app/engine_worker.h"

#include <QThread>
#include <algorithm>

#include "app/memory_record.h"
#include "app/words.h"
#include "engine/errors.h"
#include "storage/library.h"
#include "storage/memory_store.h"

namespace palimpsest::app {

namespace {

constexpr double kRateWindow = 8.0;  // seconds of reading that tokens/s looks back on
constexpr double kSecondsBetweenReports = 0.1;

double secondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

QString modelProblem(const std::exception& error) {
  return EngineWorker::tr("The model could not be loaded. %1").arg(asSentence(error));
}

QString arithmeticWords(const engine::SnapshotArithmetic& arithmetic) {
  QString precision =
      arithmetic.precision == engine::Precision::BFloat16 ? QStringLiteral("bf16") : QStringLiteral("f32");
  if (arithmetic.weights != engine::WeightType::Full)
    precision = EngineWorker::tr("%1 with %2 weights").arg(precision, toQt(std::string(nameOf(arithmetic.weights))));
  if (!arithmetic.card.empty()) return EngineWorker::tr("%1 in %2").arg(toQt(arithmetic.card), precision);
  return arithmetic.threads == 1 ? EngineWorker::tr("1 thread in %1").arg(precision)
                                 : EngineWorker::tr("%n threads in %1", nullptr, arithmetic.threads).arg(precision);
}

}  // namespace

EngineWorker::EngineWorker(EngineOptions options, SaveMemory save)
    : options_(std::move(options)), save_(std::move(save)) {}
EngineWorker::~EngineWorker() = default;

// The library may not be there yet when the thread starts, so the connection is made when it is first needed.
storage::Database& EngineWorker::database() {
  if (!database_) database_.emplace(storage::Database::open(options_.database, storage::Access::ReadOnly));
  return *database_;
}

void EngineWorker::load(quint64 number, const std::filesystem::path& folder, std::stop_token stop) {
  // What is being read belongs to the model that goes.
  if (reading_) endReading(ReadingEnd::Outcome::Stopped);
  held_.reset();
  generator_.reset();
  model_.reset();
  loadProblem_.clear();
  ui::ModelStatus status;
  ModelIdentity identity;
  try {
    engine::LoadOptions load;
    load.threads = options_.threads;
    load.device = options_.device;
    load.weights = options_.weights;
    load.planned = [this](const engine::DevicePlan& plan) {
      if (plan.weights != options_.weights && plan.weights != engine::WeightType::Full) emit notice(toQt(plan.room));
    };
    load.progress = [stop](double) {
      if (stop.stop_requested()) throw engine::Stopped();
    };
    model_ = options_.makeModel(folder, load);
    generator_ = std::make_unique<engine::Generator>(model_);
    status.loaded = identity.loaded = true;
    status.hasMemory = identity.hasMemory = model_->hasMemory();
    identity.inSections = asksSections();
    status.name = identity.name = toQt(model_->name());
    status.device = toQt(model_->device());
    identity.fingerprint = model_->fingerprint();
  } catch (const engine::Stopped&) {
    return;
  } catch (const std::exception& error) {
    generator_.reset();  // a model may be there, and no room for what computes with it
    model_.reset();
    status.problem = loadProblem_ = modelProblem(error);
    status.deviceProblem = dynamic_cast<const engine::DeviceError*>(&error) != nullptr;
  }
  emit modelLoaded(number, status, identity);
  if (model_ && !model_->deviceFallback().empty())
    emit notice(tr("The CPU computes. %1").arg(toQt(model_->deviceFallback())));
}

bool EngineWorker::asksSections() const {
  const auto& infini = model_->config().infiniAttention;
  return infini && infini->sections > 1 && generator_->choosesSections();
}

void EngineWorker::startReading(qint64 id, std::stop_token stop) {
  reading_.emplace(Held{id, engine::BookMemory(model_)});
  reading_->stop = stop;
  if (held_ && held_->id == id) held_.reset();
  try {
    open(*reading_, id);
    nextPass();
  } catch (const engine::SnapshotError& error) {
    endReading(ReadingEnd::Outcome::Refused, asSentence(error));
  } catch (const std::exception& error) {
    endReading(ReadingEnd::Outcome::Failed, asSentence(error));
  }
}

// Loads the text and, where there is one, the checkpoint.
void EngineWorker::open(Reading& reading, qint64 id) {
  const storage::Library library(database());
  reading.text = library.text(id);
  reading.passes = std::make_unique<engine::TextPasses>(model_, reading.text);
  const auto document = library.find(id);
  if (document && document->pageCount > 0) findPages(reading, library.passages(id));
  std::vector<std::byte> lastNote;
  if (const auto stored = storage::MemoryStore(database()).load(id, model_->fingerprint())) {
    engine::BookMemory& book = reading.held.book;
    book = bookOf(model_, *stored);
    reading.secondsSpent = stored->secondsSpent;
    reading.savedPosition = stored->position;
    lastNote = stored->lastNote;
    if (!book.reading().complete) keepArithmetic(reading, book.arithmetic(), document ? document->title : "");
  }
  ChapterNotes notes = notesWanted(id);
  // Begun by a Palimpsest that noted none, or the memories themselves: what this chapter wrote so far cannot be told.
  const bool behind = !notes.places.empty() && notes.places.front() <= reading.held.reading().position;
  if (notes.between && behind && lastNote.empty())
    reading.held.book.noteAt(
        placesToNote(chapterPlaces(library, id), mostChapterMemories(model_->emptyMemory().bytes())));
  else if (notes.between)
    reading.held.book.noteBetween(std::move(notes.places), lastNote);
  else
    reading.held.book.noteAt(std::move(notes.places));
  reading.lastCheckpoint = Clock::now();
  reading.samples.push_back({0, reading.held.reading().tokens, reading.held.reading().position});
  report(reading);
}

// So that it ends with the bits of a reading that was never interrupted. More threads than processors would only be
// slow, and another precision means another computer, whose bits are others in any case.
void EngineWorker::keepArithmetic(Reading& reading, const engine::SnapshotArithmetic& begun, const std::string& title) {
  const engine::SnapshotArithmetic own = engine::arithmeticOf(*model_);
  if (begun == own) return;
  if (begun.precision == own.precision && begun.card == own.card && begun.weights == own.weights &&
      begun.threads <= QThread::idealThreadCount()) {
    reading.generator = std::make_unique<engine::Generator>(model_, begun.threads);
    return;
  }
  emit notice(
      tr("The reading of “%1” was begun with %2 and goes on with %3. Its memory will be as good, but not bit for "
         "bit that of a reading without interruption.")
          .arg(toQt(title), arithmeticWords(begun), arithmeticWords(own)));
}

engine::Generator& EngineWorker::generatorOf(const Reading& reading) const {
  return reading.generator ? *reading.generator : *generator_;
}

void EngineWorker::findPages(Reading& reading, const std::vector<storage::PassageRecord>& passages) {
  for (const storage::PassageRecord& passage : passages)
    if (passage.page > 0 && (reading.pages.empty() || reading.pages.back().page != passage.page))
      reading.pages.push_back({passage.begin, passage.page});
}

void EngineWorker::nextPass() {
  if (!reading_) return;
  try {
    if (reading_->held.reading().complete) return endReading(ReadingEnd::Outcome::Complete);
    if (reading_->stop.stop_requested()) throw engine::Stopped();
    readPass(*reading_);
    if (reading_->held.reading().complete) return endReading(ReadingEnd::Outcome::Complete);
    // Back through the event loop: pause and questions act between two passes.
    QMetaObject::invokeMethod(this, &EngineWorker::nextPass, Qt::QueuedConnection);
  } catch (const engine::Stopped&) {
    endReading(ReadingEnd::Outcome::Stopped);
  } catch (const std::exception& error) {
    endReading(ReadingEnd::Outcome::Failed, asSentence(error));
  }
}

void EngineWorker::readPass(Reading& reading) {
  const Clock::time_point start = Clock::now();
  reading.held.book.advance(generatorOf(reading), *reading.passes, reading.stop);
  const double seconds = secondsSince(start);
  const engine::ReadingPosition& at = reading.held.reading();
  reading.secondsSpent += seconds;
  reading.samples.push_back({reading.samples.back().seconds + seconds, at.tokens, at.position});
  while (reading.samples.size() > 2 && reading.samples.back().seconds - reading.samples[1].seconds > kRateWindow)
    reading.samples.pop_front();
  if (at.complete) return;
  if (secondsSince(reading.lastCheckpoint) >= options_.checkpointSeconds) checkpoint(reading);
  if (secondsSince(reading.lastProgress) >= kSecondsBetweenReports) report(reading);
}

void EngineWorker::checkpoint(Reading& reading) {
  reading.lastCheckpoint = Clock::now();
  const engine::ReadingPosition& at = reading.held.reading();
  if (at.position == 0 || (at.position == reading.savedPosition && !at.complete)) return;
  auto memory = std::make_shared<storage::MemoryRecord>(recordOf(reading.held.book.save()));
  memory->chapters = partsOf(reading.held.book.takeNotes());
  memory->lastNote = reading.held.book.lastNote();
  memory->documentId = reading.held.id;
  memory->fingerprint = model_->fingerprint();
  memory->modelName = model_->name();
  memory->position = at.position;
  memory->tokens = at.tokens;
  memory->complete = at.complete;
  memory->secondsSpent = reading.secondsSpent;
  reading.savedPosition = at.position;
  save_(std::move(memory));
}

void EngineWorker::report(Reading& reading) {
  reading.lastProgress = Clock::now();
  const engine::ReadingPosition& at = reading.held.reading();
  const Sample& first = reading.samples.front();
  const Sample& last = reading.samples.back();
  ReadingProgress progress;
  progress.id = reading.held.id;
  progress.share =
      reading.text.empty() ? 0 : static_cast<double>(at.position) / static_cast<double>(reading.text.size());
  progress.memoryBytes = static_cast<qint64>(reading.held.book.bytes());
  const double seconds = last.seconds - first.seconds;
  if (seconds > 0 && last.position > first.position) {
    progress.tokensPerSecond = static_cast<double>(last.tokens - first.tokens) / seconds;
    const double bytesPerSecond = static_cast<double>(last.position - first.position) / seconds;
    progress.secondsLeft = static_cast<int>(
        static_cast<double>(static_cast<std::int64_t>(reading.text.size()) - at.position) / bytesPerSecond + 0.5);
  }
  for (const PageStart& start : reading.pages)
    if (start.begin < at.position) progress.page = start.page;
  emit progressed(progress);
}

void EngineWorker::endReading(ReadingEnd::Outcome outcome, const QString& problem) {
  reading_->passes.reset();  // they look into the text, which is moved
  Reading reading = std::move(*reading_);
  reading_.reset();
  const qint64 id = reading.held.id;
  if (outcome == ReadingEnd::Outcome::Complete || outcome == ReadingEnd::Outcome::Stopped) {
    checkpoint(reading);
    report(reading);
  }
  // What was just read is what will be asked next.
  if (reading.held.reading().position > 0) held_ = std::move(reading.held);
  emit readingEnded({id, outcome, problem});
}

void EngineWorker::forget(qint64 id) {
  if (held_ && held_->id == id) held_.reset();
}

void EngineWorker::finish() {
  if (reading_) checkpoint(*reading_);
  reading_.reset();
  database_.reset();
  thread()->quit();
}

}  // namespace palimpsest::app
