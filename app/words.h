// The sentences that the Assistant says about answers, and conversions between Qt's text and the libraries'.
#pragma once

#include <QByteArray>
#include <QCoreApplication>
#include <QString>
#include <QStringList>
#include <cstddef>
#include <exception>
#include <filesystem>
#include <string>
#include <vector>

#include "storage/records.h"
#include "ui/records.h"

namespace palimpsest::app {

// For what functions say that belong to no QObject: Words::tr(). Any thread.
struct Words {
  Q_DECLARE_TR_FUNCTIONS(Words)
};

inline QString toQt(const std::string& text) { return QString::fromStdString(text); }
QByteArray toQt(const std::vector<std::byte>& bytes);
// There and back without loss, also where a name is no UTF-8: see ui/file_name.h.
std::filesystem::path toPath(const QString& path);
QString fromPath(const std::filesystem::path& path);
QString absolutePath(const QString& path);
// The command line, for QCoreApplication::arguments() would lose such names.
QStringList argumentsOf(int argc, char** argv);

// Messages of the libraries as whole sentences, so that more can be said after them.
QString asSentence(const QString& message);
QString asSentence(const std::exception& error);

// What is to be said of a book, as one line without a full stop at its end; empty notes are left out.
QString joinNotes(const QStringList& notes);

// "memory", "memory+passages", "passages": what TurnRecord::way holds.
std::string nameOfWay(ui::AnswerWay way);
ui::AnswerWay wayOfName(const std::string& name);

// How much of a book a memory covers. `lastPage` is the page reached, 0 where the format has no pages.
struct Coverage {
  double share = 1.0;
  int lastPage = 0;
  int pageCount = 0;     // 0 = what is read again is counted in passages
  int books = 1;         // more: a shelf, of which all books are whole
  bool printed = false;  // lastPage is the number printed on it, which counts nothing
  QString part = {};     // "up to ch. V": of a book of which only a part was asked
};

// "whole book", "3 whole books", "first 43 % (pages 1–212 of 480)", "first 43 % (up to page 228)", "first 43 %".
QString coverageWords(const Coverage& coverage);
// "From memory · 0 pages re-read · whole book", "From memory, up to ch. V · 0 pages re-read". Where the format has no
// pages, passages are counted.
QString provenanceWords(ui::AnswerWay way, int reread, const Coverage& coverage);
// "Summed up from memory · 0 pages re-read · whole book"
QString summaryProvenance(const Coverage& coverage);

// "2 × NVIDIA H200, bf16"; different ones with a plus between them.
QString devicesInWords(QStringList devices);

// Who made a memory that `model` cannot use: "another model (mini-1)"; of the same name "another version of mini-1".
QString otherModelWords(const std::string& maker, const QString& model);

}  // namespace palimpsest::app
