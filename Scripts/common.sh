# shellcheck shell=bash
# What every script here begins with: the root of the package as working directory, and a few words.

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit

readonly MINIMUM_SWIFT=6.2
export JOBS="${JOBS:-$(getconf _NPROCESSORS_ONLN)}"

step() { printf '\033[1m==>\033[0m %s\n' "$*"; }

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

as_root() {
    if [[ $(id -u) -eq 0 ]]; then
        "$@"
    elif have sudo; then
        sudo "$@"
    else
        fail "'$*' needs root: run it yourself, or install sudo."
    fi
}

# Why deterministic: the compiler is told the package's traits in the order of a set, and each new order compiles everything anew.
build() { env SWIFT_DETERMINISTIC_HASHING=1 swift build --jobs "$JOBS" "$@"; }
# In a folder of its own, with what makes a first build short: modules as wholes, each one's interface written where it is compiled, no
# debug information, and what `Scripts/compile` does. Takes half the work of a `swift build`, and more when one file has changed.
build_whole() {
    local toolchain=.build/whole/toolchain
    wrap_toolchain "$toolchain"
    SWIFT_EXEC="$PWD/$toolchain/bin/swiftc" CC="$PWD/$toolchain/bin/clang" \
        build --scratch-path .build/whole -debug-info-format none \
        -Xswiftc -whole-module-optimization -Xswiftc -num-threads -Xswiftc 1 -Xswiftc -no-emit-module-separately-wmo "$@"
}

# Makes a folder with the toolchain's compilers, which `Scripts/compile` stands before, and what is looked for beside them.
wrap_toolchain() {
    local folder=$1 toolchain name text
    toolchain=$(swiftc -print-target-info | sed -n 's|.*"runtimeResourcePath": "\(.*\)/lib/swift".*|\1|p')
    [[ -x $toolchain/bin/swiftc && -x $toolchain/bin/clang ]] ||
        fail "no swiftc and clang in '$toolchain/bin', where swiftc says it is: https://www.swift.org/install has both."
    mkdir -p "$folder/bin"
    for name in clang swiftc; do
        text=$(printf '#!/bin/sh\nexec "%s/Scripts/compile" "%s" "%s" "$@"' "$PWD" "$PWD/$folder/headers" "$toolchain/bin/$name")
        # Why looked at: the checkout or the toolchain may have moved.
        [[ $(cat "$folder/bin/$name" 2>/dev/null) != "$text" ]] || continue
        printf '%s\n' "$text" >"$folder/bin/$name"
        chmod +x "$folder/bin/$name"
    done
    ln -sfn "$toolchain/lib" "$folder/lib"
}

# Installs Debian packages; called only with what was found missing.
install_packages() {
    have apt-get || fail "please install with your package manager what Debian calls: $*"
    if [[ -z ${packages_listed:-} ]]; then
        step "Updating the list of packages"
        as_root apt-get update -qq </dev/null
        packages_listed=yes
    fi
    step "Installing $*"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" </dev/null >/dev/null
}

check_swift() {
    local remedy="Busbar needs Swift $MINIMUM_SWIFT or later: https://www.swift.org/install"
    have swift || fail "no Swift toolchain found. $remedy"
    local version
    version=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9][0-9.]*\).*/\1/p' | head -n 1)
    if [[ $(printf '%s\n' "$MINIMUM_SWIFT" "$version" | sort -V | head -n 1) != "$MINIMUM_SWIFT" ]]; then
        fail "Swift ${version:-of unknown version} is too old. $remedy"
    fi
    step "Swift $version"
}
