# A daemon killed at any point of a commit, and at every third of a rollback, which has six times as many. As long as the end is not decided, the change still
# awaits commit afterwards and can be ended either way; once it is, the next daemon brings it to that end.
source "$repository/tests/lab/crash/lib"
begin
nmctl apply "$crash/change.yml" >/dev/null 2>&1
keep new
reset

try() { # commit|rollback step
  local n=$((1 - $2)) tried=0 told=1 passed=0 waits=0 ends=0
  while [ $told != 0 ] || [ "$passed" -ge "$n" ]; do
    n=$((n + $2)) tried=$((tried + 1)) told=0
    local before found ended
    before=$(last_id)
    nmctl apply --no-commit --timeout 300 "$crash/change.yml" >/dev/null 2>&1
    follow $n kill
    nmctl "$1" >/dev/null 2>said || told=$?
    followed
    passed=$(wc -l <passed)
    back
    if [ "$(nmctl list --json | jq -r '.[].stage')" = awaiting-commit ]; then
      [ $told = 3 ] && [ "$(which_network)" = new ] || { echo "$1 $n: told $told, it awaits commit"; return 1; }
      # Either end is still open.
      nmctl $([ $((tried % 2)) = 0 ] && echo commit || echo rollback) >/dev/null 2>&1
      waits=$((waits + 1))
      found="$(which_network) $(ended_after "$before")"
    else
      found="$(which_network) $(ended_after "$before")"
      [ "$1 $found" = "commit new committed" ] || [ "$1 $found" = "rollback old rolled-back" ] ||
        { echo "$1 $n: told $told, found $found"; return 1; }
      ends=$((ends + 1))
    fi
    echo "$1 $n: $(tail -n 1 passed): told $told; found $found"
    [ "$found" = "new committed" ] || [ "$found" = "old rolled-back" ]
    nothing_open
    [ "$(which_network)" = old ] || reset
  done
  figure "$1: $tried points: $waits times it still awaited commit, $ends times the next daemon ended it"
}
try commit 1
try rollback 3
resolv_conf_of_before
nmctl apply "$crash/undo.yml" >/dev/null
