#include "engine/chat_template.h"

#include <gtest/gtest.h>

namespace palimpsest::engine {
namespace {

// What the models' own templates put is tried in prompt_test.cpp; here, how it is found in a template.

TEST(ChatTemplate, WithoutASystemMessageOfItsOwnPutsNone) {
  EXPECT_EQ(ownSystemMessage(""), "");
  EXPECT_EQ(ownSystemMessage("{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' }}"), "");
  EXPECT_EQ(ownSystemMessage("{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' }}"), "");
  EXPECT_EQ(ownSystemMessage("{{ bos_token }}[INST] {{ m['content'] }} [/INST]"), "");
}

TEST(ChatTemplate, AMessageMadeOfOthersIsNotItsOwn) {
  EXPECT_EQ(ownSystemMessage("{{ '<|im_start|>system\\n' + m['content'] + '<|im_end|>\\n' }}"), "");
  EXPECT_EQ(ownSystemMessage("<|im_start|>system\n{{ m['content'] }}<|im_end|>\n"), "");
  EXPECT_EQ(ownSystemMessage("{{ '<|im_start|>system\\nTools: ' }}{{ tools }}<|im_end|>"), "");
  EXPECT_EQ(ownSystemMessage("<|im_start|>system"), "") << "cut off";
  EXPECT_EQ(ownSystemMessage("{{ '<|im_start|>system\\nCut off \\"), "");
}

TEST(ChatTemplate, AConstantMessageIsFoundInALiteralOfEitherQuoteAndOutsideOfAny) {
  EXPECT_EQ(ownSystemMessage("{{ '<|im_start|>system\\nBe kind.<|im_end|>\\n' }}"), "Be kind.");
  EXPECT_EQ(ownSystemMessage("{{ \"<|im_start|>system\\nDon't {guess}.<|im_end|>\\n\" }}"), "Don't {guess}.");
  EXPECT_EQ(ownSystemMessage("{% if x %}<|im_start|>system\nDon't say \"no\".<|im_end|>\n{% endif %}"),
            "Don't say \"no\".");
  EXPECT_EQ(ownSystemMessage("{{ '<|im_start|>system\\n' + m }}{{ '<|im_start|>system\nBe kind.<|im_end|>' }}"),
            "Be kind.")
      << "the second is constant";
}

TEST(ChatTemplate, EscapesOfALiteralAreTakenOff) {
  EXPECT_EQ(ownSystemMessage("{{ '<|im_start|>system\\nIt\\'s \\\\boxed{}.\\nYes.<|im_end|>\\n' }}"),
            "It's \\boxed{}.\nYes.");
}

TEST(ChatTemplate, LlamasDatesAreAlwaysTheSame) {
  const std::string asks =
      "{%- set date_string = strftime_now(\"%d %b %Y\") %}{{- \"<|start_header_id|>system<|end_header_id|>\\n\\n\" }}"
      "{{- \"Cutting Knowledge Date: December 2023\\n\" }}{{- \"Today Date: \" + date_string + \"\\n\\n\" }}";
  EXPECT_EQ(ownSystemMessage(asks), "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n");
}

}  // namespace
}  // namespace palimpsest::engine
