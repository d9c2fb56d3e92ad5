#include "ui/sidebar.h"

#include <QAction>
#include <QEvent>
#include <QKeyEvent>
#include <QLabel>
#include <QLineEdit>
#include <QListView>
#include <QScrollBar>
#include <QVBoxLayout>
#include <algorithm>
#include <iterator>
#include <utility>

#include "ui/icon_button.h"
#include "ui/icons.h"
#include "ui/theme.h"

namespace palimpsest::ui {

Sidebar::Sidebar(LibraryModel* model, QWidget* parent)
    : QWidget(parent),
      model_(model),
      filter_(new LibraryFilter(this)),
      delegate_(new LibraryDelegate(this)),
      search_(new QLineEdit(this)),
      list_(new QListView(this)),
      nothingFound_(new QLabel(tr("No book has these words in its title or author."), this)) {
  setObjectName(QStringLiteral("sidebar"));
  setAttribute(Qt::WA_StyledBackground);
  setMinimumWidth(236);
  filter_->setSourceModel(model_);
  makeSearch();
  makeList();
  nothingFound_->setProperty("faded", true);
  nothingFound_->setWordWrap(true);
  nothingFound_->setContentsMargins(18, 4, 18, 0);
  nothingFound_->hide();
  hint_ = new QLabel(this);
  hint_->setObjectName(QStringLiteral("dropHint"));
  hint_->setFont(uiFont(0.88));
  hint_->setAlignment(Qt::AlignCenter);

  auto* column = new QVBoxLayout(this);
  column->setContentsMargins(0, 14, 0, 12);
  column->setSpacing(10);
  column->addLayout(makeHead());
  auto* searchRow = new QVBoxLayout;
  searchRow->setContentsMargins(16, 0, 16, 0);
  searchRow->addWidget(search_);
  column->addLayout(searchRow);
  column->addWidget(nothingFound_);
  column->addWidget(list_, 1);
  column->addWidget(hint_);
  setReadOnly(false);
}

QLayout* Sidebar::makeHead() {
  auto* heading = new QLabel(tr("Library"), this);
  heading->setFont(bookFont(1.35));
  auto* add = new IconButton(QStringLiteral("add"), tr("Add"), IconButton::Kind::Normal, this);
  add->setObjectName(QStringLiteral("addButton"));
  add->setAccessibleName(tr("Add books"));
  add->setToolTip(tr("Open books from this computer (Ctrl+O)"));
  connect(add, &QPushButton::clicked, this, &Sidebar::addRequested);
  add_ = add;
  auto* row = new QHBoxLayout;
  row->setContentsMargins(18, 0, 16, 0);
  row->addWidget(heading);
  row->addStretch();
  row->addWidget(add);
  return row;
}

void Sidebar::makeSearch() {
  search_->setObjectName(QStringLiteral("librarySearch"));
  search_->setPlaceholderText(tr("find a book"));
  search_->setAccessibleName(tr("Find a book in the library"));
  search_->setClearButtonEnabled(true);
  search_->setAcceptDrops(false);  // files dropped here are for the window
  search_->installEventFilter(this);
  searchIcon_ = search_->addAction(icon(QStringLiteral("search"), currentColours().faded), QLineEdit::LeadingPosition);
  connect(search_, &QLineEdit::textChanged, this, [this](const QString& words) {
    // A book that the search hides stays the one shown; it is only out of sight.
    adjusting_ = true;
    filter_->setWords(words);
    showChosen();
    adjusting_ = false;
    nothingFound_->setVisible(!words.trimmed().isEmpty() && filter_->rowCount() == 0);
  });
}

void Sidebar::makeList() {
  list_->setObjectName(QStringLiteral("libraryList"));
  list_->setAccessibleName(tr("Books"));
  list_->setModel(filter_);
  list_->setItemDelegate(delegate_);
  list_->setResizeMode(QListView::Adjust);
  list_->setVerticalScrollMode(QAbstractItemView::ScrollPerPixel);
  list_->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
  list_->setSelectionMode(QAbstractItemView::ExtendedSelection);
  list_->setEditTriggers(QAbstractItemView::NoEditTriggers);
  list_->setMouseTracking(true);
  list_->setContextMenuPolicy(Qt::CustomContextMenu);
  connect(list_, &QListView::customContextMenuRequested, this, &Sidebar::showMenuAt);
  connect(delegate_, &LibraryDelegate::actionRequested, this, &Sidebar::actionRequested);
  connect(model_, &LibraryModel::rowHeightChanged, list_, [this] {
    list_->doItemsLayout();
    bringIntoView();
  });
  // The list gets its size after the remembered book is selected, and rows their height when the model is there.
  list_->viewport()->installEventFilter(this);
  connect(list_->verticalScrollBar(), &QScrollBar::actionTriggered, this, [this] { inView_ = false; });
  connect(list_->selectionModel(), &QItemSelectionModel::selectionChanged, this, [this] {
    if (adjusting_) return;
    QList<qint64> ids;
    for (const QModelIndex& index : list_->selectionModel()->selectedIndexes())
      ids << index.data(LibraryModel::IdRole).toLongLong();
    if (!ids.isEmpty()) return choose(ids);
    // A click beside the books, or Ctrl on the only one: it stays the one shown, and the list says so. Later, for rows
    // may be on their way out.
    QMetaObject::invokeMethod(
        this,
        [this] {
          if (!list_->selectionModel()->hasSelection()) showChosen();
        },
        Qt::QueuedConnection);
  });
  connect(model_, &QAbstractItemModel::rowsRemoved, this, [this] {
    const QList<qint64> left = selectedIds();
    if (left.size() == chosen_.size()) return;
    if (!left.isEmpty()) return choose(left);
    choose({list_->currentIndex().data(LibraryModel::IdRole).toLongLong()});
    showChosen();
  });
}

qint64 Sidebar::selectedId() const {
  const QList<qint64> ids = selectedIds();
  return ids.size() == 1 ? ids.constFirst() : 0;
}

QList<qint64> Sidebar::selectedIds() const {
  QList<qint64> ids;
  for (const qint64 id : chosen_)
    if (model_->rowOf(id) >= 0) ids << id;
  return ids;
}

QList<qint64> Sidebar::highlightedIds() const {
  QList<qint64> ids;
  for (const QModelIndex& index : list_->selectionModel()->selectedIndexes())
    ids << index.data(LibraryModel::IdRole).toLongLong();
  return ids;
}

void Sidebar::choose(const QList<qint64>& ids) {
  QList<qint64> sorted;
  std::ranges::copy_if(ids, std::back_inserter(sorted), [this](qint64 id) {
    const auto item = model_->item(id);
    return item && !item->couldNotBeRead();
  });
  if (ids.size() == 1 || sorted.isEmpty()) sorted = ids;
  std::ranges::sort(sorted);
  if (sorted == chosen_) return;
  chosen_ = sorted;
  chosen_.size() == 1 ? emit selected(chosen_.constFirst()) : emit severalSelected(chosen_);
}

// Selects in the list what is chosen, as far as the search shows it.
void Sidebar::showChosen() {
  QItemSelection visible;
  for (const qint64 id : selectedIds())
    if (const QModelIndex index = filter_->mapFromSource(model_->index(model_->rowOf(id))); index.isValid())
      visible.select(index, index);
  QItemSelectionModel* selection = list_->selectionModel();
  if (visible.isEmpty()) return selection->clear();
  if (!visible.contains(selection->currentIndex()))
    selection->setCurrentIndex(visible.constFirst().topLeft(), QItemSelectionModel::NoUpdate);
  selection->select(visible, QItemSelectionModel::ClearAndSelect);
}

void Sidebar::select(const QList<qint64>& ids) {
  QList<qint64> there;
  std::ranges::copy_if(ids, std::back_inserter(there), [this](qint64 id) { return model_->rowOf(id) >= 0; });
  if (there.isEmpty()) return;
  choose(there);
  const bool before = std::exchange(adjusting_, true);  // what the list then selects is chosen already
  showChosen();
  adjusting_ = before;
  inView_ = true;
  bringIntoView();
}

void Sidebar::bringIntoView() {
  if (inView_ && list_->currentIndex().isValid()) list_->scrollTo(list_->currentIndex());
}

void Sidebar::setReadOnly(bool readOnly) {
  add_->setEnabled(!readOnly);
  hint_->setText(readOnly ? tr("cannot be changed now: look, ask, export") : tr("drop books anywhere"));
  delegate_->setReadOnly(readOnly);
  list_->doItemsLayout();
}

void Sidebar::focusSearch() {
  search_->setFocus(Qt::ShortcutFocusReason);
  search_->selectAll();
}

void Sidebar::showMenuAt(const QPoint& viewportPosition) {
  QModelIndex index = list_->indexAt(viewportPosition);
  if (!index.isValid()) index = list_->currentIndex();  // from the keyboard
  if (index.isValid())
    emit menuRequested(index.data(LibraryModel::IdRole).toLongLong(), list_->viewport()->mapToGlobal(viewportPosition));
}

void Sidebar::changeEvent(QEvent* event) {
  QWidget::changeEvent(event);
  if (isThemeChange(event) && searchIcon_) {
    searchIcon_->setIcon(icon(QStringLiteral("search"), currentColours().faded));
  }
}

bool Sidebar::eventFilter(QObject* watched, QEvent* event) {
  if (watched == list_->viewport() && event->type() == QEvent::Resize)
    QMetaObject::invokeMethod(this, &Sidebar::bringIntoView, Qt::QueuedConnection);  // the list lays itself out first
  if (watched == search_ && (event->type() == QEvent::KeyPress || event->type() == QEvent::ShortcutOverride)) {
    const int key = static_cast<QKeyEvent*>(event)->key();
    const bool clears = key == Qt::Key_Escape && !search_->text().isEmpty();
    if (event->type() == QEvent::ShortcutOverride) {  // Esc is the window's otherwise
      if (clears) event->accept();
      return clears;
    }
    if (key == Qt::Key_Down || key == Qt::Key_Return || key == Qt::Key_Enter) {
      list_->setFocus(Qt::TabFocusReason);
      // The list keeps a current book that is not selected while the search hides the one that is.
      if (!list_->selectionModel()->hasSelection())
        list_->selectionModel()->setCurrentIndex(filter_->index(0, 0), QItemSelectionModel::ClearAndSelect);
      return true;
    }
    if (clears) {
      search_->clear();
      return true;
    }
  }
  return QWidget::eventFilter(watched, event);
}

}  // namespace palimpsest::ui
