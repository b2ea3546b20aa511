# The daemon, killed in an apply that NetworkManager carries out: at each of its records, before and after, and at a
# sample of its other points, which are calls on the bus mostly (tests/lab/crash/killed).
source "$repository/tests/lab/crash/lib"
source "$crash/killed"
few
begin
follow "${streams[@]}"
nmctl apply "$change" >/dev/null 2>&1
followed
points=$(records; sample 3)
keep new
reset
for point in $points; do try_apply "$point"; done
found apply
end
[ $bad = 0 ]
