# Prints requests with two answers side by side:
#   awk -v width=100 -f side_by_side.awk rows.jsonl before.jsonl after.jsonl
# rows.jsonl holds messages rows that end with the expected answer, the others {"text": ...} rows.

# The JSON string that starts at the given quote of s, decoded.
function json_string(s, at,    out, c) {
  out = ""
  for (at++; at <= length(s); at++) {
    c = substr(s, at, 1)
    if (c == "\"") break
    if (c == "\\") {
      c = substr(s, ++at, 1)
      if (c == "n" || c == "t" || c == "r") c = " "
      else if (c == "u") { out = out "\\"; }
    }
    out = out c
  }
  return out
}

# The string value of the last key of this name.
function value_of(s, key,    at, last) {
  last = 0
  while (match(substr(s, last + 1), "\"" key "\" *: *\"")) { at = last + RSTART + RLENGTH - 1; last = at }
  return last ? json_string(s, last) : ""
}

function first_content(s) { return match(s, "\"content\" *: *\"") ? json_string(s, RSTART + RLENGTH - 1) : "" }

# Cuts text into lines of at most n characters, at blanks and commas where there are some.
function wrap(text, n, lines,    count, cut) {
  count = 0
  while (length(text) > n) {
    for (cut = n; cut > n / 3 && substr(text, cut, 1) !~ /[ ,]/; cut--) ;
    if (cut <= n / 3) cut = n
    lines[++count] = substr(text, 1, cut)
    text = substr(text, cut + 1)
  }
  lines[++count] = text
  return count
}

function columns(a, b,    n, left, right, l, r, i, rows) {
  n = int((width - 5) / 2)
  l = wrap(a, n, left)
  r = wrap(b, n, right)
  if (l > 5) { l = 5; left[5] = substr(left[5], 1, n - 3) "..." }
  rows = l > r ? l : r
  for (i = 1; i <= rows; i++)
    printf "  %-*s | %s\n", n, (i <= l ? left[i] : ""), (i <= r ? right[i] : "")
}

FNR == 1 { file++ }
file == 1 { request[FNR] = first_content($0); expected[FNR] = value_of($0, "content"); count = FNR }
file == 2 { before[FNR] = value_of($0, "text") }
file == 3 { after[FNR] = value_of($0, "text") }
END {
  for (row = 1; row <= count; row++) {
    printf "\n> %s\n", request[row]
    mark = after[row] == expected[row] ? "" : "  (expected: " expected[row] ")"
    columns(before[row], after[row] mark)
  }
}
