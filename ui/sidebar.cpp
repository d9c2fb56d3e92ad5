#include "ui/sidebar.h"

#include <QAction>
#include <QEvent>
#include <QKeyEvent>
#include <QLabel>
#include <QLineEdit>
#include <QListView>
#include <QVBoxLayout>
#include <algorithm>

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
    filtering_ = true;
    filter_->setWords(words);
    const QModelIndex index = filter_->mapFromSource(model_->index(std::max(0, model_->rowOf(selected_))));
    if (selected_ > 0 && index.isValid()) {
      list_->setCurrentIndex(index);
    } else {
      list_->selectionModel()->clear();
    }
    filtering_ = false;
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
  list_->setSelectionMode(QAbstractItemView::SingleSelection);
  list_->setEditTriggers(QAbstractItemView::NoEditTriggers);
  list_->setMouseTracking(true);
  list_->setContextMenuPolicy(Qt::CustomContextMenu);
  connect(list_, &QListView::customContextMenuRequested, this, &Sidebar::showMenuAt);
  connect(delegate_, &LibraryDelegate::actionRequested, this, &Sidebar::actionRequested);
  connect(model_, &LibraryModel::rowHeightChanged, list_, [this] { list_->doItemsLayout(); });
  connect(list_->selectionModel(), &QItemSelectionModel::currentChanged, this, [this](const QModelIndex& now) {
    const qint64 id = now.data(LibraryModel::IdRole).toLongLong();
    if (filtering_ || id == 0 || id == selected_) return;
    selected_ = id;
    emit selected(id);
  });
  connect(model_, &QAbstractItemModel::rowsRemoved, this, [this] {
    if (selected_ == 0 || model_->rowOf(selected_) >= 0) return;
    selected_ = list_->currentIndex().data(LibraryModel::IdRole).toLongLong();
    emit selected(selected_);
  });
}

qint64 Sidebar::selectedId() const { return model_->rowOf(selected_) >= 0 ? selected_ : 0; }

void Sidebar::select(qint64 id) {
  const int row = model_->rowOf(id);
  if (row < 0) return;
  const QModelIndex index = filter_->mapFromSource(model_->index(row));
  if (index.isValid()) {
    list_->setCurrentIndex(index);
    list_->scrollTo(index);
  } else if (selected_ != id) {
    selected_ = id;
    emit selected(id);
  }
}

void Sidebar::setReadOnly(bool readOnly) {
  add_->setEnabled(!readOnly);
  hint_->setText(readOnly ? tr("in use by another Palimpsest: look, ask, export") : tr("drop books anywhere"));
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
  if (watched == search_ && event->type() == QEvent::KeyPress) {
    const int key = static_cast<QKeyEvent*>(event)->key();
    if (key == Qt::Key_Down || key == Qt::Key_Return || key == Qt::Key_Enter) {
      list_->setFocus(Qt::TabFocusReason);
      if (!list_->currentIndex().isValid()) list_->setCurrentIndex(filter_->index(0, 0));
      return true;
    }
    if (key == Qt::Key_Escape && !search_->text().isEmpty()) {
      search_->clear();
      return true;
    }
  }
  return QWidget::eventFilter(watched, event);
}

}  // namespace palimpsest::ui
