// The command line as a program of its own, beside an Assistant in the same folder where a test starts one.
#pragma once

#include <QJsonDocument>
#include <QProcess>
#include <memory>

#include "fixture.h"

namespace palimpsest::app {

class CliTest : public AppTest {
 protected:
  struct Result {
    int code = -1;
    QString out, err;
  };

  QStringList common() const {
    return {QStringLiteral("--db"),      database(),         QStringLiteral("--model"), tinyModel(),
            QStringLiteral("--threads"), QStringLiteral("1")};
  }
  std::unique_ptr<QProcess> launch(const QStringList& arguments) const {
    auto process = std::make_unique<QProcess>();
    process->start(QStringLiteral(PALIMPSEST_CLI), arguments);
    EXPECT_TRUE(process->waitForStarted());
    process->closeWriteChannel();
    return process;
  }
  static Result finish(QProcess& process) {
    EXPECT_TRUE(process.waitForFinished(120000));
    EXPECT_EQ(process.exitStatus(), QProcess::NormalExit);
    return {process.exitCode(), QString::fromUtf8(process.readAllStandardOutput()),
            QString::fromUtf8(process.readAllStandardError())};
  }
  Result run(const QStringList& arguments) const { return finish(*launch(arguments + common())); }
  Result runBare(const QStringList& arguments) const { return finish(*launch(arguments)); }

  QString book() const { return write(QStringLiteral("walk.txt"), novel()); }
  static QJsonDocument json(const Result& result) { return QJsonDocument::fromJson(result.out.toUtf8()); }
};

}  // namespace palimpsest::app
