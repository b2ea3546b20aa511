# The same in a commit and in a rollback.
source ./netplan
source "$repository/tests/lab/crash/lib"
source "$crash/killed"
trap "nmctl rollback || true" EXIT
points() { { records; sample 4; } | some 2; }
kill_ends points
untouched
