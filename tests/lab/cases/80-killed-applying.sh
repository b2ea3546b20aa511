# A daemon killed at any point of an apply of 20 interfaces: the network is wholly old or wholly new, no record is
# left open, and what the client and the history say is true. Every point is tried.
source "$repository/tests/lab/crash/lib"
source "$crash/killed"
begin
keep_new
every 1 try_apply
found apply
end
[ $bad = 0 ]
