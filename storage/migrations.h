// The schema as numbered steps; the number reached is kept in PRAGMA user_version.
#pragma once

#include <span>

namespace SQLite {
class Database;
}

namespace palimpsest::storage {

// Step i (counted from 1) brings a database from version i - 1 to version i. Never change one that has been released.
std::span<const char* const> migrations();

// Runs the steps that are missing, each in its own transaction. Throws SQLite::Exception; the failed step is undone.
void migrate(SQLite::Database& connection, std::span<const char* const> steps);

}  // namespace palimpsest::storage
