# The daemon, killed in an apply that NetworkManager carries out: at each of its records, before and after, and at a
# sample of its other points, which are calls on the bus mostly (tests/lab/crash/killed).
source "$repository/tests/lab/crash/lib"
source "$crash/killed"
points() { records; sample 3; }
kill_applies points
[ $bad = 0 ]
