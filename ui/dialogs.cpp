#include "ui/dialogs.h"

#include <QCoreApplication>
#include <QDir>
#include <QFileDialog>
#include <QInputDialog>
#include <QLayout>
#include <QLineEdit>
#include <QMessageBox>
#include <QPushButton>
#include <QStandardPaths>

#include "ui/icons.h"
#include "ui/settings.h"
#include "ui/theme.h"
#include "ui/words.h"

namespace palimpsest::ui::dialogs {
namespace {

struct Dialogs {
  Q_DECLARE_TR_FUNCTIONS(Dialogs)
};

const QString kLastFolder = QStringLiteral("dialogs/lastFolder");

// A folder that is not there would stand in the dialog as the name of a file.
QString lastFolder() {
  const QString documents = QStandardPaths::writableLocation(QStandardPaths::DocumentsLocation);
  for (const QString& folder : {openSettings().value(kLastFolder).toString(), documents})
    if (!folder.isEmpty() && QFileInfo(folder).isDir()) return folder;
  return QDir::homePath();
}

void confirm(QWidget* parent, const QString& question, const QString& loss, const QString& verb,
             std::function<void()> then) {
  auto* box = new QMessageBox(QMessageBox::NoIcon, QString(), question, QMessageBox::Cancel, parent);
  box->setIconPixmap(
      icon(QStringLiteral("warning"), currentColours().rubric).pixmap(QSize(32, 32), parent->devicePixelRatioF()));
  box->setAttribute(Qt::WA_DeleteOnClose);
  box->setTextFormat(Qt::PlainText);
  box->setInformativeText(loss);
  QPushButton* destroy = box->addButton(verb, QMessageBox::DestructiveRole);
  destroy->setObjectName(QStringLiteral("destroyButton"));
  box->setDefaultButton(QMessageBox::Cancel);
  box->setEscapeButton(QMessageBox::Cancel);
  QObject::connect(destroy, &QPushButton::clicked, box, [then = std::move(then)] { then(); });
  box->layout()->setContentsMargins(22, 22, 22, 16);  // last: a message box lays itself out anew with each change
  box->open();
}

QString shortTitle(const LibraryItem& item) {
  return item.title.size() > 90 ? item.title.left(88).trimmed() + QChar(0x2026) : item.title;
}

}  // namespace

void rememberFolderOf(const QString& file) { openSettings().setValue(kLastFolder, QFileInfo(file).absolutePath()); }

void openBooks(QWidget* parent, const QStringList& patterns, std::function<void(const QStringList&)> then) {
  auto* dialog = new QFileDialog(parent, Dialogs::tr("Open books"), lastFolder());
  dialog->setAttribute(Qt::WA_DeleteOnClose);
  dialog->setFileMode(QFileDialog::ExistingFiles);
  QStringList filters{Dialogs::tr("All files (*)")};
  if (!patterns.isEmpty()) filters.prepend(Dialogs::tr("Books (%1)").arg(patterns.join(QLatin1Char(' '))));
  dialog->setNameFilters(filters);
  QObject::connect(dialog, &QFileDialog::filesSelected, parent, [then = std::move(then)](const QStringList& files) {
    if (files.isEmpty()) return;
    rememberFolderOf(files.constFirst());
    then(files);
  });
  dialog->open();
}

void exportBook(QWidget* parent, const QString& title, std::function<void(const QString&)> then) {
  auto* dialog = new QFileDialog(parent, Dialogs::tr("Export"), lastFolder());
  dialog->setAttribute(Qt::WA_DeleteOnClose);
  dialog->setAcceptMode(QFileDialog::AcceptSave);
  const QStringList filters{Dialogs::tr("Markdown (*.md)"), Dialogs::tr("HTML (*.html)"), Dialogs::tr("PDF (*.pdf)"),
                            Dialogs::tr("Plain text (*.txt)")};
  dialog->setNameFilters(filters);
  dialog->setDefaultSuffix(QStringLiteral("md"));
  // With its suffix, for "Dr. Jekyll and Mr. Hyde" seems to have one.
  dialog->selectFile(fileNameFor(title) + QStringLiteral(".md"));
  // The suffix that is typed decides; the filter that is chosen writes one.
  QObject::connect(dialog, &QFileDialog::filterSelected, dialog, [dialog, filters](const QString& filter) {
    const QString suffix = suffixOf(static_cast<ExportKind>(std::max<qsizetype>(0, filters.indexOf(filter))));
    dialog->setDefaultSuffix(suffix);
    const QStringList files = dialog->selectedFiles();
    if (files.isEmpty() || !exportKindOf(files.constFirst())) return;
    dialog->selectFile(QFileInfo(files.constFirst()).completeBaseName() + QLatin1Char('.') + suffix);
  });
  QObject::connect(dialog, &QFileDialog::fileSelected, parent, [then = std::move(then)](const QString& file) {
    if (!file.isEmpty()) then(file);
  });
  dialog->open();
}

void confirmRemoval(QWidget* parent, const LibraryItem& item, int turns, bool others, std::function<void()> then) {
  confirm(parent, Dialogs::tr("Remove “%1” from the library?").arg(shortTitle(item)),
          words::removalLoss(item, turns, others), Dialogs::tr("Remove"), std::move(then));
}

void confirmRemovals(QWidget* parent, const QList<LibraryItem>& books, std::function<void()> then) {
  constexpr qsizetype kNamed = 8;  // a message box does not scroll
  QStringList titles;
  for (const LibraryItem& book : books.first(std::min(kNamed, books.size()))) titles << shortTitle(book);
  QString named = titles.join(QStringLiteral(" · "));
  if (books.size() > kNamed)
    named = Dialogs::tr("%1 and %n more", nullptr, static_cast<int>(books.size() - kNamed)).arg(named);
  confirm(
      parent, Dialogs::tr("Remove these %n books from the library?", nullptr, static_cast<int>(books.size())),
      Dialogs::tr("This deletes all that is stored of them, their memories and conversations too: %1. The files that "
                  "you added stay where they are. This cannot be undone.")
          .arg(named),
      Dialogs::tr("Remove"), std::move(then));
}

void confirmReadingAgain(QWidget* parent, const LibraryItem& item, std::function<void()> then) {
  QString loss = Dialogs::tr(
      "Its memory is made anew from the stored text, and its chapters are remembered one by one. Until then there is "
      "only what has been read again. Its conversation stays.");
  if (const int seconds = static_cast<int>(item.secondsSpent + 0.5); item.secondsSpent >= 1)
    loss += QLatin1Char(' ') + (seconds == 1 ? Dialogs::tr("The last reading took one second.")
                                             : Dialogs::tr("The last reading took %n seconds.", nullptr, seconds));
  confirm(parent, Dialogs::tr("Read “%1” again?").arg(shortTitle(item)), loss, Dialogs::tr("Read again"),
          std::move(then));
}

void confirmClear(QWidget* parent, const LibraryItem& item, std::function<void()> then) {
  confirm(
      parent, Dialogs::tr("Delete the conversation about “%1”?").arg(shortTitle(item)),
      Dialogs::tr(
          "Its questions and answers are deleted. The book, its memory and its summary stay. This cannot be undone."),
      Dialogs::tr("Delete"), std::move(then));
}

void confirmClearShelf(QWidget* parent, const QList<LibraryItem>& books, std::function<void()> then) {
  confirm(parent, Dialogs::tr("Delete the conversation about these %n books?", nullptr, static_cast<int>(books.size())),
          Dialogs::tr("The questions that were asked of all of them at once are deleted, with their answers: %1. The "
                      "books, their memories and their own conversations stay. This cannot be undone.")
              .arg(words::titles(books)),
          Dialogs::tr("Delete"), std::move(then));
}

void askPassword(QWidget* parent, const LibraryItem& item, std::function<void(const QString&)> then) {
  auto* dialog = new QInputDialog(parent);
  dialog->setAttribute(Qt::WA_DeleteOnClose);
  dialog->setWindowTitle(Dialogs::tr("Password"));
  dialog->setLabelText(
      Dialogs::tr("“%1” is locked. Its password is used once, to read the text, and not kept.").arg(shortTitle(item)));
  dialog->setTextEchoMode(QLineEdit::Password);
  dialog->setInputMode(QInputDialog::TextInput);
  dialog->setOkButtonText(Dialogs::tr("Unlock and read"));
  QObject::connect(dialog, &QInputDialog::textValueSelected, parent,
                   [then = std::move(then)](const QString& password) { then(password); });
  dialog->open();
}

void chooseModelFolder(QWidget* parent, std::function<void(const QString&)> then) {
  auto* dialog = new QFileDialog(parent, Dialogs::tr("Choose the folder of a model"), lastFolder());
  dialog->setAttribute(Qt::WA_DeleteOnClose);
  dialog->setFileMode(QFileDialog::Directory);
  dialog->setOption(QFileDialog::ShowDirsOnly);
  QObject::connect(dialog, &QFileDialog::fileSelected, parent, [then = std::move(then)](const QString& folder) {
    if (!folder.isEmpty()) then(folder);
  });
  dialog->open();
}

}  // namespace palimpsest::ui::dialogs
