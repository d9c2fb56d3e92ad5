// A thread that does what is posted to it, one thing after the other.
#pragma once

#include <QObject>
#include <QThread>
#include <functional>

namespace palimpsest::app {

// post() may be called from any thread. Destruction does what was posted before, then joins.
class WorkerThread {
 public:
  explicit WorkerThread(const QString& name);
  ~WorkerThread();
  WorkerThread(const WorkerThread&) = delete;
  WorkerThread& operator=(const WorkerThread&) = delete;

  void post(std::function<void()> work);

 private:
  QThread thread_;
  QObject* context_;  // lives on thread_
};

}  // namespace palimpsest::app
