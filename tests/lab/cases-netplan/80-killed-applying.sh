# The daemon, killed in an apply that netplan carries out, at some of its records and of its other points
# (LAB_SAMPLE; tests/lab/crash/killed): the network and all files are wholly old or wholly new.
source ./netplan
source "$repository/tests/lab/crash/lib"
source "$crash/killed"
points() { { records; sample 6; } | some 4; }
kill_applies points
untouched
[ $bad = 0 ]
