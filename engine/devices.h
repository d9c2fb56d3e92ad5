// Where a model computes: the reader's choice, the graphics cards that are here, and whether the model fits on one.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/model_folder.h"
#include "engine/precision.h"

namespace palimpsest::engine {

struct DeviceChoice {
  enum class Kind { Automatic, Cpu, Cuda };
  Kind kind = Kind::Automatic;  // the first card that the model fits on, else the CPU
  int card = 0;                 // of Cuda: its number, as the driver counts, from 0
  bool operator==(const DeviceChoice&) const = default;
};

// "auto", "cpu", "cuda" (the first card), "cuda:1". nullopt: none of these.
std::optional<DeviceChoice> deviceOf(std::string_view words);

// "auto", "full", "int8", "fp8", "int4". nullopt: none of these.
std::optional<WeightType> weightsOf(std::string_view words);
std::string_view nameOf(WeightType type);

struct GraphicsCard {
  int number = 0;
  std::string name;  // "NVIDIA H200"
  bool computesBFloat16 = false;
  bool computesFp8 = false;  // products of e4m3 with a scale for each row, see cuda_float8.h
};

struct GraphicsCards {
  std::vector<GraphicsCard> cards;
  std::string problem;  // a sentence where there is a driver and yet no card can be used; "" = nothing is wrong
};

// Those that CUDA sees now. None, and no problem, where the program was built without the CUDA back end.
GraphicsCards graphicsCards();
bool builtWithCuda();

// What deviceOf() takes, or several: "cuda:all" is every card that `look` finds. Where it finds none, the first, so
// that loading a model says why. Empty: none of these.
std::vector<DeviceChoice> devicesOf(std::string_view words, const std::function<GraphicsCards()>& look = graphicsCards);

// What a model takes of a device, in bytes: its weights, and the buffers of one thread that reads and one that answers.
// Of `weights`, Automatic counts as Full.
std::size_t bytesNeeded(const ModelFolder& folder, bool bfloat16, WeightType weights = WeightType::Full);

struct DevicePlan {
  DeviceChoice device;                    // never Automatic
  WeightType weights = WeightType::Full;  // never Automatic
  std::string room;      // of a card: "NVIDIA L4: needs 16.9 GB, 10.2 GB free: int4 fits, 5.6 GB."; of the CPU ""
  std::string fallback;  // a sentence, where a card is here and yet the CPU computes; else ""
};

// Where weights are left to the program, those of the most bits that fit: where the card is, too, on the first card
// that takes such. freeBytes: of the card of that number, asked only of those that are considered. Throws DeviceError
// where `wanted` names a card that is not there, that has too little room, or that lacks the precision or Fp8; what
// freeBytes throws counts as no room where the choice is free, and passes where it is not.
DevicePlan planDevice(const DeviceChoice& wanted, Precision precision, WeightType weights, const ModelFolder& folder,
                      const GraphicsCards& here, const std::function<std::size_t(int card)>& freeBytes);

// "16.9 GB", "640 MB": powers of ten, as drives and cards are sold.
std::string bytesInWords(std::size_t bytes);

}  // namespace palimpsest::engine
