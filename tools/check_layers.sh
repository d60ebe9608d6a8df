#!/usr/bin/env bash
# Checks that an #include points only left to right in runtime -> io -> sched -> include, that what
# belongs behind one header stays there, and that no source is missing in the lists of the build.
#
#     tools/check_layers.sh [SOURCE_ROOT]
set -u
cd -- "${1:-$(dirname -- "$0")/..}" || exit 2

bad=0
complain() {
    printf '%s\n' "$*"
    bad=$((bad + 1))
}

# What each folder may include in quotes, by folder. include/ uses <raddle/...> only.
declare -A below=(
    [include]=""
    [sched]="sched"
    [io]="io sched"
    [runtime]="runtime io sched"
)

sources=0
for folder in include sched io runtime; do
    while IFS= read -r -d '' file; do
        sources=$((sources + 1))
        while IFS=: read -r line header; do
            # The one way up: the checker takes the place of the atomics when it compiles a scenario.
            if [ "$file $header" = "sched/atomic.h tests/model/model_atomic.h" ]; then
                continue
            fi
            if [ ! -f "$header" ]; then
                complain "$file:$line: \"$header\" is not a path from the root of the source tree"
                continue
            fi
            case " ${below[$folder]} " in
            *" ${header%%/*} "*) ;;
            *) complain "$file:$line: $folder/ must not include \"$header\"" ;;
            esac
        done < <(sed -nE 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*"([^"]*)".*/\1/;T;=;p' "$file" |
                     paste -d: - -)
    done < <(find "$folder" -name '*.[chS]' -print0 | sort -z)
done
if [ "$sources" -eq 0 ]; then
    complain "no sources under $PWD"
fi

# matches PATTERN WHAT_IS_WRONG FILE...: complains of each line that is no comment.
matches() {
    local pattern=$1 wrong=$2 hit
    shift 2
    [ $# -gt 0 ] || return 0
    while IFS= read -r hit; do
        complain "$hit: $wrong"
    done < <(grep -nHE -- "$pattern" "$@" | grep -vE '^[^:]+:[0-9]+:[[:space:]]*(\*|/\*|//)' | cut -d: -f1,2)
}

mapfile -t ours < <(find sched io runtime -name '*.[ch]' ! -path sched/atomic.h ! -path sched/single.h | sort)
matches '<stdatomic\.h>|_Atomic|\batomic_[a-z_]+_explicit|__atomic_|__sync_(fetch|bool|val|lock|sync)' \
    "atomics go through sched/atomic.h" ${ours[@]+"${ours[@]}"}

# The drivers don't know each other.
mapfile -t uring < <(find io -name 'uring*.[ch]' | sort)
mapfile -t epoll < <(find io -name 'epoll*.[ch]' | sort)
matches '"io/epoll|rdl_epoll' "the io_uring driver mentions the epoll one" ${uring[@]+"${uring[@]}"}
matches '"io/uring|rdl_uring' "the epoll driver mentions the io_uring one" ${epoll[@]+"${epoll[@]}"}

# No source is forgotten by the build: lists there are written by hand.
while IFS= read -r -d '' file; do
    case $file in
    tests/fault/* | tests/model/* | tests/install/*) continue ;; # have a CMakeLists.txt of their own
    tests/*) list=tests/CMakeLists.txt entry=${file#tests/} ;;
    tools/bench/peers/*) list=tools/bench/peers/build entry=${file##*/} ;; # built on request only
    tools/*) list=tools/CMakeLists.txt entry=${file#tools/} ;;
    *) list=${file%%/*}/CMakeLists.txt entry=${file#*/} ;;
    esac
    if ! grep -qF -- "$entry" "$list" tools/cmake/*.cmake; then
        complain "$file: not in $list"
    fi
done < <(find sched io runtime tools tests \( -name '*.[cS]' -o -path 'tests/*.sh' \) -print0 | sort -z)

if [ "$bad" -ne 0 ]; then
    printf '%d complaints in %d files\n' "$bad" "$sources"
    exit 1
fi
printf '%d files keep to their layers\n' "$sources"
