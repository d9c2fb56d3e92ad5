// Joins the window and the Assistant: the one's wishes are the other's verbs, the other's signals the one's records.
#pragma once

#include <QObject>
#include <memory>

#include "app/assistant.h"
#include "app/gui_handover.h"

namespace palimpsest::ui {
class MainWindow;
}

namespace palimpsest::app::gui {

// Lives on the UI thread; the window outlives it. Destroying it checkpoints what is being read.
class Wiring : public QObject {
  Q_OBJECT
 public:
  Wiring(ui::MainWindow& window, AssistantOptions options);
  ~Wiring() override;

  // Opens the library; `files` are added as soon as it is open.
  void start(const QStringList& files);

 private:
  void connectWindow();
  void connectAssistant();
  void add(const QStringList& files);
  void libraryOpened();
  void showConversation(qint64 id);
  void showChapters(qint64 id);
  void showShelf(const QList<qint64>& books);
  void useModel(const QString& folder);
  void useShippedModel();
  void showModel(ui::ModelStatus status);
  void showFailure(const QString& sentence);
  void receive(const QStringList& files);  // from a second launch

  ui::MainWindow& window_;
  AssistantOptions options_;
  std::unique_ptr<Assistant> assistant_;
  Reception reception_;
  QString chosenModel_;  // a folder that is being tried; kept once it has been loaded
  QStringList waiting_;  // files that came before the library was open for writing
  ui::Quote wanted_;     // the quote whose place is to be shown once the text is there
  QString single_;       // a file that was added alone: its book is brought to the front
  QString whyReadOnly_;  // that the window shows
  bool isOpen_ = false;
};

}  // namespace palimpsest::app::gui
