# The same in a commit and in a rollback: at each of their records, and at a sample of their other points.
source "$repository/tests/lab/crash/lib"
source "$crash/killed"
points() { records; sample 1; }
kill_ends points
