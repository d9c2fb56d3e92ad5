#include "ui/turn_widget.h"

#include <QEvent>
#include <QLabel>
#include <QLayout>
#include <QLocale>
#include <QStyle>
#include <algorithm>

#include "ui/icon_button.h"
#include "ui/icons.h"
#include "ui/plain_text_block.h"
#include "ui/quote_card.h"
#include "ui/quote_place.h"
#include "ui/theme.h"
#include "ui/words.h"

namespace palimpsest::ui {
namespace {

constexpr int kIconSide = 17;

bool sameQuotes(const QList<Quote>& a, const QList<Quote>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Quote& x, const Quote& y) { return x.begin == y.begin && x.text == y.text; });
}

constexpr qsizetype kLongestTitle = 60;

QString escaped(QString caption) { return caption.replace(QLatin1Char('&'), QStringLiteral("&&")); }  // of a button

// How likely each book alone makes the answer, for whoever wants to know how sure the name is.
QString scoreLines(const QList<BookScore>& scores) {
  QStringList lines{
      TurnWidget::tr("Show this book. How well each one alone supports the answer (log-probability per token):")};
  for (const BookScore& score : scores)
    lines << TurnWidget::tr("%1  %2").arg(QLocale().toString(score.logProbability, 'f', 2),
                                          score.title.left(kLongestTitle));
  return lines.join(QLatin1Char('\n')).toHtmlEscaped().replace(QLatin1Char('\n'), QStringLiteral("<br>"));
}

}  // namespace

TurnWidget::TurnWidget(const ConversationItem& item, QWidget* parent)
    : QWidget(parent),
      question_(new PlainTextBlock(this)),
      originIcon_(new QLabel(this)),
      origin_(new QLabel(this)),
      stop_(new IconButton(QStringLiteral("stop"), tr("Stop"), IconButton::Kind::Normal, this)),
      answer_(new PlainTextBlock(this)),
      steps_(new QLabel(this)),
      remark_(new QLabel(this)),
      supporting_(new IconButton(QStringLiteral("book"), QString(), IconButton::Kind::Normal, this)),
      book_(new QWidget(this)),
      quotes_(new QVBoxLayout) {
  question_->setObjectName(QStringLiteral("question"));
  question_->setTextFont(uiFont(1.14, QFont::DemiBold), 110);
  question_->setFocusPolicy(Qt::ClickFocus);
  answer_->setObjectName(QStringLiteral("answer"));
  answer_->setTextFont(uiFont(1.06), 128);
  remark_->setObjectName(QStringLiteral("remark"));
  remark_->setTextFormat(Qt::PlainText);
  remark_->setWordWrap(true);
  remark_->setContentsMargins(0, 4, 0, 0);

  steps_->setObjectName(QStringLiteral("steps"));
  steps_->setTextFormat(Qt::PlainText);
  steps_->setWordWrap(true);
  steps_->setContentsMargins(0, 4, 0, 0);
  steps_->setProperty("faded", true);
  steps_->setFont(uiFont(0.92));

  supporting_->setObjectName(QStringLiteral("supportingBook"));
  supporting_->setProperty("small", true);
  supporting_->setIconSize({14, 14});
  supporting_->setFont(uiFont(0.92));
  connect(supporting_, &QPushButton::clicked, this, [this] { emit bookOpened(item_.bookId); });

  auto* column = new QVBoxLayout(this);
  column->setContentsMargins(0, 0, 0, 0);
  column->setSpacing(0);
  column->addWidget(question_);
  column->addSpacing(6);
  column->addWidget(makeOrigin());
  column->addSpacing(6);
  column->addWidget(answer_);
  column->addWidget(remark_);
  column->addWidget(steps_);
  auto* supportingRow = new QVBoxLayout;
  supportingRow->setContentsMargins(0, 8, 0, 0);
  supportingRow->addWidget(supporting_, 0, Qt::AlignLeft);
  column->addLayout(supportingRow);
  column->addWidget(makeBook());
  item_.id = -1;  // nothing shown yet
  show(item);
}

QWidget* TurnWidget::makeOrigin() {
  auto* line = new QWidget(this);
  originIcon_->setFixedSize(kIconSide, kIconSide);
  origin_->setObjectName(QStringLiteral("origin"));
  origin_->setTextFormat(Qt::PlainText);
  origin_->setProperty("rubric", true);
  origin_->setFont(uiFont(0.92));
  stop_->setObjectName(QStringLiteral("stopButton"));
  stop_->setProperty("small", true);
  stop_->setIconSize({14, 14});
  stop_->setFont(uiFont(0.92));
  stop_->setAccessibleName(tr("Stop this answer"));
  stop_->setToolTip(tr("Stop this answer (Esc)"));
  connect(stop_, &QPushButton::clicked, this, &TurnWidget::stopRequested);
  auto* row = new QHBoxLayout(line);
  row->setContentsMargins(0, 0, 0, 0);
  row->setSpacing(7);
  row->addWidget(originIcon_);
  row->addWidget(origin_, 1);
  row->addWidget(stop_);
  line->setMinimumHeight(stop_->sizeHint().height());  // nothing moves when the button goes
  return line;
}

