#include "ui/empty_library.h"

#include <QHBoxLayout>
#include <QLabel>
#include <QPainter>
#include <QVBoxLayout>

#include "ui/icon_button.h"
#include "ui/icons.h"
#include "ui/theme.h"

namespace palimpsest::ui {
namespace {

constexpr int kPicture = 104;

QLabel* centred(const QString& text, const QFont& font, QWidget* parent) {
  auto* label = new QLabel(text, parent);
  label->setTextFormat(Qt::PlainText);
  label->setFont(font);
  label->setWordWrap(true);
  label->setAlignment(Qt::AlignHCenter);
  return label;
}

// The application icon in its own colours, sharp on any screen.
class Picture : public QWidget {
 public:
  explicit Picture(QWidget* parent) : QWidget(parent) { setFixedSize(kPicture, kPicture); }

 protected:
  void paintEvent(QPaintEvent*) override {
    QPainter painter(this);
    paintIcon(painter, rect(), QStringLiteral("palimpsest"), Qt::black);
  }
};

}  // namespace

EmptyLibrary::EmptyLibrary(const QString& bundledTitle, QWidget* parent) : QWidget(parent) {
  setObjectName(QStringLiteral("emptyLibrary"));
  auto* picture = new Picture(this);
  heading_ = centred({}, bookFont(2.1), this);
  sentence_ = centred({}, uiFont(1.06), this);
  sentence_->setObjectName(QStringLiteral("emptySentence"));
  sentence_->setProperty("faded", true);
  sentence_->setMaximumWidth(500);
  sentence_->setTextInteractionFlags(Qt::TextSelectableByMouse);
  formats_ = centred(tr("EPUB · PDF · Markdown · HTML · plain text"), uiFont(0.92), this);
  formats_->setProperty("faded", true);
  auto* open = new IconButton(QStringLiteral("add"), tr("Open books…"), IconButton::Kind::Primary, this);
  open->setObjectName(QStringLiteral("openButton"));
  connect(open, &QPushButton::clicked, this, &EmptyLibrary::openRequested);
  setFocusProxy(open);
  buttons_ = new QWidget(this);
  auto* buttons = new QHBoxLayout(buttons_);
  buttons->setContentsMargins(0, 0, 0, 0);
  buttons->setSpacing(10);
  buttons->addStretch();
  buttons->addWidget(open);
  if (!bundledTitle.isEmpty()) {
    auto* bundled =
        new IconButton(QStringLiteral("book"), tr("Try “%1”").arg(bundledTitle), IconButton::Kind::Normal, this);
    bundled->setObjectName(QStringLiteral("bundledButton"));
    connect(bundled, &QPushButton::clicked, this, &EmptyLibrary::bundledBookRequested);
    buttons->addWidget(bundled);
  }
  buttons->addStretch();

  auto* column = new QVBoxLayout(this);
  column->setContentsMargins(48, 40, 48, 40);
  column->setSpacing(0);
  column->addStretch(3);
  column->addWidget(picture, 0, Qt::AlignHCenter);
  column->addSpacing(22);
  column->addWidget(heading_);
  column->addSpacing(12);
  auto* sentenceRow = new QHBoxLayout;
  sentenceRow->addStretch(1);
  sentenceRow->addWidget(sentence_, 100);
  sentenceRow->addStretch(1);
  column->addLayout(sentenceRow);
  column->addSpacing(28);
  column->addWidget(buttons_);
  column->addSpacing(22);
  column->addWidget(formats_);
  column->addStretch(4);
  showProblem({});
}

void EmptyLibrary::showProblem(const QString& why) {
  const bool open = why.isEmpty();
  heading_->setText(open ? tr("Drop a book here") : tr("The library cannot be opened"));
  sentence_->setText(open ? tr("It is read once, from the first page to the last, and remembered. "
                               "Then ask it anything, today or in a year: no page is read again.")
                          : why);
  formats_->setVisible(open);
  buttons_->setVisible(open);
}

void EmptyLibrary::paintEvent(QPaintEvent*) {
  QPainter painter(this);
  painter.setRenderHint(QPainter::Antialiasing);
  QPen pen(currentColours().rule, 1.6, Qt::CustomDashLine, Qt::RoundCap);
  pen.setDashPattern({5, 5});
  painter.setPen(pen);
  painter.drawRoundedRect(QRectF(rect()).adjusted(22, 22, -22, -22), 16, 16);
}

}  // namespace palimpsest::ui
