// The Assistant joins the libraries: verbs in, value signals out. The window and the command line use the same one.
#pragma once

#include <QObject>
#include <QString>
#include <QStringList>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "engine/model.h"
#include "ui/records.h"

namespace palimpsest::app {

struct AssistantOptions {
  std::filesystem::path database;
  std::filesystem::path modelFolder;
  int threads = 0;  // of the CPU; 0 = the physical cores
  // At least one. Each has a model of its own and reads one book at a time.
  std::vector<engine::DeviceChoice> devices = {engine::DeviceChoice()};
  engine::MakeModel makeModel = engine::Model::load;  // for each of them, on its own thread
  engine::WeightType weights = engine::WeightType::Automatic;
  double checkpointSeconds = 3.0;  // at least this often while reading
  double watchSeconds = 1.0;       // how often a read-only library is asked whether another Palimpsest changed it
  bool loadModel = true;           // false: nothing will be read or asked (list, export, remove)
  bool readOnly = false;           // true: takes no lock and writes nothing
  bool takeOver = false;           // true: a library in use elsewhere is opened for writing once that one is done
  bool resumeReading = true;       // unfinished books go on when the library is open
  bool keepConversations = true;   // false: each question stands alone and its answer is not stored
  std::int64_t databaseLimit = 0;  // bytes the database may grow to, 0 = as large as the disk lets it
};

// How an answer's words are chosen: always the likeliest one, unless a temperature is given.
struct Sampling {
  double temperature = 0;  // from 0 on
  double topP = 1;         // above 0, at most 1
  quint64 seed = 0;        // the same seed, question and memory give the same answer
};

enum class ExportFormat { Markdown, Html, Pdf, Text };

// Lives on the thread that made it (the UI thread); never blocks it: what that thread reads itself is a few rows, from
// a connection that no writer holds up. Owns one extraction thread, one engine thread for each device and the one
// SQLite writer. Every verb returns at once; its outcome arrives as signals, errors as sentences.
class Assistant : public QObject {
  Q_OBJECT
 public:
  explicit Assistant(AssistantOptions options, QObject* parent = nullptr);
  ~Assistant() override;  // checkpoints what is being read, then stops the threads

  // Opens the database and starts loading the model. libraryReset() says that the library is open; a database that
  // cannot be opened is reported by failed(); the model's fate by modelChanged(). Where another Palimpsest is writing,
  // or where nothing can be written, the library opens read-only and failed() says so: looking, asking and exporting
  // work, answers are not kept. What the other one adds, reads and removes then arrives by itemAdded(), itemChanged()
  // and itemRemoved(). With takeOver the library is opened again when the other one is done: libraryReset(), and
  // readOnly() no more.
  void start();
  bool readOnly() const;
  QString problem() const;      // why the library could not be opened, as failed() said; empty = it is open, or not yet
  bool usedElsewhere() const;   // read-only because another Palimpsest is writing
  QString whyReadOnly() const;  // as failed() said; empty = it is not, or was asked for

  QList<ui::LibraryItem> library() const;  // newest first
  std::optional<ui::LibraryItem> item(qint64 id) const;
  // Those of one book, with what the loaded model remembers of each (of the latest memory until one is loaded).
  QList<ui::Chapter> chapters(qint64 id) const;
  QList<ui::ConversationItem> conversation(qint64 id) const;  // with a book or a shelf
  // The id by which several books are asked at once: that of their shelf, the same for the same books in any order. Of
  // one book it is the book's own. What is no book of the library is left out; 0 = nothing is left. Asking a shelf
  // needs a whole memory of each book by the loaded model, or passages only; its answers name the book that supports
  // them.
  qint64 shelf(const QList<qint64>& books);
  ui::ModelStatus model() const;
  QList<qint64> match(const QString& words) const;  // storage::Library::match

 public slots:
  void addDocument(const QString& path, const QString& password = {});
  void pause(qint64 id);
  void resume(qint64 id);
  void cancel(qint64 id);  // stops reading; the text and what was read stay
  void retry(qint64 id, const QString& password = {});
  // Reads a book from its stored text anew, in place of the loaded model's memory of it, which goes first.
  void readAgain(qint64 id);
  void remove(qint64 id);  // the caller has asked the person
  // `id`: of a book, or of a shelf, as in conversation(), clearConversation() and the answer's signals.
  // `part`: of one book; the memory as it was there, and quotes from there alone.
  void ask(qint64 id, const QString& question, ui::AnswerWay way, const palimpsest::app::Sampling& sampling = {},
           const palimpsest::ui::BookPart& part = {});
  void summarize(qint64 id, const palimpsest::ui::BookPart& part = {});
  void stopAnswer();  // stops the answers and summaries that are streaming
  void clearConversation(qint64 id);
  void fetchText(qint64 id);  // outcome: textFetched() or failed()
  // In place of the model that is loaded or failed to load; what is being read goes on with it, from what it has read.
  void useModel(const QString& folder);
  // Writes title, author, date, model, summary and conversation. Outcome: exported() or failed().
  void exportDocument(qint64 id, const QString& file, ExportFormat format);

 signals:
  void libraryReset();  // the whole list changed
  void itemChanged(const palimpsest::ui::LibraryItem& item);
  void itemAdded(const palimpsest::ui::LibraryItem& item);
  void itemRemoved(qint64 id);
  void chaptersChanged(qint64 id);  // which there are, or what is remembered of them
  void modelChanged(const palimpsest::ui::ModelStatus& status);
  void answerStarted(qint64 id, const palimpsest::ui::ConversationItem& item);
  void answerText(qint64 id, const QString& piece);  // streams, in order
  void answerFinished(qint64 id, const palimpsest::ui::ConversationItem& item);
  void exported(qint64 id, const QString& file);
  void textFetched(qint64 id, const QString& text);  // the whole stored text: its bytes are its UTF-8
  void conversationCleared(qint64 id);
  // The fate of one addDocument(): `existed` = its bytes were in the library already. id 0: it was not taken, and
  // failed() has said why.
  void added(const QString& path, qint64 id, bool existed);
  void notice(const QString& sentence);  // something worth saying that is no failure
  void failed(const QString& sentence);  // what no item can carry

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace palimpsest::app
