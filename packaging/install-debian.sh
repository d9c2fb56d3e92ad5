#!/usr/bin/env bash
# Installs what is missing on Debian 12 (or a relative of it): build tools, libraries, fonts. Asks for sudo if needed.
#   packaging/install-debian.sh [--tests]      --tests: also what only the tests need
set -euo pipefail

packages=(
  build-essential cmake ninja-build pkg-config ccache
  qt6-base-dev qt6-svg-dev qt6-qpa-plugins libgl-dev            # the window
  libdnnl-dev libhwy-dev libssl-dev nlohmann-json3-dev             # the engine
  libpcre2-dev libutf8proc-dev libsentencepiece-dev                # tokenizers
  libpoppler-cpp-dev libpoppler-glib-dev libpng-dev                # PDF
  libzip-dev libpugixml-dev libgumbo-dev libcmark-dev libuchardet-dev  # EPUB, HTML, Markdown, text
  libsqlite3-dev libsqlitecpp-dev                                  # the library
  libgtest-dev libgmock-dev                                        # tests are part of the build
  fonts-dejavu-core
)
[[ ${1:-} == --tests ]] && packages+=(python3-venv xvfb xauth)

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
((${#missing[@]})) || exit 0

echo "Installing: ${missing[*]}"
as_root=()
if ((EUID != 0)); then
  command -v sudo >/dev/null || { echo "These packages are missing, and neither root nor sudo is at hand: ${missing[*]}" >&2; exit 1; }
  as_root=(sudo)
fi
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
