// The questions that the window asks. None of them waits: the answer comes to a function, or does not come.
#pragma once

#include <QStringList>
#include <functional>

#include "ui/export_kind.h"
#include "ui/records.h"

class QWidget;

namespace palimpsest::ui::dialogs {

// `patterns`: file names that are offered first, "*.epub" and the like.
void openBooks(QWidget* parent, const QStringList& patterns, std::function<void(const QStringList& files)> then);
void exportBook(QWidget* parent, const QString& title, std::function<void(const QString& file)> then);
void rememberFolderOf(const QString& file);  // where the next dialog opens
// Says what is lost and what is not. The safe button is the default one.
void confirmRemovals(QWidget* parent, const QList<LibraryItem>& books, std::function<void()> then);  // of several
void confirmRemoval(QWidget* parent, const LibraryItem& item, int turns, bool others, std::function<void()> then);
void confirmReadingAgain(QWidget* parent, const LibraryItem& item, std::function<void()> then);
void confirmClear(QWidget* parent, const LibraryItem& item, std::function<void()> then);
void confirmClearShelf(QWidget* parent, const QList<LibraryItem>& books, std::function<void()> then);
void askPassword(QWidget* parent, const LibraryItem& item, std::function<void(const QString& password)> then);
void chooseModelFolder(QWidget* parent, std::function<void(const QString& folder)> then);

}  // namespace palimpsest::ui::dialogs
