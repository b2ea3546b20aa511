# The same in a commit and in a rollback.
source ./netplan
source "$repository/tests/lab/crash/lib"
source "$crash/killed"
trap "nmctl rollback || true" EXIT
few
begin
for end in commit rollback; do
  nmctl apply --no-commit "$change" >/dev/null 2>&1
  follow "${streams[@]}"
  nmctl $end >/dev/null 2>&1
  followed
  declare "points_$end=$({ records; sample 4; } | some 2)"
  [ $end = rollback ] || { keep new && reset; }
done
for point in $points_commit; do try_end commit "$point"; done
for point in $points_rollback; do try_end rollback "$point"; done
found "commit and rollback"
end
untouched
