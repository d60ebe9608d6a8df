#!/usr/bin/env bash
# Checks that each public header compiles alone, as C11 and as C++11, without a warning.
#
#     CC=cc CXX=c++ tools/check_headers.sh [INCLUDE_FOLDER]
#
# CXX empty: C only, and the exit status is 77. raddle/test.h is left out where Criterion isn't found.
set -u
include=${1:-$(dirname -- "$0")/../include}
CC=${CC-cc}
CXX=${CXX-c++}

bad=0
headers=0
warnings=(-Wall -Wextra -Wpedantic -Wundef -Wshadow -Werror)

# compile WHAT HEADER COMMAND...: the header alone, and twice, in a file of its own.
compile() {
    local what=$1 header=$2
    shift 2
    if ! printf '#include <%s>\n#include <%s>\n' "$header" "$header" |
        "$@" "${warnings[@]}" -fsyntax-only -I "$include" -; then
        printf '%s does not compile alone as %s\n' "$header" "$what"
        bad=$((bad + 1))
    fi
}

while IFS= read -r -d '' file; do
    header=${file#"$include"/}
    if [ "$header" = raddle/test.h ] && ! pkg-config --exists 'criterion >= 2.4'; then
        continue
    fi
    headers=$((headers + 1))
    compile C11 "$header" "$CC" -x c -std=c11 -Wstrict-prototypes
    if [ -n "$CXX" ]; then
        compile C++11 "$header" "$CXX" -x c++ -std=c++11
    fi
done < <(find "$include" -name '*.h' -print0 | sort -z)

if [ "$headers" -eq 0 ]; then
    echo "no headers under $include"
    exit 1
fi
if [ "$bad" -ne 0 ]; then
    exit 1
fi
if [ -z "$CXX" ]; then
    printf '%d headers compile alone as C11; there is no C++ compiler\n' "$headers"
    exit 77
fi
printf '%d headers compile alone, as C11 and as C++11\n' "$headers"
