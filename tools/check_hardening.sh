#!/usr/bin/env bash
# Checks what the linker made of our hardening flags.
#
#     tools/check_hardening.sh FILE...
#
# Objects: a .note.GNU-stack that isn't executable in every object; on x86-64 the
# note of indirect branch tracking and none of shadow stacks, on aarch64 that of BTI and PAC.
# Shared libraries and programs: no executable stack, no segment both writable and executable, no text
# relocations, full RELRO, no claim of shadow stacks. Programs: position independent.
set -u
bad=0
complain() {
    printf '%s: %s\n' "$1" "$2"
    bad=$((bad + 1))
}

# check_object FILE
check_object() {
    local file=$1 sections notes machine
    sections=$(LC_ALL=C readelf -SW "$file")
    notes=$(LC_ALL=C readelf -nW "$file")
    machine=$(LC_ALL=C readelf -hW "$file" | sed -n 's/^ *Machine: *//p')
    if ! grep -q '\.note\.GNU-stack' <<<"$sections"; then
        complain "$file" "has no .note.GNU-stack: the whole program's stack becomes executable"
    elif grep -E '\.note\.GNU-stack' <<<"$sections" | grep -qE '[[:space:]][A-Z]*X[A-Z]*[[:space:]]+[0-9]+'; then
        complain "$file" "asks for an executable stack"
    fi
    case $machine in
    *X86-64*)
        grep -q 'x86 feature:.*IBT' <<<"$notes" || complain "$file" "has no landing pads (IBT)"
        if grep -q 'x86 feature:.*SHSTK' <<<"$notes"; then
            complain "$file" "claims shadow stacks, which the stack switch doesn't swap"
        fi
        ;;
    AArch64)
        grep -q 'AArch64 feature:.*BTI' <<<"$notes" || complain "$file" "has no landing pads (BTI)"
        ;;
    esac
}

# check_linked FILE TYPE
check_linked() {
    local file=$1 type=$2 segments dynamic notes
    segments=$(LC_ALL=C readelf -lW "$file")
    dynamic=$(LC_ALL=C readelf -dW "$file")
    notes=$(LC_ALL=C readelf -nW "$file")
    grep -qE 'GNU_STACK .* RW +0x' <<<"$segments" || complain "$file" "has an executable stack"
    if grep -E '^ *LOAD' <<<"$segments" | grep -q 'RWE'; then
        complain "$file" "has a segment both writable and executable"
    fi
    grep -q 'GNU_RELRO' <<<"$segments" || complain "$file" "has no RELRO"
    grep -qE 'BIND_NOW|FLAGS.*NOW' <<<"$dynamic" || complain "$file" "binds lazily: RELRO is partial"
    if grep -q 'TEXTREL' <<<"$dynamic"; then
        complain "$file" "has text relocations"
    fi
    if grep -q 'x86 feature:.*SHSTK' <<<"$notes"; then
        complain "$file" "claims shadow stacks, which the stack switch doesn't swap"
    fi
    case $type in
    EXEC*) complain "$file" "is not position independent" ;;
    esac
}

files=0
for file in "$@"; do
    type=$(LC_ALL=C readelf -hW "$file" 2>/dev/null | sed -n 's/^ *Type: *//p')
    case $type in
    "")
        complain "$file" "is no ELF file"
        ;;
    REL*)
        check_object "$file"
        files=$((files + 1))
        ;;
    *)
        check_linked "$file" "$type"
        files=$((files + 1))
        ;;
    esac
done

if [ "$files" -eq 0 ]; then
    echo "nothing to check" >&2
    exit 2
fi
if [ "$bad" -ne 0 ]; then
    printf '%d complaints\n' "$bad"
    exit 1
fi
printf '%d files are hardened\n' "$files"
