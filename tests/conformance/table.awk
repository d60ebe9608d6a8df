# tests/conformance/table.awk - what tests/conformance/table.sh does: reads rows, headers, tests and a log, and prints.
#
# Of a function, the names after the wide blank in its parameters are local variables: awk has no others.

function complain(text) {
    print text > complaints
}

# One more line in a cell.
function beside(cell, line) {
    return cell (cell == "" ? "" : "<br>") line
}

# The rest of a header in one line: its words, without what is around them.
function words(line) {
    sub(/^[ \t]*\/?\*+(\/|<)?[ \t]*/, "", line)
    sub(/[ \t]*\*\/.*$/, "", line)
    return line
}

# rows.txt

function read_row(line,    id, at) {
    if (line ~ /^#/ || line ~ /^[ \t]*$/)
        return
    if (line ~ /^=/) {
        sub(/^=[ \t]*/, "", line)
        section = line
    } else if (line ~ /^open:/) {
        sub(/^open:/, "", line)
        open_line = open_line line
    } else if (line ~ /^[ \t]/) {
        sub(/^[ \t]+/, "", line)
        read_remark(line)
    } else {
        id = $1
        if (id !~ /^[A-Z][A-Z]?[0-9]+$/)
            complain("rows.txt: no row: " line)
        if (id in title)
            complain("rows.txt: twice: " id)
        sub(/^[^ \t]+[ \t]+/, "", line)
        order[++count] = row = id
        title[id] = line
        section_of[id] = section
    }
}

function read_remark(line,    at) {
    if (line ~ /^differs: [a-z\/_]+\.h: ./) {
        sub(/^differs: /, "", line)
        at = index(line, ": ")
        quotes++
        quote_row[quotes] = row
        quote_header[quotes] = substr(line, 1, at - 1)
        quote_words[quotes] = substr(line, at + 2)
        differs[row] = beside(differs[row], "differs: `" quote_header[quotes] "`: " quote_words[quotes])
    } else if (line ~ /^later: ./) {
        later[row] = line
    } else if (line == "open") {
        open[row] = 1
    } else {
        complain("rows.txt: " row ": no remark: " line)
    }
}

# Tests

# Rows and nothing else, or rows and what there is to say: the latter stand above helpers, too.
function is_tag(line) {
    return line ~ /^\/\* [A-Z][A-Z]?[0-9]+( [A-Z][A-Z]?[0-9]+)*(: .*)? \*\/$/
}

function is_bare(line) {
    return line !~ /: /
}

function rows_in(tag) {
    sub(/^\/\* /, "", tag)
    sub(/(:.*)? \*\/$/, "", tag)
    return tag
}

function is_test(line) {
    return line ~ /^[A-Z][A-Za-z_]*\([a-z_0-9]+(,|\))/
}

function short(file) {
    return substr(file, length(root "tests/") + 1)
}

# The name of the test or function that begins in line: "suite.test", or "function".
function name_in(line,    name) {
    if (is_test(line)) {
        name = substr(line, index(line, "(") + 1)
        gsub(/[ \t]/, "", name)
        sub(/\).*$/, "", name)
        sub(/,\.[a-z].*$/, "", name) # .signal = ...
        sub(/,/, ".", name)
        return name
    }
    if (line !~ /^[a-z].*[a-z_0-9]\(/)
        return ""
    name = line
    sub(/\(.*$/, "", name)
    sub(/^.*[ *]/, "", name)
    return name
}

function read_source(line,    i, n, ids, name, test) {
    if (joined != "") {
        line = joined line
        joined = ""
    }
    test = is_test(line)
    if (test && line ~ /,$/) {
        joined = line
        return
    }
    tests_in[FILENAME] += test
    if (test && FILENAME in shown_by_function) {
        complain(short(FILENAME) ": rows are named, but it is no test: " shown_by_function[FILENAME])
        delete shown_by_function[FILENAME]
    }
    if (is_tag(before)) {
        name = test || (!tests_in[FILENAME] && is_bare(before)) ? name_in(line) : ""
        n = split(rows_in(before), ids, " ")
        for (i = 1; name != "" && i <= n; i++)
            add_test(ids[i], FILENAME, name)
        if (name != "" && !test)
            shown_by_function[FILENAME] = name
        if (name == "" && is_bare(before))
            complain(short(FILENAME) ":" FNR ": rows are named, but there is no test: " before)
    } else if (test && before ~ /^\/\* [A-Z][A-Z]?[0-9]+[ ,:].*\*\/$/) {
        complain(short(FILENAME) ":" FNR ": rows are named otherwise than by themselves: " before)
    }
    before = line
}

function add_test(id, file, name,    program) {
    if (!(id in title) && !(id in unknown)) {
        complain(short(file) ": " name " names " id ", which is no row")
        unknown[id] = 1
        return
    }
    tests[id]++
    list[id] = beside(list[id], "`" short(file) ": " name "`")
    program = file
    sub(/^.*\//, "", program)
    sub(/\.c$/, "", program)
    if (index(programs[id], " " program " ") == 0)
        programs[id] = programs[id] " " program " "
}

# The log: each run is an entry of its program, on a driver.
function read_log(line,    n, part) {
    if (line ~ /^[0-9]+\/[0-9]+ Testing: /) {
        entry = $3
    } else if (entry != "" && line ~ /^Test (Passed|Failed|timed out|Skipped|not run)/) {
        n = split(entry, part, ".")
        driver = n > 1 ? part[2] : "once"
        runs[part[1] " " driver]++
        if (line ~ /^Test Passed/)
            passed[part[1] " " driver]++
        entry = ""
    }
}

function result_of(id,    i, k, n, p, drivers, r, ok, text) {
    n = split(programs[id], p, " ")
    split("uring epoll sim denied once", drivers, " ")
    text = ""
    for (k = 1; k <= 5; k++) {
        r = ok = 0
        for (i = 1; i <= n; i++) {
            r += runs[p[i] " " drivers[k]]
            ok += passed[p[i] " " drivers[k]]
        }
        if (r == 0)
            continue
        if (ok < r)
            failed[id] = 1
        text = text (text == "" ? "" : ", ") drivers[k] " " ok "/" r
    }
    return text == "" ? "not run" : text (id in failed ? " **failed**" : "")
}

# Headers

function read_header(line,    name) {
    name = FILENAME
    sub(/^.*\/include\//, "", name)
    text_of[name] = text_of[name] " " words(line)
}

FNR == 1 {
    joined = before = ""
}

FILENAME == rows {
    read_row($0)
    next
}

FILENAME == log_file {
    read_log($0)
    next
}

FILENAME ~ /\.h$/ {
    read_header($0)
    next
}

{
    read_source($0)
}

function check_row(id) {
    if (id in open) {
        if (!(id in may_be_open))
            complain(id " is open: " title[id])
    } else if (!tests[id] && !(id in differs) && !(id in later)) {
        complain(id " has no test and no reason: " title[id])
    }
}

function print_row(id,    shows) {
    shows = list[id]
    if (id in differs)
        shows = beside(shows, differs[id])
    if (id in later)
        shows = beside(shows, later[id])
    if (id in open)
        shows = beside(shows, "open")
    printf "| %s | %s | %s |%s\n", id, title[id], shows, has_log ? " " (tests[id] ? result_of(id) : "") " |" : ""
}

END {
    n = split(open_line, named, " ")
    for (i = 1; i <= n; i++) {
        may_be_open[named[i]] = 1
        if (!(named[i] in open))
            complain("rows.txt: " named[i] " is on the list of open rows, but is not one")
    }
    for (i = 1; i <= quotes; i++) {
        gsub(/[ \t]+/, " ", text_of[quote_header[i]])
        if (index(text_of[quote_header[i]], quote_words[i]) == 0)
            complain(quote_row[i] ": " quote_header[i] " doesn't say: " quote_words[i])
    }
    section = ""
    print "# What is shown of the contract, and by which tests"
    for (i = 1; i <= count; i++) {
        id = order[i]
        if (section_of[id] != section) {
            section = section_of[id]
            print "\n## " section "\n"
            print has_log ? "| Row | What | Shown by | Runs |\n| --- | --- | --- | --- |" \
                          : "| Row | What | Shown by |\n| --- | --- | --- |"
        }
        check_row(id)
        print_row(id)
        shown += tests[id] > 0
        different += (id in differs) && !tests[id]
        put_off += (id in later) && !tests[id]
        left += id in open
    }
    printf "\n%d rows: %d shown by tests, %d differ on purpose without one, %d are for later, %d open.\n", \
        count, shown, different, put_off, left
}
