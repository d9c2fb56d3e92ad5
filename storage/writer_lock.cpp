#include "storage/writer_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

namespace palimpsest::storage {

namespace {

std::string readHolder(int descriptor) {
  std::array<char, 32> digits{};
  const ssize_t length = pread(descriptor, digits.data(), digits.size() - 1, 0);
  std::string pid;
  for (ssize_t i = 0; i < length && digits[i] >= '0' && digits[i] <= '9'; ++i) pid += digits[i];
  return pid.empty() ? "another process" : "process " + pid;
}

}  // namespace

std::unique_ptr<WriterLock> WriterLock::tryTake(const std::filesystem::path& database, std::string* holder) {
  std::filesystem::path file = database;
  file += ".lock";
  const int descriptor = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor < 0) throw std::system_error(errno, std::generic_category(), file.string());
  if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    const int error = errno;
    if (error == EWOULDBLOCK && holder) *holder = readHolder(descriptor);
    ::close(descriptor);
    if (error != EWOULDBLOCK) throw std::system_error(error, std::generic_category(), file.string());
    return nullptr;
  }
  // The number is for the other program's sentence only; the lock itself is the kernel's.
  const std::string pid = std::to_string(getpid()) + "\n";
  if (ftruncate(descriptor, 0) != 0 || pwrite(descriptor, pid.data(), pid.size(), 0) < 0) {
    // A full disk: the lock holds all the same, only its holder stays unnamed.
  }
  return std::unique_ptr<WriterLock>(new WriterLock(descriptor));
}

WriterLock::~WriterLock() { ::close(descriptor_); }  // the file stays: removing it would race with the next taker

}  // namespace palimpsest::storage
