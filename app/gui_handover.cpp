#include "app/gui_handover.h"

#include <QCryptographicHash>
#include <QDataStream>
#include <QDir>
#include <QFileInfo>
#include <QLocalSocket>
#include <QStandardPaths>

#include "app/words.h"

namespace palimpsest::app::gui {
namespace {

constexpr int kConnectMilliseconds = 500, kAnswerMilliseconds = 4000;
constexpr char kTaken = 1;

// In the person's own runtime folder: nobody else can listen there. A hash, for a socket's path must be short.
QString socketOf(const std::filesystem::path& database) {
  const QFileInfo file(fromPath(database));
  const QString folder = QFileInfo(file.absolutePath()).canonicalFilePath();
  const QString library = (folder.isEmpty() ? file.absolutePath() : folder) + QLatin1Char('/') + file.fileName();
  const QByteArray hash = QCryptographicHash::hash(library.toUtf8(), QCryptographicHash::Sha256).toHex().left(16);
  return QDir(QStandardPaths::writableLocation(QStandardPaths::RuntimeLocation))
      .filePath(QStringLiteral("palimpsest-") + QString::fromLatin1(hash));
}

}  // namespace

bool handOver(const std::filesystem::path& database, const QStringList& files) {
  QLocalSocket socket;
  socket.connectToServer(socketOf(database));
  if (!socket.waitForConnected(kConnectMilliseconds)) return false;
  QDataStream stream(&socket);
  stream.setVersion(QDataStream::Qt_6_0);
  stream << files;
  socket.flush();
  if (socket.bytesAvailable() == 0 && !socket.waitForReadyRead(kAnswerMilliseconds)) return false;
  char answer = 0;
  return socket.getChar(&answer) && answer == kTaken;
}

void Reception::open(const std::filesystem::path& database) {
  if (server_.isListening()) return;
  connect(&server_, &QLocalServer::newConnection, this, &Reception::welcome, Qt::UniqueConnection);
  server_.setSocketOptions(QLocalServer::UserAccessOption);
  const QString name = socketOf(database);
  QLocalServer::removeServer(name);
  server_.listen(name);  // where it cannot, a second launch opens a window that only looks
}

void Reception::welcome() {
  while (QLocalSocket* guest = server_.nextPendingConnection()) {
    connect(guest, &QLocalSocket::disconnected, guest, &QObject::deleteLater);
    const auto hear = [this, guest] {
      QDataStream stream(guest);
      stream.setVersion(QDataStream::Qt_6_0);
      QStringList files;
      stream.startTransaction();
      stream >> files;
      if (!stream.commitTransaction()) return;  // more is to come
      guest->putChar(kTaken);
      guest->flush();
      emit arrived(files);
    };
    connect(guest, &QLocalSocket::readyRead, this, hear);
    if (guest->bytesAvailable() > 0) hear();
  }
}

}  // namespace palimpsest::app::gui
