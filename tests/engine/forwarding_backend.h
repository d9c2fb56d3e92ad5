// A back end that hands everything on to another one, for tests that change or watch a part of it.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <utility>

#include "engine/backend.h"

namespace palimpsest::engine {

class ForwardingBackend : public Backend {
 public:
  explicit ForwardingBackend(std::unique_ptr<Backend> inner) : inner_(std::move(inner)) {}

  std::string description() const override { return inner_->description(); }
  std::string card() const override { return inner_->card(); }
  bool computesBFloat16() const override { return inner_->computesBFloat16(); }
  int threads() const override { return inner_->threads(); }
  int paddedRows(int rows) const override { return inner_->paddedRows(rows); }
  bool recordsOperations() const override { return inner_->recordsOperations(); }
  std::unique_ptr<PackedWeight> pack(int outputs, int inputs, const RowSource& source, WeightType type) override {
    return inner_->pack(outputs, inputs, source, type);
  }
  std::shared_ptr<float[]> hostFloats(std::size_t count) const override { return inner_->hostFloats(count); }
  std::unique_ptr<Buffer> table(int rows, int columns, const RowSource& source) override {
    return inner_->table(rows, columns, source);
  }
  std::unique_ptr<Buffer> constants(int rows, int columns, std::span<const float> values) override {
    return inner_->constants(rows, columns, values);
  }
  std::unique_ptr<Stream> makeStream(int threads) const override { return inner_->makeStream(threads); }

 private:
  std::unique_ptr<Backend> inner_;
};

}  // namespace palimpsest::engine
