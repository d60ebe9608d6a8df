#!/usr/bin/env bash
# tests/security/hardening.sh - what isn't hardened is refused by tools/check_hardening.sh, each fault by its name.
#
#     hardening.sh SOURCE_ROOT
#
# CC builds a program and an object that are as they should be, and then one that isn't for each complaint.
set -u
root=$1
: "${CC:=cc}"
work=$(mktemp -d) || exit 1
trap 'rm -rf -- "$work"' EXIT
failed=0
checked=0

echo 'int main(void) { return 0; }' >"$work/main.c"
echo 'int (*hook)(void); int call(void) { return hook(); }' >"$work/part.c"
: >"$work/no_note.S"
echo '.section .note.GNU-stack,"x",%progbits' >"$work/stack.S"

case $(uname -m) in
x86_64) pads=-fcf-protection=branch ;;
aarch64) pads=-mbranch-protection=standard ;;
*) exit 77 ;;
esac
object=("$CC" -O2 -fPIC "$pads" -c)
good="-Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code"

# accept FILE / refuse FILE WORDS
accept() {
    checked=$((checked + 1))
    if ! output=$("$root/tools/check_hardening.sh" "$1" 2>&1); then
        printf 'refused, and should not be: %s\n%s\n' "$1" "$output"
        failed=$((failed + 1))
    fi
}
refuse() {
    checked=$((checked + 1))
    if output=$("$root/tools/check_hardening.sh" "$1" 2>&1) || ! grep -q "$2" <<<"$output"; then
        printf 'no complaint that it %s: %s\n%s\n' "$2" "$1" "$output"
        failed=$((failed + 1))
    fi
}
# make FILE COMMAND...: COMMAND with -o FILE.
make() {
    local file=$1
    shift
    "$@" -o "$file" 2>"$work/log" || {
        cat -- "$work/log"
        exit 1
    }
}

make "$work/main.o" "${object[@]}" "$work/main.c"
make "$work/part.o" "${object[@]}" "$work/part.c"
accept "$work/main.o"
make "$work/good" "$CC" "$work/main.o" -pie "$good"
accept "$work/good"
make "$work/good.so" "$CC" -shared "$work/part.o" "$good"
accept "$work/good.so"

make "$work/no_note.o" "$CC" -c "$work/no_note.S"
refuse "$work/no_note.o" "has no .note.GNU-stack"
make "$work/stack.o" "$CC" -c "$work/stack.S"
refuse "$work/stack.o" "asks for an executable stack"
make "$work/stack" "$CC" "$work/main.o" -pie -Wl,-z,relro,-z,now,-z,execstack,-z,separate-code
refuse "$work/stack" "has an executable stack"
make "$work/lazy.so" "$CC" -shared "$work/part.o" -Wl,-z,relro,-z,lazy,-z,noexecstack
refuse "$work/lazy.so" "binds lazily"
make "$work/norelro" "$CC" "$work/main.o" -pie -Wl,-z,norelro,-z,now,-z,noexecstack
refuse "$work/norelro" "has no RELRO"
make "$work/fixed" "$CC" -O2 -fno-pie -no-pie "$work/main.c" -Wl,-z,relro,-z,now,-z,noexecstack
refuse "$work/fixed" "is not position independent"
if [ "$(uname -m)" = x86_64 ]; then
    make "$work/nopads.o" "$CC" -O2 -fPIC -fcf-protection=none -c "$work/part.c"
    refuse "$work/nopads.o" "has no landing pads"
    make "$work/shadow.o" "$CC" -O2 -fPIC -fcf-protection=full -c "$work/part.c"
    refuse "$work/shadow.o" "claims shadow stacks"
else
    make "$work/nopads.o" "$CC" -O2 -fPIC -mbranch-protection=none -c "$work/part.c"
    refuse "$work/nopads.o" "has no landing pads"
fi

printf '%d files checked, %d wrongly\n' "$checked" "$failed"
[ "$failed" -eq 0 ]
