#!/bin/bash
# What tools/bench/compare makes of figures, without measuring any: medians, bounds, ratios, targets, a chart.
#
#   compare.sh SOURCE_ROOT
set -u

bench=$1/tools/bench
work=$(mktemp -d) || exit 1
trap 'rm -rf -- "$work"' EXIT
failed=0
passed=0

# same WHAT GOT WANTED
same() {
    if [ "$2" = "$3" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $1: got '$2', wanted '$3'" >&2
    fi
}

# figure NAME TARGET: one more row of works.
: >"$work/works"
figure() { echo "w | $1 | - | - | cpu | - | - | 1 | 1 | ns | $2" >>"$work/works"; }
# rounds FIGURE WHO VALUE...: what was measured, a value a round.
: >"$work/rounds"
rounds() {
    local figure=$1 who=$2 value round=0
    shift 2
    for value in "$@"; do
        round=$((round + 1))
        printf '%d\t%s\t%s\t%s\n' $round "$figure" "$who" "$value" >>"$work/rounds"
    done
}
# cell FIGURE COLUMN: of the summary. Its columns: 3 ours, 4 and 5 the peers, 6 the floor, 7 the best, 8 the
# ratio, 9 its bound, 10 the target, 11 and 12 what is held against it, 13 whether it is met.
cell() { awk -F '\t' -v figure="$1" -v column="$2" '$1 == figure { print $column }' "$work/summary"; }

echo "# a comment | with bars" >>"$work/works"
figure plain 5
figure even 9
figure floor 1.10x
figure peer 1p
figure alone -
figure missing 5
rounds plain ours 1 2 3 4 5 6 7 8 9
rounds plain one 10 10 10 10 10 10 10 10 10
rounds plain two 20 20 20 20 20 20 20 20 1
rounds even ours 4 1 3 2
rounds even one 2 2 2 2
rounds floor ours 104 105 106 104 105 106 104 105 106
rounds floor raw 100 100 100 100 100 100 100 100 100
rounds floor one 300 300 300 300 300 300 300 300 300
rounds peer ours 12 24 12 24 12 24 12 24 12
rounds peer one 10 20 10 20 10 20 10 20 10
rounds alone ours 7
awk -v peers="one two" -v floors="raw" -f "$bench/summary.awk" "$work/works" "$work/rounds" >"$work/summary"

same "a median of nine" "$(cell plain 3)" 5.00
same "the best peer is the one with the least median" "$(cell plain 7)" one
same "an outlier changes no median" "$(cell plain 5)" 20.0
same "the ratio" "$(cell plain 8)" 0.50
same "the bound of nine is the eighth" "$(cell plain 9)" 0.80
same "a target that the median meets and the bound does not" "$(cell plain 13)" nearly
same "a median of four" "$(cell even 3)" 2.50
same "the bound of four is the greatest" "$(cell even 12)" 4.00
same "a target that is met" "$(cell even 13)" yes
same "a floor is no peer" "$(cell floor 7)" one
same "by the floor" "$(cell floor 11) $(cell floor 12) $(cell floor 13)" "1.05 1.06 yes"
same "ratios are taken within a round" "$(cell peer 11) $(cell peer 12)" "1.20 1.20"
same "a target that is missed" "$(cell peer 13)" no
same "a figure without peers" "$(cell alone 3) $(cell alone 7) $(cell alone 8) $(cell alone 13)" "7.00 - - -"
same "what nobody measured has no row" "$(cell missing 1)" ""

awk -F '\t' -v subtitle='<&' -f "$bench/chart.awk" "$work/summary" >"$work/chart"
same "a bar for each ratio" "$(grep -c '<rect x=' "$work/chart")" 4
same "a chart is escaped" "$(grep -c '>&lt;&amp;<' "$work/chart")" 1
same "a chart has an end" "$(tail -n 1 "$work/chart")" "</svg>"
if command -v python3 >/dev/null; then
    python3 -c 'import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])' "$work/chart" 2>"$work/error"
    same "a chart is XML" $? 0
fi

# wrong ARGUMENT...: status 2, one line on standard error.
wrong() {
    "$bench/compare" "$@" >"$work/out" 2>"$work/error" </dev/null
    same "compare $*: status" $? 2
    same "compare $*: lines" "$(wc -l <"$work/error")" 1
}
wrong --nonsense
wrong --only nonsense
wrong --only
wrong --without nonsense
wrong --without "go tokio"
wrong --without
same "--without takes peers, and leaves the works" "$("$bench/compare" --without go --without asio --list 2>&1)" "$("$bench/compare" --list)"
wrong --rounds 0
wrong --rounds x
same "works" "$("$bench/compare" --list | sort | uniq -d)" ""
same "a row of works has 11 columns" "$(grep -v '^#' "$bench/works" | grep -c .)" \
    "$(awk -F '|' '!/^#/ && NF == 11' "$bench/works" | wc -l)"

echo "$passed passed, $failed failed"
[ $failed -eq 0 ] && [ $passed -gt 0 ]
