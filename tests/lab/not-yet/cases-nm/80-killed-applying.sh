# The daemon, killed at any point of an apply of 20 interfaces that NetworkManager carries out: the network and its
# profiles are wholly old or wholly new, no record is left open, and what the client and the history say is true.
# A sample of the points, as each takes seconds; calls on the bus are points too (tests/lab/points.rs).
source "$repository/tests/lab/crash/lib"
begin
# How many there are.
follow streams
nmctl apply "$crash/change.yml" >/dev/null 2>&1
followed
points=$(wc -l <passed)
keep new
reset

sample=16 olds=0 news=0 bad=0
for ((share = 1; share <= sample; share++)); do
  n=$((points * share / sample)) told=0 before=$(last_id)
  follow streams $n kill
  nmctl apply "$crash/change.yml" >/dev/null 2>said || told=$?
  followed
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
figure "$sample of $points points: $olds times the network of before, $news times the new one, $bad times neither or a lie"
nmctl apply "$crash/undo.yml" >/dev/null
[ $bad = 0 ]
