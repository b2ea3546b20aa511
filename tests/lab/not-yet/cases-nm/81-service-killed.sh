# NetworkManager, killed and started again at each stage of an apply of 20 interfaces, and inside of a commit window:
# what a client is told is true, and the network is wholly old or wholly new.
source "$repository/tests/lab/crash/lib"
begin
began=$(date +%s%3N)
nmctl apply "$crash/change.yml" >/dev/null 2>&1
lasts=$(($(date +%s%3N) - began))
keep new
reset
restarted() { within 30 nmctl show; }
bad=0 olds=0 news=0
settled() { [ "$(nmctl list --json | jq length)" = 0 ]; }

sample=10
for ((share = 0; share < sample; share++)); do
  told=0 before=$(last_id)
  nmctl apply "$crash/change.yml" >said 2>&1 &
  client=$!
  sleep "$(awk "BEGIN { print $lasts * $share / $sample / 1000 }")" # the stage is what is tried
  systemctl kill --signal=KILL NetworkManager
  wait $client || told=$?
  restarted
  within 30 settled
  found=$(which_network)
  ended=$(ended_after "$before")
  echo "after $share/$sample of $lasts ms: told $told; found $found; in the history: $ended"
  case "$told $found $ended" in
    "1 old rolled-back" | "1 old none") olds=$((olds + 1)) ;;
    "0 new committed") news=$((news + 1)) ;;
    *) bad=$((bad + 1)) && tail -n 3 said ;;
  esac
  nothing_open || bad=$((bad + 1))
  [ "$found" = old ] || reset
done
figure "killed at $sample moments: $olds times the network of before, $news times the new one, $bad times neither or a lie"

# While a change awaits commit: its checkpoint is lost, and so is the change; we bring back what was.
for how in kill stop; do
  nmctl apply --no-commit --timeout 300 "$crash/change.yml" >/dev/null 2>&1
  if [ $how = kill ]; then systemctl kill --signal=KILL NetworkManager; else systemctl restart NetworkManager; fi
  restarted
  within 60 settled
  found=$(which_network)
  echo "in the window, $how: found $found"
  [ "$found" = old ] || bad=$((bad + 1))
  nothing_open || bad=$((bad + 1))
  [ "$found" = old ] || reset
done
# Gone for longer than the window.
nmctl apply --no-commit --timeout 5 "$crash/change.yml" >/dev/null 2>&1
systemctl stop NetworkManager
sleep 7 # past the deadline
systemctl start NetworkManager
restarted
within 60 settled
[ "$(which_network)" = old ] || bad=$((bad + 1))

# Both at once.
for moment in 0.3 1.5 3; do
  before=$(last_id)
  nmctl apply "$crash/change.yml" >said 2>&1 &
  client=$!
  sleep $moment
  systemctl kill --signal=KILL NetworkManager nmstated
  wait $client || true
  back
  restarted
  within 60 settled
  found=$(which_network)
  ended=$(ended_after "$before")
  echo "both after $moment s: found $found; in the history: $ended"
  case "$found $ended" in
    "old rolled-back" | "old none" | "new committed") ;;
    *) bad=$((bad + 1)) ;;
  esac
  nothing_open || bad=$((bad + 1))
  [ "$found" = old ] || reset
done
systemctl reset-failed NetworkManager nmstated
nmctl apply "$crash/undo.yml" >/dev/null
[ $bad = 0 ]
