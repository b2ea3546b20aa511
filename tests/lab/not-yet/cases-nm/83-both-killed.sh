# The daemon and NetworkManager, killed at once.
source "$repository/tests/lab/crash/lib"
source "$crash/service"
few
begin
keep_new
both="NetworkManager nmstated"

for stage in 'applying [1-9]' verifying; do interrupt "$stage" "$both" apply "$change"; done
for end in commit rollback; do
  awaiting
  interrupt 6 "$both" $end
done
before=$(last_id)
awaiting
# shellcheck disable=SC2086
systemctl kill --signal=KILL $both
ends "$before" "both in the window"
found "both end"
end
[ $bad = 0 ]
