# tools/bench/summary.awk - from the figures of all rounds to one row per figure.
#
#     awk -v peers="go tokio ..." -v floors="raw epoll uring" -f summary.awk works rounds.tsv
#
# rounds.tsv: round, figure, who, value. Prints, separated by tabs, a line of headings and then, per figure
# that somebody was measured on: figure, unit, ours, that of each peer, the floor, the best peer, the ratio
# ours/best and its upper bound, the target, what is held against it, its upper bound, whether it is met.
#
# Each is a median over the rounds; a ratio is taken within a round, because what disturbs a round disturbs
# all in it. The bound is the upper end of the one-sided interval that holds the median with 95 %
# confidence, by order statistics: no distribution is assumed. Below five rounds it is the greatest value.
# With three or fewer rounds nothing is called met.

function trim(text)
{
    gsub(/^[ \t]+|[ \t]+$/, "", text)
    return text
}

function sort(values, n,    i, j, x)
{
    for (i = 2; i <= n; i++) {
        x = values[i]
        for (j = i - 1; j > 0 && values[j] > x; j--)
            values[j + 1] = values[j]
        values[j + 1] = x
    }
}

function median(values, n)
{
    sort(values, n)
    return n % 2 ? values[(n + 1) / 2] : (values[n / 2] + values[n / 2 + 1]) / 2
}

# The least k so that the k-th of n sorted values is not below the median with 95 % confidence.
function upper_rank(n,    k, term, sum)
{
    term = 0.5 ^ n
    sum = 0
    for (k = 1; k <= n; k++) {
        sum += term
        if (sum >= 0.95)
            return k
        term = term * (n - k + 1) / k
    }
    return n
}

# Medians of what who has of figure, or "" for nothing; upper: its bound instead.
function of(figure, who, upper,    round, n, values)
{
    n = 0
    for (round = 1; round <= rounds; round++)
        if ((figure, who, round) in value)
            values[++n] = value[figure, who, round]
    if (n == 0)
        return ""
    if (!upper)
        return median(values, n)
    sort(values, n)
    return values[upper_rank(n)]
}

function ratio_of(figure, whom, upper,    round, n, values)
{
    n = 0
    for (round = 1; round <= rounds; round++)
        if ((figure, "ours", round) in value && (figure, whom, round) in value && value[figure, whom, round] > 0)
            values[++n] = value[figure, "ours", round] / value[figure, whom, round]
    if (n == 0)
        return ""
    if (!upper)
        return median(values, n)
    sort(values, n)
    return values[upper_rank(n)]
}

# The name of the one with the least median.
function best_of(figure, names, n,    i, least, best, x)
{
    best = ""
    for (i = 1; i <= n; i++) {
        x = of(figure, names[i], 0)
        if (x != "" && (best == "" || x < least)) {
            least = x
            best = names[i]
        }
    }
    return best
}

function short(x)
{
    if (x == "")
        return "-"
    return sprintf(x < 0 ? "%.0f" : x < 10 ? "%.2f" : x < 100 ? "%.1f" : "%.0f", x)
}

function row(figure,    i, line, best, floor, target, kind, got, bound, met)
{
    best = best_of(figure, peer, peer_count)
    floor = best_of(figure, by_hand, by_hand_count)
    target = target_of[figure]
    kind = substr(target, length(target))
    got = bound = met = ""
    if (kind == "x") {
        got = ratio_of(figure, floor, 0)
        bound = ratio_of(figure, floor, 1)
    } else if (kind == "p") {
        got = ratio_of(figure, best, 0)
        bound = ratio_of(figure, best, 1)
    } else if (target != "-") {
        got = of(figure, "ours", 0)
        bound = of(figure, "ours", 1)
    }
    if (got != "" && target != "-")
        met = got > target + 0 ? "no" : rounds < 4 ? "?" : bound > target + 0 ? "nearly" : "yes"
    line = figure "\t" unit_of[figure] "\t" short(of(figure, "ours", 0))
    for (i = 1; i <= peer_count; i++)
        line = line "\t" short(of(figure, peer[i], 0))
    line = line "\t" short(floor == "" ? "" : of(figure, floor, 0)) "\t" (best == "" ? "-" : best)
    line = line "\t" short(ratio_of(figure, best, 0)) "\t" short(ratio_of(figure, best, 1))
    print line "\t" target "\t" short(got) "\t" short(bound) "\t" (met == "" ? "-" : met)
}

BEGIN {
    peer_count = split(peers, peer, " ")
    by_hand_count = split(floors, by_hand, " ")
}

FNR == 1 {
    file++
}

file == 1 && !/^#/ && NF {
    split($0, column, "|")
    name = trim(column[2])
    figures[++figure_count] = name
    unit_of[name] = trim(column[10])
    target_of[name] = trim(column[11])
}

file == 2 {
    value[$2, $3, $1] = $4
    seen[$2] = 1
    if ($1 > rounds)
        rounds = $1
}

END {
    line = "figure\tunit\tours"
    for (i = 1; i <= peer_count; i++)
        line = line "\t" peer[i]
    print line "\tfloor\tbest\tratio\tupper\ttarget\tgot\tupper\tmet"
    for (i = 1; i <= figure_count; i++)
        if (figures[i] in seen)
            row(figures[i])
}
