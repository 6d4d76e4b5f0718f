# SPDX-License-Identifier: Apache-2.0
# What the set-up commands share: packages and builds. Sourced by bash with $root, the checkout, set.

say() { printf '\n== %s\n' "$*"; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# The packages in the named sections of packages.txt, one a line.
packages_in() {
    local section
    for section in "$@"; do
        awk -v want="[$section]" '/^#/ || !NF {next} /^\[/ {on = $0 == want; next} on' "$root/deploy/packages.txt"
    done
}

missing_packages() {
    local package
    for package in $(packages_in "$@"); do
        dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || echo "$package"
    done
}

# Installs what is missing of the named sections; root or sudo is needed only if something is.
install_packages() {
    command -v dpkg-query >/dev/null || { echo "no Debian: taking for granted what packages.txt lists"; return; }
    local missing as_root=()
    missing=$(missing_packages "$@")
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || die "these packages are missing, and there is no sudo:" $missing
        as_root=(sudo)
    fi
    say "Installing packages:" $missing
    "${as_root[@]}" apt-get update -q
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $missing
}

# build FOLDER [MESON OPTION...]: sets a build folder up, or again where its options differ, and builds.
build() {
    local folder=$1
    shift
    if [ -f "$folder/build.ninja" ]; then
        [ $# = 0 ] || meson configure "$folder" "$@" >/dev/null
    else
        meson setup "$folder" "$root" "$@"
    fi
    ninja -C "$folder"
}
