// The Assistant's verbs for books: adding, extracting, reading, pausing, removing.
#include <algorithm>
#include <iterator>

#include "app/assistant_parts.h"
#include "app/content_hash.h"
#include "app/words.h"

namespace palimpsest::app {

using storage::DocumentState;

void Assistant::addDocument(const QString& path, const QString& password) {
  Parts& p = *parts_;
  if (!p.mayWrite(tr("Adding a book"))) {
    emit added(path, 0, false);
    return;
  }
  p.errand([path, stop = p.quitting.get_token()] { return contentHash(toPath(path), stop); },
           [&p, path, password](const std::string& hash) { p.add(path, password, hash); },
           [this, &p, path](const QString& reason) {
             p.fail(reason);
             emit added(path, 0, false);
           });
}

void Assistant::Parts::add(const QString& path, const QString& password, const std::string& hash) {
  struct Result {
    storage::DocumentRecord document;
    bool existed = false;
  };
  auto result = std::make_shared<Result>();
  result->document.contentHash = hash;
  result->document.path = toPath(path).string();
  writer.perform(
      [result](storage::Database& database) {
        storage::Library library(database);
        result->document = *library.find(library.add(result->document, &result->existed));
      },
      self,
      [this, result, path, password](const WriteOutcome& outcome) {
        if (outcome.ok()) return taken(path, password, result->document, result->existed);
        fail(outcome.problem);
        emit self->added(path, 0, false);
      });
}

void Assistant::Parts::taken(const QString& path, const QString& password, const storage::DocumentRecord& document,
                             bool existed) {
  const bool known = entries.contains(document.id);
  Entry& entry = entries[document.id];
  const bool moved = known && entry.document.path != document.path;
  if (known) {
    entry.document.path = document.path;
  } else {
    entry.document = document;
  }
  rebuild(entry);
  known ? changed(entry) : emit self->itemAdded(entry.item);
  if (!known) {
    entry.password = password.toStdString();
    enqueue(entry);
    schedule();
  } else if (entry.document.state == DocumentState::Failed) {
    self->retry(document.id, password);
  } else {
    emit self->notice(
        moved
            ? Assistant::tr("“%1” is in the library already; it is now known to be at %2.").arg(entry.item.title, path)
            : Assistant::tr("“%1” is in the library already.").arg(entry.item.title));
  }
  emit self->added(path, document.id, existed);  // last: whoever hears it may ask for the book to be read
}

void Assistant::Parts::enqueue(Entry& entry) {
  std::deque<qint64>& queue = entry.document.textBytes > 0 ? toRead : toExtract;
  dequeue(entry.document.id);
  queue.push_back(entry.document.id);
  entry.wish = Wish::GoOn;
  entry.note.clear();
  if (entry.document.state != DocumentState::Waiting) setState(entry, DocumentState::Waiting);
}

void Assistant::Parts::dequeue(qint64 id) {
  std::erase(toExtract, id);
  std::erase(toRead, id);
}

// Gives each idle worker its next book.
void Assistant::Parts::schedule() {
  while (!extractingId && !toExtract.empty()) {
    Entry* entry = find(toExtract.front());
    toExtract.pop_front();
    if (entry) startExtraction(*entry);
  }
  if (!identity.loaded) return;
  const auto idle = [](const Engine& engine) { return engine.works() && !engine.readingId; };
  for (;;) {
    const auto engine = std::ranges::find_if(engines, idle);
    // Not the book that another engine is at still.
    const auto next = std::ranges::find_if(toRead, [this](qint64 id) { return !readerOf(id); });
    if (engine == engines.end() || next == toRead.end()) return;
    Entry* entry = find(*next);
    toRead.erase(next);
    if (!entry) continue;
    // Without memory heads there is nothing to read into: the stored passages are all there is to ask.
    identity.hasMemory ? startReading(*engine, *entry) : setState(*entry, DocumentState::Ready);
  }
}

void Assistant::Parts::startExtraction(Entry& entry) {
  const qint64 id = entry.document.id;
  extractingId = id;
  entry.job.emplace();
  setState(entry, DocumentState::Extracting, {}, "attempt " + std::to_string(++entry.attempts));
  const auto progress = [this, id, last = 0.0](double share) mutable {
    if (share - last < 0.02) return;
    last = share;
    QMetaObject::invokeMethod(
        self,
        [this, id, share] {
          Entry* shown = find(id);
          if (!shown || shown->document.state != DocumentState::Extracting) return;
          shown->item.progress = share;
          changed(*shown);
        },
        Qt::QueuedConnection);
  };
  extraction.post([this, id, path = std::filesystem::path(entry.document.path), hash = entry.document.contentHash,
                   password = std::exchange(entry.password, {}), progress, stop = entry.job->get_token()] {
    auto result = std::make_shared<Extraction>(extract(path, hash, password, progress, stop));
    QMetaObject::invokeMethod(
        self, [this, id, result] { extracted(id, result); }, Qt::QueuedConnection);
  });
}

void Assistant::Parts::extracted(qint64 id, std::shared_ptr<Extraction> result) {
  extractingId.reset();
  if (Entry* entry = find(id)) {
    entry->job.reset();
    entry->attempts = 0;
    if (result->cancelled) {
      stopped(*entry);
    } else if (!result->problem.empty()) {
      setState(*entry, DocumentState::Failed, toQt(result->problem), result->failureKind);
    } else {
      writer.perform(
          [id, result](storage::Database& database) {
            storage::Library(database).storeText(id, result->metadata, result->chapters, result->passages,
                                                 result->cover);
          },
          self, [this, id, result](const WriteOutcome& outcome) { textStored(id, *result, outcome); });
    }
  }
  schedule();
}

void Assistant::Parts::textStored(qint64 id, const Extraction& found, const WriteOutcome& outcome) {
  Entry* entry = find(id);
  if (!entry) return;
  if (!outcome.ok()) return setState(*entry, DocumentState::Failed, outcome.problem);
  const DocumentState state = entry->document.state;
  entry->cover = toQt(found.cover);
  reading(
      [&](storage::Database& database) {
        entry->document = storage::Library(database).find(id).value_or(entry->document);
        entry->memories = storage::MemoryStore(database).list(id);  // another text has none
        return true;
      },
      false);
  entry->document.state = state;
  // A pause or a cancel that came while the text was being stored holds.
  if (state == DocumentState::Extracting) {
    enqueue(*entry);
  } else {
    rebuild(*entry);
    changed(*entry);
  }
  emit self->chaptersChanged(id);
  schedule();
}

void Assistant::Parts::startReading(Engine& engine, Entry& entry) {
  const qint64 id = entry.document.id;
  engine.readingId = id;
  for (Engine& other : engines)
    if (other.latestId == id) other.latestId.reset();
  engine.latestId = id;
  entry.job.emplace();
  setState(entry, DocumentState::Reading);
  engine.post([worker = engine.worker, id, stop = entry.job->get_token()] { worker->startReading(id, stop); });
}

void Assistant::Parts::progressed(const ReadingProgress& progress) {
  Entry* entry = find(progress.id);
  if (!entry || entry->document.state != DocumentState::Reading) return;
  ui::LibraryItem& item = entry->item;
  item.progress = progress.share;
  item.tokensPerSecond = progress.tokensPerSecond;
  item.secondsLeft = progress.secondsLeft;
  item.pagesCovered = progress.page;
  item.memoryBytes = progress.memoryBytes;
  item.hasMemory = progress.share > 0;
  changed(*entry);
}

void Assistant::Parts::readingEnded(Engine& engine, const ReadingEnd& end) {
  engine.readingId.reset();
  if (Entry* entry = find(end.id)) {
    entry->job.reset();
    switch (end.outcome) {
      case ReadingEnd::Outcome::Complete:  // Ready as soon as its last checkpoint is stored: memorySaved()
        if (entry->wish != Wish::GoOn && entry->document.state == DocumentState::Reading) stopped(*entry);
        break;
      case ReadingEnd::Outcome::Stopped:
        stopped(*entry);
        break;
      case ReadingEnd::Outcome::Refused:
        setState(*entry, DocumentState::Failed,
                 Assistant::tr("%1 Retry reads the book again from its stored text.").arg(end.problem), "memory");
        break;
      case ReadingEnd::Outcome::Failed:
        readingFailed(engine, *entry, end.problem);
        break;
    }
  }
  schedule();
}

// A device may fail where another does not (its memory is full): that one goes on with the book, and the first is given
// no more until the model is loaded anew, or it would fail on all that wait. A book on which two fail is itself at
// fault.
void Assistant::Parts::readingFailed(Engine& engine, Entry& entry, const QString& why) {
  const qint64 id = entry.document.id;
  engine.latestId.reset();  // what it holds is what is stored, or less
  const auto before = std::ranges::find(engines, std::optional(id), &Engine::failedId);
  if (before != engines.end()) {
    before->failedId.reset();
  } else if (entry.wish == Wish::GoOn) {
    engine.failedId = id;
    if (std::ranges::any_of(engines, &Engine::works)) {
      emit self->notice(Assistant::tr("“%1” goes on on another device, and %2 reads no more. %3")
                            .arg(entry.item.title, engine.name(), why));
      enqueue(entry);
      std::ranges::rotate(toRead, std::prev(toRead.end()));  // it has waited already
      return;
    }
    engine.failedId.reset();
  }
  setState(entry, DocumentState::Failed, why);
}

// Called on the engine's thread, which does not wait for the disk.
void Assistant::Parts::saveMemory(const Engine& engine, std::shared_ptr<const storage::MemoryRecord> memory) {
  storage::MemoryRecord header = *memory;
  header.snapshotBytes = std::ssize(header.snapshot);
  for (const storage::MemoryPartRecord& section : header.sections)
    header.snapshotBytes += std::ssize(*section.snapshot);
  header.snapshot.clear();
  header.sections.clear();
  header.chapters.clear();
  writer.perform(
      [memory](storage::Database& database) {
        storage::Library library(database);
        if (!library.find(memory->documentId)) return;  // removed while it was being read
        storage::MemoryStore(database).save(*memory);
        if (memory->complete) library.setState(memory->documentId, DocumentState::Ready);
      },
      self, [this, &engine, header](const WriteOutcome& outcome) { memorySaved(engine, header, outcome); });
}

void Assistant::Parts::memorySaved(const Engine& by, const storage::MemoryRecord& header, const WriteOutcome& outcome) {
  Entry* entry = find(header.documentId);
  if (!entry) return;
  if (outcome.ok()) forget(header.documentId, &by);  // the others hold an earlier one
  if (outcome.ok()) remember(*entry, header);
  if (outcome.ok() && !header.complete) emit self->chaptersChanged(header.documentId);
  if (outcome.ok() && header.complete) {
    entry->job.reset();  // readingEnded() may come before or after
    entry->wish = Wish::GoOn;
    entry->note.clear();
    setState(*entry, DocumentState::Ready);
    return emit self->chaptersChanged(header.documentId);
  }
  if (outcome.ok()) {
    if (entry->document.state != DocumentState::Paused) return;
    rebuild(*entry);  // the last checkpoint before the pause
    return changed(*entry);
  }
  // What is stored stays; reading on would only lose more. Once is enough to say it.
  if (entry->document.state == DocumentState::Paused || entry->wish != Wish::GoOn) return;
  entry->note = outcome.problem;
  fail(outcome.problem);
  stop(*entry, Wish::Pause);
}

// A job under way ends by itself soon after; a book that only waits is done at once.
void Assistant::Parts::stop(Entry& entry, Wish wish) {
  entry.wish = wish;
  dequeue(entry.document.id);
  if (entry.job)
    entry.job->request_stop();
  else
    stopped(entry);
}

void Assistant::Parts::stopped(Entry& entry) {
  switch (std::exchange(entry.wish, Wish::GoOn)) {
    case Wish::GoOn:  // resumed before the stop was noticed
      enqueue(entry);
      return;
    case Wish::Pause:
      return setState(entry, DocumentState::Paused);
    case Wish::Cancel:
      if (entry.document.textBytes == 0)
        return setState(entry, DocumentState::Failed,
                        Assistant::tr("Cancelled before its text was taken from the file. Retry starts again."));
      entry.note = Assistant::tr("Reading was cancelled; Resume goes on from there");
      return setState(entry, DocumentState::Paused);
  }
}

void Assistant::pause(qint64 id) {
  Parts::Entry* entry = parts_->find(id);
  if (!entry || !parts_->mayWrite(tr("Pausing"))) return;
  const DocumentState state = entry->document.state;
  if (state == DocumentState::Waiting || state == DocumentState::Extracting || state == DocumentState::Reading)
    parts_->stop(*entry, Parts::Wish::Pause);
}

void Assistant::cancel(qint64 id) {
  Parts::Entry* entry = parts_->find(id);
  if (!entry || !parts_->mayWrite(tr("Cancelling"))) return;
  const DocumentState state = entry->document.state;
  if (state == DocumentState::Waiting || state == DocumentState::Extracting || state == DocumentState::Reading)
    parts_->stop(*entry, Parts::Wish::Cancel);
}

void Assistant::resume(qint64 id) {
  Parts::Entry* entry = parts_->find(id);
  if (!entry || !parts_->mayWrite(tr("Reading"))) return;
  if (entry->job) {
    entry->wish = Parts::Wish::GoOn;  // stopping still; stopped() takes it up again
    return;
  }
  const DocumentState state = entry->document.state;
  // Extracting without a job: its text is being stored, and it goes on by itself.
  if (state == DocumentState::Ready || state == DocumentState::Failed || state == DocumentState::Extracting) return;
  parts_->enqueue(*entry);
  parts_->schedule();
}

void Assistant::Parts::forgetAndRead(qint64 id) {
  forget(id);
  writer.perform([id, fingerprint = identity.fingerprint](
                     storage::Database& database) { storage::MemoryStore(database).remove(id, fingerprint); },
                 self,
                 [this, id, fingerprint = identity.fingerprint](const WriteOutcome& outcome) {
                   if (!outcome.ok()) return fail(outcome.problem);
                   if (Entry* forgotten = find(id)) {
                     std::erase_if(forgotten->memories, [&](const auto& m) { return m.fingerprint == fingerprint; });
                     enqueue(*forgotten);
                     emit self->chaptersChanged(id);
                   }
                   schedule();
                 });
}

void Assistant::readAgain(qint64 id) {
  Parts& p = *parts_;
  Parts::Entry* entry = p.find(id);
  if (!entry || entry->job || !p.mayWrite(tr("Reading again"))) return;
  if (entry->document.textBytes == 0 || !p.identity.loaded) return retry(id);
  p.forgetAndRead(id);
}

void Assistant::retry(qint64 id, const QString& password) {
  Parts& p = *parts_;
  Parts::Entry* entry = p.find(id);
  if (!entry || entry->job || !p.mayWrite(tr("Reading again"))) return;
  if (entry->document.textBytes > 0 && entry->document.failureKind == "memory") return p.forgetAndRead(id);
  if (entry->document.state == DocumentState::Ready && entry->item.hasMemory && entry->item.progress >= 1.0) {
    emit notice(tr("“%1” has been read whole; there is nothing to do again.").arg(entry->item.title));
    return;
  }
  entry->password = password.toStdString();
  p.enqueue(*entry);
  p.schedule();
}

void Assistant::remove(qint64 id) {
  Parts& p = *parts_;
  Parts::Entry* entry = p.find(id);
  if (!entry || !p.mayWrite(tr("Removing a book"))) return;
  entry->removing = true;
  p.dequeue(id);
  if (entry->job) entry->job->request_stop();
  p.writer.perform([id](storage::Database& database) { storage::Library(database).remove(id); }, this,
                   [this, &p, id](const WriteOutcome& outcome) {
                     const auto found = p.entries.find(id);
                     if (!outcome.ok()) {
                       p.fail(outcome.problem);
                       found->second.removing = false;
                       found->second.job.reset();
                       return p.setState(found->second, DocumentState::Paused);
                     }
                     p.entries.erase(found);
                     p.forget(id);
                     emit itemRemoved(id);
                   });
}

}  // namespace palimpsest::app
