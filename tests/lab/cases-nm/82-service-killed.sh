# NetworkManager, killed and started again by systemd at each stage of an apply, of a commit and of a rollback, and
# inside of a commit window: the network and the profiles are wholly old or wholly new.
source "$repository/tests/lab/crash/lib"
source "$crash/service"
few
begin
keep_new

# Of the stages the client is told each; of the steps in between only some. So the daemon is held before it activates
# what it has stored, and when all of that is up.
for stage in 'applying$' 'applying [1-9]' call:ActivateConnection call:3:Update2 verifying committing; do
  interrupt "$stage" "killed NetworkManager" apply "$change"
done
# After its first call, or in the middle of them.
for end in commit rollback; do
  for point in 2 12; do
    awaiting
    interrupt $point "killed NetworkManager" $end
  done
done

# In the window: its checkpoint is lost, and so is the change; we bring back what was.
before=$(last_id)
awaiting
killed NetworkManager
ends "$before" "in the window, killed"
# Gone for longer than the window.
before=$(last_id)
awaiting 3
systemctl stop NetworkManager
sleep 4 # past the deadline
systemctl start NetworkManager
ends "$before" "in the window, stopped until after it"
found "NetworkManager ends"
end
[ $bad = 0 ]
