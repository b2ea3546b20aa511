# The daemon and NetworkManager, killed at once.
source "$repository/tests/lab/crash/lib"
source "$crash/service"
few
begin
keep_new
may_be_taken_up=yes
both="killed NetworkManager nmstated"

for stage in 'applying [1-9]' verifying; do interrupt "$stage" "$both" apply "$change"; done
for end in commit rollback; do
  awaiting
  interrupt 6 "$both" $end
done

# In the window.
before=$(last_id)
awaiting
$both
ends "$before" "both in the window"
[ "$found" = old ]
found "both end"
end
[ $bad = 0 ]
