// The lock file beside a database: one program writes, others read. The kernel frees it when its holder dies, however.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

namespace palimpsest::storage {

class WriterLock {
 public:
  // nullptr: somebody else holds it; `holder` then tells who ("process 4711"), as far as is known.
  // Throws std::system_error if the lock file cannot be made.
  static std::unique_ptr<WriterLock> tryTake(const std::filesystem::path& database, std::string* holder = nullptr);
  ~WriterLock();
  WriterLock(const WriterLock&) = delete;
  WriterLock& operator=(const WriterLock&) = delete;

 private:
  explicit WriterLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

}  // namespace palimpsest::storage
