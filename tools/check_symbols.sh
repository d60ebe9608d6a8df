#!/usr/bin/env bash
# Checks the names that the libraries give to the linker: the shared one exports raddle_ only, the
# static one defines raddle_ and rdl_ only, and every function that a public header declares exists.
#
#     tools/check_symbols.sh STATIC_LIBRARY SHARED_LIBRARY [INCLUDE_FOLDER]
set -u
if [ $# -lt 2 ]; then
    echo "usage: check_symbols.sh STATIC_LIBRARY SHARED_LIBRARY [INCLUDE_FOLDER]" >&2
    exit 2
fi
static=$1
shared=$2
include=${3:-$(dirname -- "$0")/../include}

bad=0
complain() {
    printf '%s\n' "$*"
    bad=$((bad + 1))
}

defined=$(nm -g --defined-only -P "$static" | awk 'NF >= 2 && $2 ~ /^[A-Z]$/ { print $1 }' | sort -u)
exported=$(nm -D --defined-only -P "$shared" | awk 'NF >= 2 { print $1 }' | sort -u)
if [ -z "$defined" ]; then
    complain "$static defines nothing"
fi
while IFS= read -r name; do
    complain "$static: $name has neither prefix"
done < <(grep -vE '^(raddle_|rdl_|$)' <<<"$defined")
while IFS= read -r name; do
    complain "$shared: exports $name"
done < <(grep -vE '^(raddle_|$)' <<<"$exported")
while IFS= read -r name; do
    complain "$shared: $name is hidden, though its name says public"
done < <(comm -23 <(grep '^raddle_' <<<"$defined") <(printf '%s\n' "$exported"))

# What the headers promise. Each public function is declared with RADDLE_API and ends in a semicolon.
declared=0
if [ -d "$include" ]; then
    while IFS= read -r name; do
        declared=$((declared + 1))
        if ! grep -qxF -- "$name" <<<"$exported"; then
            complain "$include: $name() is declared and nowhere defined"
        fi
    done < <(find "$include" -name '*.h' -exec cat {} + |
                 sed -E '/^[[:space:]]*#/d' | tr '\n' ' ' | sed -E 's@/\*([^*]|\*+[^*/])*\*+/@@g' | tr ';' '\n' |
                 grep -E '\bRADDLE_API\b' | grep -oE '\braddle_[a-z0-9_]+[[:space:]]*\(' |
                 tr -d ' (' | sort -u)
fi

if [ "$bad" -ne 0 ]; then
    printf '%d complaints\n' "$bad"
    exit 1
fi
printf '%d global names, %d exported, %d declared: all as they should be\n' \
    "$(grep -c . <<<"$defined")" "$(grep -c . <<<"$exported")" "$declared"
