// One window per library: a second launch gives its files to the window that is open, and ends.
#pragma once

#include <QLocalServer>
#include <QObject>
#include <QStringList>
#include <filesystem>

namespace palimpsest::app::gui {

// true: a window with this library is open, has taken the files and comes to the front. Waits a few seconds at most;
// false at once where no window listens.
bool handOver(const std::filesystem::path& database, const QStringList& files);

// The other end, in the window that holds the library's writer lock. Lives on the UI thread.
class Reception : public QObject {
  Q_OBJECT
 public:
  using QObject::QObject;
  // Takes the place of one that a killed window left behind: only whoever holds the writer lock may call this.
  void open(const std::filesystem::path& database);
  void close() { server_.close(); }

 signals:
  void arrived(const QStringList& files);  // may be empty: only the window is wanted

 private:
  void welcome();
  QLocalServer server_;
};

}  // namespace palimpsest::app::gui
