# The daemon, killed in an apply that netplan carries out, at some of its records and of its other points, others on
# other days (tests/lab/crash/killed): the network and all files are wholly old or wholly new.
source ./netplan
source "$repository/tests/lab/crash/lib"
source "$crash/killed"
few
begin
follow "${streams[@]}"
nmctl apply "$change" >/dev/null 2>&1
followed
points=$({ records; sample 6; } | some 4)
keep new
reset
for point in $points; do try_apply "$point"; done
found apply
end
untouched
[ $bad = 0 ]
