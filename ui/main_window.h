// The window: puts the pieces together, shows records, and says what the reader wants as signals. It knows nobody who
// fulfils them.
#pragma once

#include <QMainWindow>

#include "ui/conversation_model.h"
#include "ui/export_kind.h"
#include "ui/library_delegate.h"
#include "ui/library_model.h"
#include "ui/records.h"
#include "ui/theme.h"

class QSplitter;
class QStackedWidget;

namespace palimpsest::ui {

class Banner;
class BookPage;
class DropOverlay;
class EmptyLibrary;
class ReaderPane;
class Sidebar;
class SystemScheme;
class WindowActions;

class MainWindow : public QMainWindow {
  Q_OBJECT
 public:
  // `bundledTitle`: the book that came with the program, offered to an empty library; empty = none.
  explicit MainWindow(const QString& bundledTitle = {}, QWidget* parent = nullptr);
  ~MainWindow() override;

  // The smallest size that the window may be given, on a screen with so much room for it.
  static QSize leastSize(const QSize& room);

  qint64 currentBook() const;          // 0 = none, or several
  QList<qint64> currentBooks() const;  // ascending
  qint64 currentConversation() const;  // the book's id, or that of the shelf of several; 0 = not known yet
  void selectBook(qint64 id);
  void selectBooks(const QList<qint64>& ids);
  // Which library is shown: the books last looked at are remembered for each. Before showLibrary().
  void setLibraryFile(const QString& file);
  void setBookPatterns(const QStringList& patterns) { bookPatterns_ = patterns; }  // what "Open books" offers first
  LibraryModel* library() const { return library_; }
  ConversationModel* conversation() const { return conversation_; }

 public slots:
  void showLibrary(const QList<palimpsest::ui::LibraryItem>& items);
  void putItem(const palimpsest::ui::LibraryItem& item);  // new or changed
  void removeItem(qint64 id);
  void showModel(const palimpsest::ui::ModelStatus& status);
  void showConversation(qint64 id, const QList<palimpsest::ui::ConversationItem>& items);
  // The several books that are selected, and the id by which they are asked at once.
  void showShelf(qint64 shelf, const QList<palimpsest::ui::ConversationItem>& items);
  void showChapters(qint64 id, const QList<palimpsest::ui::Chapter>& chapters);  // of the selected book
  void answerStarted(qint64 id, const palimpsest::ui::ConversationItem& item);
  void answerText(qint64 id, const QString& piece);
  void answerFinished(qint64 id, const palimpsest::ui::ConversationItem& item);
  void showStoredText(qint64 id, const QString& text, const palimpsest::ui::Quote& quote);
  void showExported(qint64 id, const QString& file);
  void showProblem(const QString& sentence);
  void withdrawProblem(const QString& sentence);  // it is solved
  void showClosedLibrary(const QString& why);     // instead of an empty library: it could not be opened
  void setReadOnly(bool readOnly);                // it cannot be written now: verbs that write are switched off
  void comeForward();
  void showNotice(const QString& sentence);

 signals:
  void addFilesRequested(const QStringList& files);
  void bundledBookRequested();
  void bookSelected(qint64 id);                    // showConversation() and showChapters() should follow
  void shelfSelected(const QList<qint64>& books);  // showShelf() should follow
  void askRequested(qint64 id, const QString& question, palimpsest::ui::AnswerWay way,
                    const palimpsest::ui::BookPart& part);
  void summarizeRequested(qint64 id, const palimpsest::ui::BookPart& part);
  void stopRequested();
  void exportRequested(qint64 id, const QString& file, palimpsest::ui::ExportKind kind);
  void pauseRequested(qint64 id);
  void resumeRequested(qint64 id);
  void cancelRequested(qint64 id);
  void retryRequested(qint64 id, const QString& password);
  void readAgainRequested(qint64 id);                                       // the person has confirmed
  void removeRequested(qint64 id);                                          // the person has confirmed
  void clearConversationRequested(qint64 id);                               // of a book or a shelf
  void storedTextRequested(qint64 id, const palimpsest::ui::Quote& quote);  // showStoredText() should follow
  void modelFolderChosen(const QString& folder);
  void shippedModelRequested();
  void closed();

 protected:
  void dragEnterEvent(QDragEnterEvent* event) override;
  void dragLeaveEvent(QDragLeaveEvent* event) override;
  void dropEvent(QDropEvent* event) override;
  void resizeEvent(QResizeEvent* event) override;
  void closeEvent(QCloseEvent* event) override;
  void changeEvent(QEvent* event) override;

 private:
  void arrange();
  void connectPieces();
  void connectActions();
  void recall();  // geometry, theme, way, last book
  void remember();
  QList<LibraryItem> currentItems() const;
  void refresh();           // what depends on the selected books, the model and the answer that streams
  void showPage(bool any);  // the page of a book, or the empty library
  void placeReader();
  void closeReader();
  void stopOrGoBack();
  void chooseModel();
  void openFiles();
  void exportCurrent();
  void retry(qint64 id);
  void summarise();
  void readAgain();
  void removeCurrent();
  void clearCurrent();
  void act(qint64 id, BookAction action);
  void setTheme(ThemeChoice choice);
  void dress();  // the application, in the theme that is chosen
  void showAbout();

  LibraryModel* library_;
  ConversationModel* conversation_;
  Banner* modelBanner_;
  Banner* problemBanner_;
  Banner* noticeBanner_;
  QSplitter* splitter_;
  Sidebar* sidebar_;
  QStackedWidget* stack_;
  EmptyLibrary* empty_;
  BookPage* page_;
  ReaderPane* reader_;
  DropOverlay* overlay_;
  WindowActions* actions_;
  SystemScheme* scheme_;
  QStringList bookPatterns_;
  QString exportedFolder_;
  bool readOnly_ = false;
  QString librarySettings_;  // where the settings keep what belongs to this library
  QList<qint64> lastBooks_;  // selected when the window was closed
  qint64 shelf_ = 0;         // the id of the several books that are selected; 0 = one book, or not known yet
  ThemeChoice theme_ = ThemeChoice::System;
};

}  // namespace palimpsest::ui
