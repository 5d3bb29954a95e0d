# Draws the text of a terminal as an SVG. Knows the ANSI sequences that set a style: bold, dim, the
# sixteen colours, and reset. Any other sequence is left out.
BEGIN {
    split("#6e7681 #ff7b72 #7ee787 #e3b341 #79c0ff #d2a8ff #56d4dd #c9d1d9", colour, " ")
    size = 14; line_height = 19; char_width = 8.43; margin = 16
}

function escape(text) {
    gsub(/&/, "\\&amp;", text); gsub(/</, "\\&lt;", text); gsub(/>/, "\\&gt;", text)
    return text
}

# The number of characters of UTF-8 text; awk must take bytes for characters (LC_ALL=C).
function width(text) {
    gsub(/[\200-\277]/, "", text)
    return length(text)
}

function style(codes,    part, i, n, c) {
    n = split(codes, part, ";")
    if (n == 0) { fill = ""; weight = ""; opacity = "" }
    for (i = 1; i <= n; i++) {
        c = part[i] + 0
        if (c == 0) { fill = ""; weight = ""; opacity = "" }
        else if (c == 1) weight = " font-weight=\"bold\""
        else if (c == 2) opacity = " opacity=\"0.6\""
        else if (c == 22) { weight = ""; opacity = "" }
        else if (c == 39) fill = ""
        else if (c >= 30 && c <= 37) fill = " fill=\"" colour[c - 29] "\""
        else if (c >= 90 && c <= 97) fill = " fill=\"" colour[c - 89] "\""
    }
}

function span(text) {
    if (text == "") return ""
    if (fill weight opacity == "") return escape(text)
    return "<tspan" fill weight opacity ">" escape(text) "</tspan>"
}

{
    out = ""; columns = 0; rest = $0
    while (match(rest, /\033\[[0-9;]*[A-Za-z]/)) {
        before = substr(rest, 1, RSTART - 1)
        code = substr(rest, RSTART + 2, RLENGTH - 3)
        last = substr(rest, RSTART + RLENGTH - 1, 1)
        out = out span(before); columns += width(before)
        if (last == "m") style(code)
        rest = substr(rest, RSTART + RLENGTH)
    }
    out = out span(rest); columns += width(rest)
    line[NR] = out
    if (columns > widest) widest = columns
}

END {
    w = int(widest * char_width + 2 * margin); h = NR * line_height + 2 * margin
    printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\" aria-label=\"Airtight in a terminal\">\n", w, h, w, h
    printf "<rect width=\"100%%\" height=\"100%%\" rx=\"8\" fill=\"#0d1117\"/>\n"
    printf "<g fill=\"#c9d1d9\" font-family=\"ui-monospace, DejaVu Sans Mono, Menlo, Consolas, monospace\" font-size=\"%d\">\n", size
    for (i = 1; i <= NR; i++)
        printf "<text x=\"%d\" y=\"%d\" xml:space=\"preserve\">%s</text>\n", margin, margin + i * line_height - 5, line[i]
    print "</g>\n</svg>"
}
