// Whether the desktop is dark. The palette tells on some desktops; the others say it through the settings portal
// (org.freedesktop.appearance, color-scheme), which is asked without waiting and listened to afterwards.
#pragma once

#include <QObject>
#include <QVariant>
#include <optional>

class QDBusVariant;

namespace palimpsest::ui {

// The portal's value: 1 = dark, 2 = light, anything else = no preference. Variants within variants are opened.
std::optional<bool> darkFromPortal(const QVariant& value);

class SystemScheme : public QObject {
  Q_OBJECT
 public:
  explicit SystemScheme(QObject* parent = nullptr);
  bool isDark() const;  // the portal's word, else the platform's palette

 signals:
  void changed();

 private slots:
  void settingChanged(const QString& group, const QString& key, const QDBusVariant& value);

 private:
  void take(const QVariant& value);
  std::optional<bool> portal_;
};

}  // namespace palimpsest::ui
