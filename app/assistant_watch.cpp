// The Assistant beside another Palimpsest: what that one writes to the library is shown here too.
#include <algorithm>

#include "app/assistant_parts.h"

namespace palimpsest::app {

namespace {

bool sameHeaders(const std::vector<storage::MemoryRecord>& a, const std::vector<storage::MemoryRecord>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& one, const auto& other) {
    return one.fingerprint == other.fingerprint && one.position == other.position && one.savedAt == other.savedAt &&
           one.complete == other.complete;
  });
}

}  // namespace

void Assistant::Parts::watch() {
  watchTimer.setSingleShot(true);  // the next look is due some time after the last one has ended
  watchTimer.setInterval(static_cast<int>(options.watchSeconds * 1000));
  QObject::connect(&watchTimer, &QTimer::timeout, self, [this] { look(); });
  watchTimer.start();
}

// Away from this thread: SQLite may have to wait for a lock, and a library may be long.
void Assistant::Parts::look() {
  std::set<qint64> covered;  // a cover comes with the text and then stays
  for (const auto& [id, entry] : entries)
    if (entry.document.textBytes > 0) covered.insert(id);
  errand(
      [watched = watched, covered] {
        News news;
        try {
          const std::int64_t version = watched->connection.dataVersion();
          if (version == watched->version) return news;
          news.books = loadBooks(watched->connection, covered);
          watched->version = version;
        } catch (const std::exception& error) {
          news.problem = asSentence(error);
        }
        return news;
      },
      [this](News& news) { looked(news); });
}

// A look that fails is tried again and again, but what it met is said once.
void Assistant::Parts::looked(News& news) {
  if (!news.problem.isEmpty() && news.problem != watchProblem) fail(news.problem);
  watchProblem = news.problem;
  if (news.books) refresh(*news.books);
  if (options.takeOver && !options.readOnly)
    writer.open(options.database, options.databaseLimit, self,
                [this](const WriteOutcome& outcome) { takeOver(outcome); });
  else
    watchTimer.start();
}

void Assistant::Parts::takeOver(const WriteOutcome& outcome) {
  if (!outcome.ok()) return watchTimer.start();  // what it cannot be opened for is said when it is opened first
  problem.clear();
  openReader(false);
}

void Assistant::Parts::refresh(std::vector<Entry>& books) {
  std::set<qint64> there;
  for (Entry& book : books) there.insert(book.document.id);
  for (auto entry = entries.begin(); entry != entries.end();) {
    const qint64 id = entry->first;
    entry = there.contains(id) ? std::next(entry) : entries.erase(entry);
    if (!there.contains(id)) emit self->itemRemoved(id);
  }
  for (Entry& book : books) {
    const bool isNew = !entries.contains(book.document.id);
    Entry& entry = entries[book.document.id];
    if (!adopt(entry, book)) continue;
    isNew ? emit self->itemAdded(entry.item) : changed(entry);
    emit self->chaptersChanged(entry.item.id);
  }
}

bool Assistant::Parts::adopt(Entry& entry, Entry& found) {
  const qint64 id = found.document.id;
  if (!sameHeaders(entry.memories, found.memories)) forget(id);  // an engine may hold the memory of before
  entry.document = std::move(found.document);
  entry.memories = std::move(found.memories);
  if (!found.cover.isEmpty()) entry.cover = std::move(found.cover);
  const ui::LibraryItem before = entry.item;
  rebuild(entry);
  return entry.item != before;
}

}  // namespace palimpsest::app
