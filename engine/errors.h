// The errors of engine/. Each message is one or more whole sentences: what failed, on what, the reason underneath, and
// what to do.
#pragma once

#include <stdexcept>
#include <string>

namespace palimpsest::engine {

// A model folder that cannot be used: missing or lying file, wrong shape, unknown architecture.
class ModelError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The device that was asked for cannot compute; another can.
class DeviceError : public ModelError {
 public:
  using ModelError::ModelError;
};

// What is wrong with a file or folder of a model, in the one form that all such errors have: "Palimpsest cannot use
// /m/config.json: "vocab_size" is missing. Fetch the model again, or choose another one." `why` comes without full
// stop.
inline ModelError unusable(const std::string& what, const std::string& why,
                           const std::string& remedy = "Fetch the model again, or choose another one.") {
  return ModelError("Palimpsest cannot use " + what + ": " + why + ". " + remedy);
}

// A memory snapshot that must not be loaded. reason() tells the cases apart; what() is the sentence.
class SnapshotError : public std::runtime_error {
 public:
  enum class Reason { Truncated, Damaged, OtherModel, OtherVersion, OtherRule };
  SnapshotError(Reason reason, const std::string& sentence) : std::runtime_error(sentence), reason_(reason) {}
  Reason reason() const noexcept { return reason_; }

 private:
  Reason reason_;
};

// A job that was asked to stop, seen between two layers. Nothing of the interrupted pass has been written.
class Stopped : public std::runtime_error {
 public:
  Stopped() : std::runtime_error("stopped") {}
};

}  // namespace palimpsest::engine
