#!/usr/bin/env bash
# How fast a graphics card reads and answers: the shipped model and a random one of Llama 3.1 8B's exact shape
# with eight memory heads a layer, in the program's engine, and the same weights in transformers, one after another.
#   training/measure_gpu.sh BENCH OUT [FOLDER]
# BENCH: palimpsest-engine-bench, built with CUDA; OUT: where the figures go; FOLDER: where the 16 GB of weights go (made
# if they are not there). SHAPE (8b), SECONDS_EACH (20), CONTEXTS (8K 32K 128K 256K), DEVICE (cuda): for a trial elsewhere.
set -euo pipefail
bench=$(realpath "$1") out=$(realpath -m "$2") folder=$(realpath -m "${3:-$2/random}")
cd "$(dirname "$0")/.."
python=${PYTHON:-python3} shape=${SHAPE:-8b} seconds=${SECONDS_EACH:-20} device=${DEVICE:-cuda}
shipped=resources/models/palimpsest-mini
mkdir -p "$out"
"$python" -c 'import sys; sys.path.insert(0, "training"); from make_tiny_model import book_paragraphs; print("\n\n".join(book_paragraphs()))' >"$out/book.txt"
measure() { # NAME MODEL [FLAGS]
  echo "== $1"
  "$bench" "$2" "$out/book.txt" --seconds "$seconds" "${@:3}" | tee "$out/$1.txt"
}
measure shipped-cpu $shipped --device cpu
measure shipped-card $shipped --device "$device"
[[ -f $folder/config.json ]] ||
  "$python" training/random_llama.py --shape "$shape" --tokenizer $shipped --memory-heads 8 --segment-length 2048 --device "${device%%:*}" --out "$folder"
measure "$shape-card" "$folder" --device "$device"
command -v nvidia-smi >/dev/null && nvidia-smi --query-gpu=name,driver_version,clocks.sm,power.draw --format=csv >"$out/card.csv"
"$python" training/measure_usual.py --model "$folder" --contexts ${CONTEXTS:-8K 32K 128K 256K} --device "${device%%:*}" ${USUAL:-} --out "$out/usual.json"