QWidget* TurnWidget::makeBook() {
  bookHeading_ = new QLabel(book_);
  QFont italic = bookFont(0.98);
  italic.setItalic(true);
  bookHeading_->setFont(italic);
  bookHeading_->setObjectName(QStringLiteral("bookHeading"));
  bookHeading_->setTextFormat(Qt::PlainText);
  bookHeading_->setWordWrap(true);
  bookHeading_->setProperty("faded", true);
  quotes_->setSpacing(8);
  auto* column = new QVBoxLayout(book_);
  column->setContentsMargins(0, 14, 0, 0);
  column->setSpacing(7);
  column->addWidget(bookHeading_);
  column->addLayout(quotes_);
  return book_;
}

void TurnWidget::show(const ConversationItem& item) {
  const bool wayChanged = item_.id == -1 || item_.way != item.way || item_.error.isEmpty() != item.error.isEmpty();
  const bool quotesChanged = !sameQuotes(item_.quotes, item.quotes);
  item_ = item;
  const QString part = partWords(item.part, item.chapterTitle);
  question_->showText(!item.isSummary || !item.question.isEmpty() ? item.question
                      : part.isEmpty()                            ? tr("What this book holds")
                                                                  : tr("What this book holds, %1").arg(part));
  question_->setAccessibleName(tr("Question: %1").arg(question_->shownText()));
  origin_->setText(!item.error.isEmpty()        ? tr("No answer")
                   : !item.provenance.isEmpty() ? item.provenance
                   : part.isEmpty()             ? words::wayName(item.way)
                                                : tr("%1, %2").arg(words::wayName(item.way), part));
  answer_->showText(item.answer.isEmpty() && item.streaming ? QStringLiteral("…") : item.answer);
  answer_->setVisible(!item.answer.isEmpty() || item.streaming);
  answer_->setAccessibleName(item.isSummary ? tr("Summary by the model") : tr("Answer by the model"));
  stop_->setVisible(item.streaming);
  remark_->setVisible(!item.error.isEmpty() || item.stopped || (!item.streaming && item.answer.isEmpty()));
  remark_->setText(!item.error.isEmpty() ? item.error
                   : item.stopped        ? tr("Stopped here.")
                                         : tr("The model said nothing."));
  if (remark_->property("faded").toBool() != item.error.isEmpty()) {
    remark_->setProperty("faded", item.error.isEmpty());
    remark_->style()->polish(remark_);
  }
  const QString steps = stepLines(item).join(QLatin1Char('\n'));
  steps_->setVisible(!steps.isEmpty() && !item.streaming);
  steps_->setText(steps);
  const QString title = item.bookTitle.size() > kLongestTitle
                            ? item.bookTitle.left(kLongestTitle - 1).trimmed() + QChar(0x2026)
                            : item.bookTitle;
  supporting_->setVisible(!item.scores.isEmpty() && !item.streaming);
  supporting_->setText(tr("From “%1”").arg(escaped(title)));
  supporting_->setToolTip(scoreLines(item.scores));
  const QString nothing = noQuotesLine(item);
  book_->setVisible(!item.quotes.isEmpty() || !nothing.isEmpty());
  if (!nothing.isEmpty())
    bookHeading_->setText(nothing);
  else if (item.bookId == 0)
    bookHeading_->setText(item.quotesSupport ? tr("In the book") : tr("Nearest to the question in the book"));
  else
    bookHeading_->setText((item.quotesSupport ? tr("In “%1”") : tr("Nearest to the question, in “%1”")).arg(title));
  if (quotesChanged || wayChanged) showQuotes(item.quotes);
  if (wayChanged) refreshIcon();
}

void TurnWidget::showQuotes(const QList<Quote>& quotes) {
  while (QLayoutItem* old = quotes_->takeAt(0)) {
    delete old->widget();
    delete old;
  }
  for (const Quote& quote : quotes) {
    auto* card = new QuoteCard(quote, book_);
    connect(card, &QuoteCard::clicked, this, [this, quote] { emit quoteOpened(quote); });
    quotes_->addWidget(card);
  }
}

void TurnWidget::changeEvent(QEvent* event) {
  QWidget::changeEvent(event);
  if (isThemeChange(event)) refreshIcon();
}

void TurnWidget::refreshIcon() {
  const QString name = !item_.error.isEmpty()             ? QStringLiteral("warning")
                       : item_.way == AnswerWay::Passages ? QStringLiteral("passages")
                                                          : QStringLiteral("memory");
  originIcon_->setPixmap(icon(name, currentColours().rubric).pixmap(QSize(kIconSide, kIconSide), devicePixelRatioF()));
}

}  // namespace palimpsest::ui
