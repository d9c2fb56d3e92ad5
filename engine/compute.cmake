# Arithmetic on tensors: the transformer above, a back end below, and the verbs that use them.
find_package(OpenMP REQUIRED COMPONENTS CXX)
find_package(hwy REQUIRED)
# Not find_package(dnnl): Debian's package file asks for OpenCL headers, which only its GPU engine needs.
find_path(DNNL_INCLUDE_DIR oneapi/dnnl/dnnl.hpp REQUIRED)
find_library(DNNL_LIBRARY dnnl REQUIRED)

list(APPEND ENGINE_SOURCES
  answer_steps.cpp
  answer_writer.cpp
  answers_file.cpp
  attention_layout.cpp
  backend_cpu.cpp
  bench.cpp
  book_memory.cpp
  cases.cpp
  compressive_memory.cpp
  cpu_attention.cpp
  cpu_attention_tiles.cpp
  cpu_kernels.cpp
  cpu_matmul.cpp
  cpu_stream.cpp
  devices.cpp
  generator.cpp
  generator_summary.cpp
  memory_snapshot.cpp
  memory_sum.cpp
  model.cpp
  quantize_kernels.cpp
  quantized.cpp
  section_choice.cpp
  section_memory.cpp
  section_rule.cpp
  text_passes.cpp
  timed_stream.cpp
  transformer.cpp
  transformer_extend.cpp
  transformer_load.cpp)
# The same weights give the same bits on every CPU: a multiplication and an addition are rounded one after the other.
set_source_files_properties(${CMAKE_CURRENT_SOURCE_DIR}/quantize_kernels.cpp PROPERTIES COMPILE_OPTIONS -ffp-contract=off)
list(APPEND ENGINE_PRIVATE_LIBS OpenMP::OpenMP_CXX ${DNNL_LIBRARY} hwy::hwy)

# cuBLAS is found beside its toolkit when the program starts; without a card nothing of it runs.
if(PALIMPSEST_CUDA)
  list(APPEND ENGINE_SOURCES
    backend_cuda.cpp
    cuda_attention.cu
    cuda_attention_hopper.cu
    cuda_buffers.cpp
    cuda_few.cu
    cuda_float8.cu
    cuda_float8_products.cpp
    cuda_kernels.cu
    cuda_loader.cpp
    cuda_memory.cu
    cuda_products.cpp
    cuda_quantized.cu
    cuda_records.cpp
    cuda_step.cu
    cuda_stream.cpp)
  list(APPEND ENGINE_PRIVATE_LIBS CUDA::cudart_static CUDA::cublas CUDA::cublasLt)
  if(CMAKE_CUDA_ARCHITECTURES MATCHES "90a")
    set_source_files_properties(cuda_attention_hopper.cu PROPERTIES COMPILE_DEFINITIONS PALIMPSEST_SM90A)
  endif()
else()
  list(APPEND ENGINE_SOURCES backend_no_cuda.cpp)
endif()
