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
  auto* heading = centred(tr("Drop a book here"), bookFont(2.1), this);
  auto* sentence = centred(tr("It is read once, from the first page to the last, and remembered. "
                              "Then ask it anything, today or in a year: no page is read again."),
                           uiFont(1.06), this);
  sentence->setProperty("faded", true);
  sentence->setMaximumWidth(500);
  auto* formats = centred(tr("EPUB · PDF · Markdown · HTML · plain text"), uiFont(0.92), this);
  formats->setProperty("faded", true);
  auto* open = new IconButton(QStringLiteral("add"), tr("Open books…"), IconButton::Kind::Primary, this);
  open->setObjectName(QStringLiteral("openButton"));
  connect(open, &QPushButton::clicked, this, &EmptyLibrary::openRequested);
  setFocusProxy(open);
  auto* buttons = new QHBoxLayout;
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
  column->addWidget(heading);
  column->addSpacing(12);
  auto* sentenceRow = new QHBoxLayout;
  sentenceRow->addStretch(1);
  sentenceRow->addWidget(sentence, 100);
  sentenceRow->addStretch(1);
  column->addLayout(sentenceRow);
  column->addSpacing(28);
  column->addLayout(buttons);
  column->addSpacing(22);
  column->addWidget(formats);
  column->addStretch(4);
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
