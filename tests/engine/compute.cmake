find_package(hwy REQUIRED)
list(APPEND ENGINE_TEST_LIBS hwy::hwy)
list(APPEND ENGINE_TEST_SOURCES
  allocation_test.cpp
  answer_steps_test.cpp
  answers_file_test.cpp
  attend_test.cpp
  attention_layout_test.cpp
  bench_test.cpp
  book_memory_test.cpp
  cases_test.cpp
  compressive_memory_test.cpp
  cpu_attention_test.cpp
  cpu_kernels_test.cpp
  cuda_model_test.cpp
  devices_test.cpp
  few_rows_test.cpp
  gates_test.cpp
  generator_test.cpp
  golden_test.cpp
  memory_snapshot_test.cpp
  memory_sum_test.cpp
  notes_test.cpp
  quantized_product_test.cpp
  quantized_test.cpp
  reading_work_test.cpp
  recall_test.cpp
  section_choice_test.cpp
  section_memory_test.cpp
  section_rule_test.cpp
  shipped_model_test.cpp
  step_chain_test.cpp
  story_test.cpp
  text_passes_test.cpp
  transformer_test.cpp
  workspace_test.cpp)
