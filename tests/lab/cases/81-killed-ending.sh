# A daemon killed at any point of a commit, and at every third of a rollback, which has six times as many.
source "$repository/tests/lab/crash/lib"
source "$crash/killed"
begin
keep_new
every 1 try_end commit
every 3 try_end rollback
found "commit and rollback"
end
