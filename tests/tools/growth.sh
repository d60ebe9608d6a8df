#!/bin/bash
# What tools/bench/growth makes of figures, with a stand-in for raddle: medians, the bend, failures, wrong options.
#
#   growth.sh SOURCE_ROOT
set -u

growth=$1/tools/bench/growth
work=$(mktemp -d) || exit 1
trap 'rm -rf -- "$work"' EXIT
failed=0

# same WHAT GOT WANTED
same() {
    if [ "$2" != "$3" ]; then
        failed=$((failed + 1))
        echo "FAILED: $1: got '$2', wanted '$3'" >&2
    fi
}

# Of spawn 10, 20 and 30 ns, and 1,000 more in the first of three samples; of idle bytes; of fib nothing but an error.
cat >"$work/raddle" <<'STANDIN'
#!/bin/bash
echo x >>"$(dirname "$0")/calls"
more=0
[ "$(wc -l <"$(dirname "$0")/calls")" -gt 3 ] || more=1000
case "$*" in
*"spawn "*" 100 "*) value=$((10 + more)) ;;
*"spawn "*" 1k "*) value=$((20 + more)) ;;
*"spawn "*" 10k "*) value=$((30 + more)) ;;
*"idle "*)
    echo '{"name":"idle.rss","value":4096.5,"unit":"bytes","cpu_ns":null,"loops":1}'
    exit
    ;;
*)
    echo "no such thing" >&2
    exit 1
    ;;
esac
echo "{\"name\":\"spawn.1\",\"value\":99.0,\"unit\":\"ns\",\"cpu_ns\":$value.0,\"loops\":1}"
STANDIN
chmod +x "$work/raddle"

line=$("$growth" --raddle "$work/raddle" --samples 3 --only spawn | tail -n 1)
same "medians of CPU time, and the bend" "$(awk '{ print $1, $2, $3, $4, $5, $6 }' <<<"$line")" "spawn.1 ns 10.0 20.0 30.0 3.00"
same "the amounts in turns" "$(wc -l <"$work/calls")" 9
line=$("$growth" --raddle "$work/raddle" --samples 1 --only idle | sed -n 2p)
same "a value without CPU time" "$(awk '{ print $1, $2, $3, $6 }' <<<"$line")" "idle.rss bytes 4096 1.00"

"$growth" --raddle "$work/raddle" --samples 1 --only fib >"$work/out" 2>"$work/error"
same "the status of what fails" $? 1
same "what fails is said" "$(sort -u "$work/error" | paste -sd,)" "no such thing,tools/bench/growth: 3 runs failed"
same "no figure of what failed" "$(awk '/^fib/ { print $2, $3, $4, $5 }' "$work/out")" "- - - -"

"$growth" --samples 0 2>"$work/error"
same "the status of a wrong option" $? 2
same "its line" "$(<"$work/error")" "tools/bench/growth: --samples: not a number from 1 to 999: '0'; see --help"
"$growth" --only nothing 2>/dev/null
same "the status of an unknown benchmark" $? 2
same "the names" "$("$growth" --list | head -n 2 | paste -sd' ')" "spawn skynet"

[ $failed -eq 0 ]
