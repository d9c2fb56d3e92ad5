#include "ui/banner.h"

#include <QEvent>
#include <QHBoxLayout>
#include <QLabel>
#include <QPushButton>
#include <algorithm>

#include "ui/icon_button.h"
#include "ui/icons.h"
#include "ui/theme.h"

namespace palimpsest::ui {
namespace {

constexpr int kIconSide = 20, kNoticeMilliseconds = 9000, kMostSentences = 4;

}  // namespace

Banner::Banner(Kind kind, QWidget* parent)
    : QWidget(parent),
      kind_(kind),
      icon_(new QLabel(this)),
      sentence_(new QLabel(this)),
      action_(new QPushButton(this)),
      second_(new QPushButton(this)),
      close_(new IconButton(QStringLiteral("cancel"), QString(), IconButton::Kind::Quiet, this)) {
  setObjectName(QStringLiteral("banner"));
  setProperty("kind", kind == Kind::Notice ? QStringLiteral("notice") : QStringLiteral("problem"));
  setAttribute(Qt::WA_StyledBackground);
  icon_->setFixedSize(kIconSide, kIconSide);
  sentence_->setObjectName(QStringLiteral("bannerText"));
  sentence_->setTextFormat(Qt::PlainText);
  sentence_->setWordWrap(true);
  sentence_->setTextInteractionFlags(Qt::TextSelectableByMouse);
  action_->setObjectName(QStringLiteral("bannerAction"));
  second_->setObjectName(QStringLiteral("bannerSecond"));
  close_->setAccessibleName(tr("Dismiss"));
  close_->setToolTip(tr("Dismiss"));
  auto* row = new QHBoxLayout(this);
  row->setContentsMargins(20, 9, 12, 9);
  row->setSpacing(12);
  row->addWidget(icon_);
  row->addWidget(sentence_, 1);
  row->addWidget(action_);
  row->addWidget(second_);
  row->addWidget(close_);
  connect(action_, &QPushButton::clicked, this, &Banner::actionTriggered);
  connect(second_, &QPushButton::clicked, this, &Banner::secondTriggered);
  connect(close_, &QPushButton::clicked, this, &QWidget::hide);
  hideTimer_.setSingleShot(true);
  hideTimer_.setInterval(kNoticeMilliseconds);
  connect(&hideTimer_, &QTimer::timeout, this, &QWidget::hide);
  refreshIcon();
  hide();
}

void Banner::show(const QString& sentence, const QString& action, const QString& second) {
  sentence_->setText(sentence);
  setAccessibleName(sentence);
  action_->setText(action);
  action_->setVisible(!action.isEmpty());
  second_->setText(second);
  second_->setVisible(!second.isEmpty());
  hideTimer_.stop();
  if (kind_ == Kind::Notice) hideTimer_.start();
  QWidget::show();
}

void Banner::append(const QString& sentence) {
  QStringList lines = isVisible() ? text().split(QLatin1Char('\n')) : QStringList();
  if (lines.contains(sentence)) return;
  lines << sentence;
  show(lines.mid(std::max<qsizetype>(0, lines.size() - kMostSentences)).join(QLatin1Char('\n')), action_->text());
}

void Banner::withdraw(const QString& sentence) {
  QStringList lines = text().split(QLatin1Char('\n'));
  if (sentence.isEmpty() || lines.removeAll(sentence) == 0) return;
  sentence_->setText(lines.join(QLatin1Char('\n')));
  setAccessibleName(text());
  setVisible(isVisible() && !lines.isEmpty());
}

QString Banner::text() const { return sentence_->text(); }

void Banner::changeEvent(QEvent* event) {
  QWidget::changeEvent(event);
  if (isThemeChange(event)) refreshIcon();
}

void Banner::refreshIcon() {
  const Colours& colours = currentColours();
  const bool notice = kind_ == Kind::Notice;
  icon_->setPixmap(
      icon(notice ? QStringLiteral("notice") : QStringLiteral("warning"), notice ? colours.ink : colours.rubric)
          .pixmap(QSize(kIconSide, kIconSide), devicePixelRatioF()));
}

}  // namespace palimpsest::ui
