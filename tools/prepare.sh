# shellcheck shell=bash
# What tools/quickstart and tools/check begin with; they source it.

# raddle_packages PACKAGE...: installs what is missing, and does nothing when all is there.
raddle_packages() {
    local package missing=() apt=()

    if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
        echo "This is no Debian: nothing is installed. What is needed, by Debian's names: $*"
        return 0
    fi
    for package in "$@"; do
        if [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then
            missing+=("$package")
        fi
    done
    if [ ${#missing[@]} -eq 0 ]; then
        return 0
    fi
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null; then
            echo "These packages are missing, and only root can install them: ${missing[*]}" >&2
            return 1
        fi
        apt=(sudo)
    fi
    apt+=(env DEBIAN_FRONTEND=noninteractive apt-get -y -qq
        -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
    echo "Installing ${missing[*]}"
    if ! "${apt[@]}" update </dev/null >/dev/null; then
        echo "apt-get update failed; trying with the lists that are there" >&2
    fi
    if ! "${apt[@]}" install --no-install-recommends "${missing[@]}" </dev/null >/dev/null; then
        echo "apt-get could not install: ${missing[*]}" >&2
        return 1
    fi
}

# raddle_build_root SOURCE_ROOT: prints the folder for builds, after making it: $RADDLE_BUILD_ROOT, or
# one of this source tree's own under ${TMPDIR:-/tmp}. Never inside the tree, never somebody else's.
raddle_build_root() {
    local folder=${RADDLE_BUILD_ROOT:-}

    if [ -z "$folder" ]; then
        folder=${TMPDIR:-/tmp}/raddle-check-$(cksum <<<"$1" | cut -d' ' -f1)
    fi
    folder=$(readlink -m -- "$folder")
    case $folder/ in
    "$1"/*)
        echo "$folder is inside the source tree; set RADDLE_BUILD_ROOT" >&2
        return 1
        ;;
    esac
    mkdir -p -- "$folder" || return 1
    if [ ! -O "$folder" ]; then
        echo "$folder belongs to somebody else; set RADDLE_BUILD_ROOT" >&2
        return 1
    fi
    printf '%s\n' "$folder"
}
