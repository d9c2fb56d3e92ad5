// Passes that are cut ahead are those that are cut one by one, wherever they are taken and whatever the text.
#include "engine/text_passes.h"

#include <gtest/gtest.h>

#include "engine/errors.h"
#include "engine/memory_snapshot.h"
#include "tests/engine/generator_fixture.h"

namespace palimpsest::engine {
namespace {

class TextPassesTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { model_ = load(tinyFolder()); }
  static void TearDownTestSuite() { model_.reset(); }

  static TextPass alone(std::string_view text, std::int64_t position) {
    SegmentCutter cutter = cutterOf(*model_);
    return cutPass(cutter, text, position, static_cast<std::size_t>(model_->transformer().passSize().segments));
  }
  static void expectEqual(const TextPass& ours, const TextPass& theirs) {
    EXPECT_EQ(ours.ended, theirs.ended);
    EXPECT_EQ(ours.segments, theirs.segments);
    EXPECT_EQ(ours.begins, theirs.begins);
    EXPECT_EQ(ours.ends, theirs.ends);
  }

  static inline std::shared_ptr<const Model> model_;
};

TEST_F(TextPassesTest, InOrderToTheEnd) {
  const std::string text = bookText(9000);
  TextPasses passes(model_, text, TextPasses::Ahead::Always);
  std::int64_t position = 0;
  int taken = 0;
  for (bool ended = false; !ended; ++taken) {
    const TextPass pass = passes.take(position);
    expectEqual(pass, alone(text, position));
    ended = pass.ended;
    if (!pass.segments.empty()) position = pass.ends.back();
  }
  EXPECT_GT(taken, 3);
}

TEST_F(TextPassesTest, TheSameOneAgainAndOthersOutOfOrder) {
  const std::string text = bookText(9000);
  TextPasses passes(model_, text, TextPasses::Ahead::Always);
  const std::int64_t second = passes.take(0).ends.back();
  const std::int64_t third = passes.take(second).ends.back();
  for (const std::int64_t position : {std::int64_t{0}, third, second, second, std::int64_t{0}})
    expectEqual(passes.take(position), alone(text, position));
}

TEST_F(TextPassesTest, OfNothingButWhiteSpaceThereAreNone) {
  TextPasses passes(model_, " \n\n ", TextPasses::Ahead::Always);
  EXPECT_TRUE(passes.take(0).segments.empty());
  EXPECT_TRUE(passes.take(0).ended);
}

TEST_F(TextPassesTest, AnObjectThatGoesWhileItCutsIsNoHarm) {
  for (int i = 0; i < 20; ++i) {
    const std::string text = bookText(3000, static_cast<unsigned>(i));
    TextPasses(model_, text, TextPasses::Ahead::Always).take(0);
  }
}

TEST_F(TextPassesTest, AReadingThatIsStoppedGoesOnWhereItStood) {
  const std::string text = bookText(9000);
  Generator generator(model_);
  CompressiveMemory expected = model_->emptyMemory();
  readAll(generator, expected, text);

  TextPasses passes(model_, text, TextPasses::Ahead::Always);
  CompressiveMemory memory = model_->emptyMemory();
  std::vector<PlaceMemory> none;
  std::stop_source stopped;
  stopped.request_stop();
  ReadingPosition reading;
  for (int pass = 0; !reading.complete; ++pass) {
    if (pass % 2 == 1) {
      EXPECT_THROW(generator.read(memory, passes, reading, {}, none, stopped.get_token()), Stopped);
    }
    reading = generator.read(memory, passes, reading, {}, none);
  }
  EXPECT_EQ(saveSnapshot(*model_, memory, reading), saveSnapshot(*model_, expected, reading));
}

}  // namespace
}  // namespace palimpsest::engine
