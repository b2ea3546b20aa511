# A daemon killed at any point of an apply of 20 interfaces: the network is wholly old or wholly new, no record is
# left open, and what the client and the history say is true. Every point is tried (tests/lab/points.rs).
source "$repository/tests/lab/crash/lib"
begin
nmctl apply "$crash/change.yml" >/dev/null 2>&1
keep new
reset

n=0 olds=0 news=0 bad=0 told=1
while [ $told != 0 ] || [ "$passed" -ge "$n" ]; do
  n=$((n + 1)) told=0 before=$(last_id)
  follow $n kill
  nmctl apply "$crash/change.yml" >/dev/null 2>said || told=$?
  followed
  passed=$(wc -l <passed)
  back
  found=$(which_network)
  ended=$(ended_after "$before")
  echo "$n: $(tail -n 1 passed): told $told; found $found; in the history: $ended"
  case "$told $found $ended" in
    "3 old rolled-back" | "3 old none") olds=$((olds + 1)) ;;
    "3 new committed" | "0 new committed") news=$((news + 1)) ;;
    *) bad=$((bad + 1)) && cat said ;;
  esac
  nothing_open || bad=$((bad + 1))
  [ "$found" = old ] || reset
done
figure "$n points: $olds times the network of before, $news times the new one, $bad times neither or a lie"
resolv_conf_of_before
nmctl apply "$crash/undo.yml" >/dev/null
[ $bad = 0 ]
