#!/usr/bin/env bash
# The whole recipe, from text files to the exported model folder.
#
#   training/recipe.sh BOOKS OUT [QA.jsonl ...]
#
# BOOKS: a folder of UTF-8 .txt books; OUT: where everything goes; QA: questions that people asked (see prepare.py).
# Two NVIDIA H200 and 32 cores: about 45 minutes; with one GPU as well, for as long or as well trained as one likes
# (BASE_MINUTES, ALL_MINUTES, LAST_MINUTES). Every step is skipped when its result is there already.
# TINY=1 runs the same steps in two minutes on any CPU (a test of the recipe, not a model).
set -euo pipefail
books=$(realpath "$1") out=$(realpath -m "$2") asked=()
for file in "${@:3}"; do asked+=("$(realpath "$file")"); done
stories=() rows=()  # BABI: files of bAbI stories (babi.py), for stage "babi" and the BABILong rows; TALES: FairytaleQA, for its row
for file in ${BABI:-}; do stories+=("$(realpath "$file")"); done
((${#stories[@]})) && stories=(--babi "${stories[@]}")
[[ ${TALES:-} ]] && rows=(--tales "$(realpath "$TALES")")
cd "$(dirname "$0")"
mkdir -p "$out"
py=${PYTHON:-python3}
export TOKENIZERS_PARALLELISM=false PYTHONUNBUFFERED=1
module() { local name=$1; shift; echo "== $name $*"; "$py" -m "palimpsest_training.$name" "$@"; }
gpus=$(nvidia-smi -L 2>/dev/null | wc -l || true)
train() {
  echo "== train $*"
  if ((gpus > 1)); then "$py" -m torch.distributed.run --standalone --nproc-per-node "$gpus" -m palimpsest_training.train "$@"
  else "$py" -m palimpsest_training.train "$@"; fi
}

vocab=8192 prepare_flags=(--cap 900000) train_flags=(--compile) sizes=(8K 32K 128K 1M) documents=50
base=(--minutes "${BASE_MINUTES:-3.2}") all=(--minutes "${ALL_MINUTES:-16.6}")
last=(--minutes "${LAST_MINUTES:-14.5}" --stages dense=.02 2k=.1 4k=.11 8k=.11 16k=.06 64k=.04 talk-512=.04 talk-2k=.08 talk-8k=.08 stream=.05)
((${#stories[@]})) && last+=(babi-512=.12 babi-2k=.12 babi=.07)
config='{}' heads=(--memory-heads 4 --memory-head-dim 128)
if [[ ${TINY:-} ]]; then
  vocab=512 train_flags=(--tokens 4096 --workers 1) sizes=(2K) documents=4
  base=(--steps 60) all=(--steps 40 --stages dense 2k stream --longest 20000) last=(--steps 8 --stages dense 2k) heads=(--memory-heads 2 --memory-head-dim 16)
  export OMP_NUM_THREADS=1  # threads that spin for each other cost more than they bring on a busy machine
  config='{"hidden_size":64,"intermediate_size":128,"num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":4,"head_dim":16,"vocab_size":512}'
fi
data=(--data "$out/train.npz" --tokenizer "$out/tokenizer")

# 1. Tokenizer and packed books. Held-out books are chosen by the hash of their name (corpus.py).
[[ -f $out/tokenizer/tokenizer.json ]] || module tokenizer --books "$books" --out "$out/tokenizer" --vocab-size $vocab
[[ -f $out/train.npz ]] || module prepare --books "$books" --tokenizer "$out/tokenizer" --out "$out/train.npz" "${prepare_flags[@]}" --qa "${asked[@]}"
[[ -f $out/heldout.npz ]] || module prepare --books "$books" --tokenizer "$out/tokenizer" --out "$out/heldout.npz" --held-out

# 2. A plain Llama: prose, and questions inside the segment.
[[ -f $out/base.pt ]] || train --phase base "${data[@]}" "${base[@]}" "${train_flags[@]}" --config "$config" --out "$out/base.pt"
# 3. Memory heads are added and everything is trained together, from documents of 512 tokens to 64K and streams of a
#    million; a quarter of the steps ask inside the segment. (--phase memory would keep the base frozen: docs/memory.md.)
[[ -f $out/all.pt ]] || train --phase all "${data[@]}" "${all[@]}" "${train_flags[@]}" "${heads[@]}" "${stories[@]}" --base-share 0.25 --curriculum-pace 1.4 --init "$out/base.pt" --out "$out/all.pt"

# 4. Asked as the program asks, sections of documents that are read as a whole, which contest a question: at a fifth of the rates, or what
#    was learned is lost (docs/memory.md).
[[ -f $out/last.pt ]] || train --phase all "${data[@]}" "${last[@]}" "${train_flags[@]}" "${stories[@]}" --base-share 0.1 --contest-weight 0.4 --sectioned-share 0.6 --muon-lr 0.004 --adam-lr 6e-4 --decay 1 --init "$out/all.pt" --out "$out/last.pt"

# 5. int8 folder, and its tables.
module export --weights "$out/last.pt" --tokenizer "$out/tokenizer" --sections 128 --sure-doubt 0.02 --out "$out/palimpsest-mini"
module evaluate --model "$out/palimpsest-mini" --data "$out/heldout.npz" --tokenizer "$out/tokenizer" --sizes "${sizes[@]}" --documents $documents "${stories[@]}" "${rows[@]}" --out "$out/palimpsest-mini/evaluation.json"

# When the folder takes the place of resources/models/palimpsest-mini, what was computed with its weights follows:
#   python training/make_shipped_golden.py                                                   logits and memory, for the engine's parity
#   python training/make_cases.py                                                            PyTorch's score of tests/data/cases.jsonl
#   python -m palimpsest_training.tables resources/models/palimpsest-mini/evaluation.json    the tables of README.md and of the card
