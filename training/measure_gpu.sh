#!/usr/bin/env bash
# All figures of docs/performance.md: the shipped model on two cores of the CPU and on a graphics card; a random one of Llama 3.1
# 8B's exact shape with eight memory heads a layer by each kind of weights; both in the program's engine. Then the same weights in
# transformers. One after another, alone on the machine.
#   training/measure_gpu.sh BENCH OUT [FOLDER]
#   python training/performance_tables.py OUT --write docs/performance.md
# BENCH: palimpsest-engine-bench, built with CUDA; OUT: where the figures go; FOLDER: where the 16 GB of weights go (made
# if they are not there). A part that fails is said at the end, and the others go on; each writes its file as it goes:
#   NAME.txt    what the engine's benchmark says       NAME.log    what it complains about, and when it was killed
#   parts.csv   when each part began and ended         card.csv    the card, second by second
#   usual.json  transformers                           machine.txt, config.json   what it was measured on, and the shape
# For a trial elsewhere, or a part again: SHAPE (8b), SEGMENT (2048), DEVICE (cuda), SECONDS_EACH (8), SECONDS_LONG (32: of the
# full weights, to a million tokens), CONTEXTS (8K 32K 128K 256K), USUAL (more flags of measure_usual.py), PYTHON, and
# PARTS (shipped-cpu shipped-card full fp8 int8 int4 usual).
set -uo pipefail
[[ $# -ge 2 ]] || { sed -n '2,15p' "$0" >&2; exit 2; }
bench=$(realpath "$1") out=$(realpath -m "$2") folder=$(realpath -m "${3:-$2/random}")
cd "$(dirname "$0")/.." || exit 1
python=${PYTHON:-python3} shape=${SHAPE:-8b} device=${DEVICE:-cuda} each=${SECONDS_EACH:-8} long=${SECONDS_LONG:-32}
parts=${PARTS:-shipped-cpu shipped-card full fp8 int8 int4 usual}
shipped=resources/models/palimpsest-mini failed=()
[[ $device == *:* ]] && number=${device#*:} || number=0
mkdir -p "$out" || exit 1

part() { # NAME LIMIT FILE COMMAND...: its output goes to FILE, which keeps what came before a failure
  [[ " $parts " == *" $1 "* ]] || return 0
  echo "== $1"
  local began
  began=$(date +%s)
  if ! timeout --kill-after 10 "$2" "${@:4}" 2>"$out/$1.log" >"$3"; then
    tail -n 3 "$out/$1.log" >&2
    failed+=("$1")
  fi
  cat "$3"
  echo "$1,$began,$(date +%s)" >>"$out/parts.csv"
}
engine() { # NAME MODEL SECONDS [FLAGS]
  part "$1" 300 "$out/$1.txt" "${on[@]}" "$bench" "$2" "$out/book.txt" --seconds "${@:3}"
}
watch_card() {
  while :; do
    echo "$(date +%s),$(nvidia-smi -i "$number" --query-gpu=memory.used,utilization.gpu,clocks.sm,power.draw --format=csv,noheader,nounits | tr -d ' ')"
    sleep 1
  done >>"$out/card.csv" 2>/dev/null
}

"$python" -c 'import sys; sys.path.insert(0, "training"); from make_tiny_model import book_paragraphs; print("\n\n".join(book_paragraphs()))' >"$out/book.txt" || exit 1
{
  echo "cpu $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) cores"
  if command -v nvidia-smi >/dev/null; then
    echo "card $(nvidia-smi -i "$number" --query-gpu=name,driver_version,memory.total,power.limit --format=csv,noheader)"
  fi
} | tee "$out/machine.txt"
if command -v nvidia-smi >/dev/null; then
  watch_card &
  watcher=$!
  trap 'kill "$watcher" 2>/dev/null' EXIT
fi

two=$(lscpu -p=cpu,core | grep -v '^#' | sort -t , -k 2,2n -u | head -n 2 | cut -d , -f 1 | paste -sd ,)
on=(taskset -c "$two")
engine shipped-cpu $shipped "$each" --device cpu
on=()
engine shipped-card $shipped "$each" --device "$device"
if [[ ! -f $folder/config.json && $parts =~ full|fp8|int8|int4|usual ]]; then
  "$python" training/random_llama.py --shape "$shape" --tokenizer $shipped --memory-heads 8 --segment-length "${SEGMENT:-2048}" --device "${device%%:*}" --out "$folder" ||
    failed+=(weights)
fi
cp "$folder/config.json" "$out/" 2>/dev/null
engine full "$folder" "$long" --device "$device" --weights full
for weights in fp8 int8 int4; do
  engine $weights "$folder" "$each" --device "$device" --weights $weights
done
# shellcheck disable=SC2086
part usual 900 "$out/usual.txt" "$python" training/measure_usual.py --model "$folder" --contexts ${CONTEXTS:-8K 32K 128K 256K} --device "${device%%:*}" ${USUAL:-} --out "$out/usual.json"

if [[ ${#failed[@]} -gt 0 ]]; then
  echo "failed: ${failed[*]} (why: their .log in $out)" >&2
  exit 1
fi
