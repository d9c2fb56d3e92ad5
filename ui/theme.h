// Light and dark: the colours, the fonts, and the one function that dresses the application.
#pragma once

#include <QColor>
#include <QFont>

class QApplication;
class QEvent;

namespace palimpsest::ui {

enum class ThemeChoice { System, Light, Dark };  // System: as ui/system_scheme.h says

// Paper and ink. `rubric` is the red of a scribe's headings: the only colour that asks for attention.
struct Colours {
  QColor paper;   // the conversation
  QColor margin;  // the library
  QColor leaf;    // quotes, fields: a page lying on the paper
  QColor ink;     // text
  QColor faded;   // secondary text, older ink (contrast >= 4.5 on paper and margin)
  QColor rule;    // hairlines
  QColor hover, selected;
  QColor rubric, onRubric;
  QColor rubricWash;  // behind notices
  QColor marker;      // behind the passage shown in the reader
  bool dark = false;
};

const Colours& lightColours();
const Colours& darkColours();
// Which of the two the application is dressed in.
const Colours& currentColours();
// A widget's changeEvent() has to draw its icons anew.
bool isThemeChange(const QEvent* event);

// Sets style, palette and style sheet of the application; nothing happens when it is dressed so already.
void applyTheme(QApplication& application, bool dark);
// Whether the platform's own palette, which ours covers, is dark.
bool systemIsDark(QApplication& application);

// The machine speaks in the system's sans, the book in a serif.
QFont uiFont(double scale = 1.0, QFont::Weight weight = QFont::Normal);
QFont bookFont(double scale = 1.0, QFont::Weight weight = QFont::Normal);

}  // namespace palimpsest::ui
