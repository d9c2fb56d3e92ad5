#include "ui/part_selector.h"

#include <QAction>
#include <QMenu>
#include <algorithm>

#include "ui/quote_place.h"

namespace palimpsest::ui {
namespace {

constexpr qsizetype kLongestOnButton = 26, kLongestInMenu = 60;

QString shortened(const QString& text, qsizetype most) {
  return text.size() > most ? text.left(most - 1).trimmed() + QChar(0x2026) : text;
}

QString escaped(QString text) { return text.replace(QLatin1Char('&'), QStringLiteral("&&")); }  // of a button or a menu

}  // namespace

PartSelector::PartSelector(QWidget* parent) : QPushButton(parent), menu_(new QMenu(this)) {
  setObjectName(QStringLiteral("partSelector"));
  setAccessibleName(tr("Part of the book"));
  setAutoDefault(false);
  setMenu(menu_);
  // Made when it is opened: a book has many chapters, and what is remembered changes while it is read.
  connect(menu_, &QMenu::aboutToShow, this, &PartSelector::fill);
  refresh();
}

void PartSelector::setChapters(const QList<Chapter>& chapters, bool mayReadAgain) {
  const auto there = std::ranges::find(chapters, part_.chapter, &Chapter::ordinal);
  if (there == chapters.end()) part_ = {};
  chapters_ = chapters;
  mayReadAgain_ = mayReadAgain;
  refresh();
}

void PartSelector::setFromPassages(bool fromPassages) {
  fromPassages_ = fromPassages;
  refresh();
}

bool PartSelector::possible(const Chapter& chapter, BookPart::Kind kind) const {
  if (fromPassages_) return chapter.hasText;
  return kind == BookPart::Kind::UpToChapter ? chapter.upTo : chapter.alone;
}

QString PartSelector::titleOf(const BookPart& part) const {
  const auto chapter = std::ranges::find(chapters_, part.chapter, &Chapter::ordinal);
  return chapter == chapters_.end() ? QString() : chapter->title;
}

void PartSelector::choose(const BookPart& part) {
  part_ = part;
  refresh();
  emit chosen(part_);
}

void PartSelector::refresh() {
  const QString chapter = shortened(chapterWords(titleOf(part_)), kLongestOnButton);
  setText(part_.kind == BookPart::Kind::Whole         ? tr("Whole book")
          : part_.kind == BookPart::Kind::UpToChapter ? tr("Up to %1").arg(escaped(chapter))
                                                      : tr("Only %1").arg(escaped(chapter)));
  setToolTip(part_.kind == BookPart::Kind::Whole ? tr("Ask the whole book, or only what stands up to a chapter")
             : part_.kind == BookPart::Kind::UpToChapter
                 ? tr("Answers as one who has read to the end of this chapter: nothing later is given away")
                 : tr("Answers from what this chapter alone says"));
  setVisible(!chapters_.isEmpty());
}

void PartSelector::add(QMenu* menu, const QString& text, const BookPart& part, bool enabled) {
  QAction* action = menu->addAction(escaped(text), this, [this, part] { choose(part); });
  action->setCheckable(true);
  action->setChecked(part == part_);
  action->setEnabled(enabled);
}

void PartSelector::fill() {
  menu_->clear();
  add(menu_, tr("Whole book"), {}, true);
  QMenu* upTo = menu_->addMenu(tr("Up to chapter"));
  QMenu* only = menu_->addMenu(tr("Only chapter"));
  bool lacking = false;
  for (const Chapter& chapter : chapters_) {
    const QString words =
        QString(4 * chapter.level, QLatin1Char(' ')) + shortened(chapterWords(chapter.title), kLongestInMenu);
    for (const auto& [menu, kind] :
         {std::pair(upTo, BookPart::Kind::UpToChapter), std::pair(only, BookPart::Kind::Chapter)})
      add(menu, words, {kind, chapter.ordinal}, possible(chapter, kind));
    lacking = lacking || (chapter.hasText && !chapter.alone);
  }
  // Where more chapters than can be remembered stand on one level, none may be known alone: yet a second reading would
  // find no more of them.
  if (!lacking || haveMemoriesOfTheirOwn(chapters_) || !mayReadAgain_ || fromPassages_) return;
  menu_->addSeparator();
  menu_->addAction(tr("Read again, to remember its chapters…"), this, &PartSelector::readAgainRequested);
}

}  // namespace palimpsest::ui
