# tools/bench/chart.awk - a bar chart of ratios, as SVG, from what summary.awk prints.
#
#     awk -F '\t' -v subtitle="..." -f chart.awk summary.tsv
#
# A bar to the left of 1 is a figure that is better than the best peer's. The scale is logarithmic: half and
# twice are equally far from 1.

function escaped(text)
{
    gsub(/&/, "\\&amp;", text)
    gsub(/</, "\\&lt;", text)
    gsub(/>/, "\\&gt;", text)
    return text
}

function x_of(ratio)
{
    if (ratio < least)
        ratio = least
    if (ratio > greatest)
        ratio = greatest
    return left + (log(ratio) - log(least)) / (log(greatest) - log(least)) * width
}

function text(x, y, anchor, class, what)
{
    printf "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" class=\"%s\">%s</text>\n", x, y, anchor, class,
        escaped(what)
}

BEGIN {
    left = 150
    width = 520
    right = 190
    top = 70
    step = 22
    least = 1 / 16
    greatest = 16
}

NR == 1 {
    for (i = 1; i <= NF; i++)
        if (!($i in place))
            place[$i] = i
    next
}

$(place["ratio"]) != "-" {
    name[++n] = $1
    ratio[n] = $(place["ratio"])
    upper[n] = $(place["ratio"] + 1)
    best[n] = $(place["best"])
}

END {
    height = top + n * step + 30
    printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\">\n",
        left + width + right, height
    print "<style>.name,.value{font-size:12px}.title{font-size:16px;font-weight:bold}.small{font-size:11px;fill:#666}</style>"
    print "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>"
    text(10, 24, "start", "title", "raddle by the best peer: less is better")
    text(10, 42, "start", "small", subtitle)
    for (mark = least; mark <= greatest; mark *= 2) {
        x = x_of(mark)
        printf "<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\" stroke=\"%s\"/>\n", x, top - 6, x,
            top + n * step, mark == 1 ? "#000" : "#ddd"
        text(x, top - 10, "middle", "small", mark < 1 ? "1/" (1 / mark) : mark)
    }
    for (i = 1; i <= n; i++) {
        y = top + (i - 1) * step
        from = x_of(1)
        to = x_of(ratio[i])
        printf "<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>\n", from < to ? from : to,
            y + 3, from < to ? to - from : from - to, step - 8, ratio[i] <= 1 ? "#2a9d63" : "#c8553d"
        printf "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#333\"/>\n", to, y + step / 2 - 1,
            x_of(upper[i]), y + step / 2 - 1
        text(left - 8, y + 15, "end", "name", name[i])
        text(left + width + 10, y + 15, "start", "value", ratio[i] "  (" best[i] ")")
    }
    print "</svg>"
}
