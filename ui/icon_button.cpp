#include "ui/icon_button.h"

#include <QEvent>

#include "ui/icons.h"
#include "ui/theme.h"

namespace palimpsest::ui {

IconButton::IconButton(const QString& iconName, const QString& text, Kind kind, QWidget* parent)
    : QPushButton(text, parent), iconName_(iconName), kind_(kind) {
  setIconSize({18, 18});
  setCursor(Qt::PointingHandCursor);
  setProperty("primary", kind == Kind::Primary);
  setProperty("quiet", kind == Kind::Quiet);
  setAutoDefault(false);
  refreshIcon();
}

void IconButton::setIconName(const QString& name) {
  iconName_ = name;
  refreshIcon();
}

void IconButton::changeEvent(QEvent* event) {
  QPushButton::changeEvent(event);
  if (isThemeChange(event) || event->type() == QEvent::EnabledChange) refreshIcon();
}

void IconButton::refreshIcon() {
  if (iconName_.isEmpty()) return;
  const Colours& colours = currentColours();
  setIcon(ui::icon(iconName_, !isEnabled() ? colours.faded : kind_ == Kind::Primary ? colours.onRubric : colours.ink));
}

}  // namespace palimpsest::ui
