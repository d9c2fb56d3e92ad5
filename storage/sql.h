// Shared by the .cpp files of storage/: SQLite's errors become DatabaseErrors that say what was being done.
#pragma once

#include <SQLiteCpp/SQLiteCpp.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "storage/database.h"

namespace palimpsest::storage {

// `doing` completes "While ...": "saving a checkpoint".
[[noreturn]] void throwDatabaseError(const std::filesystem::path& file, std::string_view doing,
                                     const SQLite::Exception& error);

template <typename Work>
auto withErrors(Database& database, std::string_view doing, Work&& work) {
  try {
    return std::forward<Work>(work)(database.connection());
  } catch (const SQLite::Exception& error) {
    throwDatabaseError(database.file(), doing, error);
  }
}

// In one transaction; anything thrown undoes it.
template <typename Work>
auto inTransaction(Database& database, std::string_view doing, Work&& work) {
  return withErrors(database, doing, [&](SQLite::Database& connection) {
    SQLite::Transaction transaction(connection, SQLite::TransactionBehavior::IMMEDIATE);
    if constexpr (std::is_void_v<decltype(work(connection))>) {
      work(connection);
      transaction.commit();
    } else {
      auto result = work(connection);
      transaction.commit();
      return result;
    }
  });
}

inline void bindText(SQLite::Statement& statement, int index, std::string_view text) {
  statement.bind(index, std::string(text));
}

void bindBytes(SQLite::Statement& statement, int index, std::span<const std::byte> bytes);
std::vector<std::byte> bytesOf(const SQLite::Column& column);
std::int64_t now();  // seconds since 1970

}  // namespace palimpsest::storage
