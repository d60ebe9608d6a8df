# tests/model/mutants.awk - lists every way to weaken a source by one step: each ordering, each fence, each
# compare-exchange.
#
#     awk -f mutants.awk SOURCE...
#
# A line per mutant: file, line, column, the operation as it is, what it becomes, and its name. The name says where
# by function and text, so that it stays when lines move: "file function operation(operands) becomes: what". A text
# that a function has more than once is numbered.
#
# What an operation becomes has a name in weakened.h or in model_atomic.h.

BEGIN {
    OFS = "\t"
    step["seq_cst"] = "acq_rel"
    step["acq_rel"] = "acquire release"
    step["acquire"] = "relaxed"
    step["release"] = "relaxed"
}

FNR == 1 {
    function_name = "-"
    split("", seen)
}

# A definition begins in the first column.
/^[a-z].*\(/ && !/;[ ]*$/ {
    text = $0
    gsub(/__attribute__\(\([^)]*(\([^)]*\))?\)\)/, "", text)
    sub(/\(.*/, "", text)
    sub(/[ *]*$/, "", text)
    sub(/.*[ *]/, "", text)
    function_name = text
}

# The text from the opening parenthesis at position at to its partner.
function operands(text, at,    depth, i, c) {
    for (i = at; i <= length(text); i++) {
        c = substr(text, i, 1)
        if (c == "(")
            depth++
        if (c == ")" && --depth == 0)
            break
    }
    return substr(text, at, i - at + 1)
}

function mutant(becomes,    name) {
    name = FILENAME " " function_name " " what (number > 1 ? " #" number : "") " becomes: " becomes
    print FILENAME, FNR, column, "rdl_atomic_" op, "rdl_atomic_" becomes, name
}

{
    rest = $0
    sub(/\/\*.*/, "", rest)
    passed = 0
    while (match(rest, /rdl_atomic_[a-z_]+\(/)) {
        column = passed + RSTART
        op = substr(rest, RSTART + 11, RLENGTH - 12)
        what = op operands(rest, RSTART + RLENGTH - 1)
        passed += RSTART + RLENGTH - 1
        rest = substr(rest, RSTART + RLENGTH)
        number = ++seen[function_name what]

        order = op
        if (!match(op, /(seq_cst|acq_rel|acquire|release|relaxed)$/))
            continue # init
        order = substr(op, RSTART)
        kind = substr(op, 1, RSTART - 2)

        if (kind == "fence") {
            mutant("fence_dropped")
            continue
        }
        if (kind == "cas") {
            mutant("torn_" order)
            if (order == "seq_cst")
                mutant("cas_seq_cst_fails_acquire")
            if (order == "acq_rel")
                mutant("cas_acq_rel_fails_relaxed")
        }
        if (order == "relaxed")
            continue
        if (order == "seq_cst" && kind == "load")
            mutant("load_acquire")
        else if (order == "seq_cst" && kind == "store")
            mutant("store_release")
        else if (kind == "cas" && order == "acq_rel") {
            # What a failure acquires is a mutant of its own.
            mutant("cas_acquire_fails_acquire")
            mutant("cas_release_fails_acquire")
        } else {
            steps = split(step[order], weaker, " ")
            for (i = 1; i <= steps; i++)
                mutant(kind "_" weaker[i])
        }
    }
}
