// palimpsest-cli bench.
#include <QJsonObject>
#include <QTemporaryDir>

#include "app/cli.h"
#include "app/memory_record.h"
#include "app/paths.h"
#include "app/words.h"
#include "documents/document.h"
#include "engine/bench.h"
#include "storage/library.h"
#include "storage/memory_store.h"

namespace palimpsest::app::cli {

namespace {

std::string textOf(const Options& options) {
  const QString file = options.arguments.isEmpty() ? bundledBook() : options.arguments[0];
  if (file.isEmpty())
    throw Exit{Failed, QStringLiteral("The bundled book is not there. Name one: palimpsest-cli bench FILE")};
  std::string text;
  for (const documents::Paragraph& paragraph : documents::extractDocument(toPath(file)).paragraphs) {
    if (!text.empty()) text += "\n\n";
    text += paragraph.text;
  }
  return text;
}

// A memory as the program keeps it: in a library of its own, opened anew for each answer.
class SavedMemory {
 public:
  void keep(engine::SavedBook book) {
    storage::Database database = storage::Database::open(file());
    storage::DocumentRecord document;
    document.contentHash = "bench";
    const storage::Id id = storage::Library(database).add(document);
    storage::MemoryRecord memory = recordOf(std::move(book));
    memory.documentId = id_ = id;
    memory.fingerprint = kFingerprint;
    storage::MemoryStore(database).save(memory);
  }
  engine::SavedBook fetch() const {
    storage::Database database = storage::Database::open(file(), storage::Access::ReadOnly);
    auto memory = storage::MemoryStore(database).load(id_, kFingerprint);
    if (!memory) throw Exit{Failed, QStringLiteral("The memory that was measured with is gone.")};
    return savedBookOf(std::move(*memory));
  }

 private:
  static constexpr const char* kFingerprint = "bench";
  std::filesystem::path file() const { return toPath(folder_.filePath(QStringLiteral("library.db"))); }
  QTemporaryDir folder_;
  storage::Id id_ = 0;
};

engine::BenchReport measure(const std::shared_ptr<const engine::Model>& model, const std::string& text,
                            double seconds) {
  SavedMemory saved;
  engine::BenchOptions options;
  options.seconds = seconds;
  options.keep = [&saved](engine::SavedBook book) { saved.keep(std::move(book)); };
  options.fetch = [&saved] { return saved.fetch(); };
  engine::BenchReport report;
  runInterruptibly([&](std::stop_token stop) { report = engine::runBench(model, text, options, stop); });
  return report;
}

QJsonObject toJson(const engine::BenchReport& report) {
  return {{QStringLiteral("model"), toQt(report.model)},
          {QStringLiteral("device"), toQt(report.device)},
          {QStringLiteral("segment_length"), report.segmentLength},
          {QStringLiteral("segments_per_pass"), report.segmentsPerPass},
          {QStringLiteral("reading_tokens_per_second"), report.readingTokensPerSecond},
          {QStringLiteral("ceiling_tokens_per_second"), report.ceilingTokensPerSecond},
          {QStringLiteral("ceiling_gflops"), report.ceilingGflops},
          {QStringLiteral("share_of_ceiling"), report.shareOfCeiling},
          {QStringLiteral("sections"), report.sections},
          {QStringLiteral("milliseconds_to_first_token"), report.millisecondsToFirstToken},
          {QStringLiteral("answer_tokens_per_second"), report.answerTokensPerSecond},
          {QStringLiteral("tokens_read"), static_cast<qint64>(report.tokensRead)},
          {QStringLiteral("memory_bytes"), static_cast<qint64>(report.memoryBytes)},
          {QStringLiteral("snapshot_bytes"), static_cast<qint64>(report.snapshotBytes)},
          {QStringLiteral("weight_bytes"), static_cast<qint64>(report.weightBytes)}};
}

QString inWords(const engine::BenchReport& report) {
  const auto number = [](double value, int digits = 0) { return QString::number(value, 'f', digits); };
  QString text = QStringLiteral("%1 on %2\n").arg(toQt(report.model), toQt(report.device));
  if (report.readingTokensPerSecond > 0)
    text += QStringLiteral(
                "reading      %1 tokens/s, %2 % of the %3 that its matrix products alone reach here (%4 GFLOP/s)\n")
                .arg(number(report.readingTokensPerSecond), number(report.shareOfCeiling * 100),
                     number(report.ceilingTokensPerSecond), number(report.ceilingGflops));
  const QString memory = report.sections > 1 ? QStringLiteral("a saved memory of %1 sections").arg(report.sections)
                                             : QStringLiteral("a saved memory");
  text += QStringLiteral("answering    %1 ms to the first token from %2, then %3 tokens/s\n")
              .arg(number(report.millisecondsToFirstToken), memory, number(report.answerTokensPerSecond));
  return text + QStringLiteral("sizes        memory %1 MB after %4 tokens, saved %2 MB; weights %3 MB\n")
                    .arg(number(static_cast<double>(report.memoryBytes) / 1e6, 2),
                         number(static_cast<double>(report.snapshotBytes) / 1e6, 2),
                         number(static_cast<double>(report.weightBytes) / 1e6, 1))
                    .arg(report.tokensRead);
}

}  // namespace

int bench(const Options& options) {
  const engine::BenchReport report = measure(loadModel(options), textOf(options), options.benchSeconds);
  options.json ? printJson(toJson(report)) : print(inWords(report));
  return Done;
}

}  // namespace palimpsest::app::cli
