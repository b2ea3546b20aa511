# Idle, it takes little memory, and no time.
systemctl restart nmstated
nmctl show >/dev/null
pid=$(main_pid)
figure "after start and one query: $(grep VmRSS /proc/"$pid"/status | tr -s '\t ' ' '), $(grep RssAnon /proc/"$pid"/status | tr -s '\t ' ' ')"
# How often each of its threads was woken, by thread.
switches() { awk '/^Pid/ { pid = $2 } /^voluntary_ctxt_switches/ { sum[pid] += $2 } END { for (pid in sum) print pid, sum[pid] }' /proc/"$pid"/task/*/status; }
sleep 15 # threads that the query needed end
switches >before
sleep 20
switches >after
# One that ends was woken for that.
woken=$(awk 'NR == FNR { after[$1] = $2; next } { sum += $1 in after ? after[$1] - $2 : 1; delete after[$1] }
  END { for (pid in after) sum += after[pid]; print sum + 0 }' after before)
figure "woken in 20 s of idleness: $woken times"
# The file's pages of a build without optimisation are many; its memory is the same.
counted=$([ "$(cat profile)" = release ] && echo VmRSS || echo RssAnon)
resident=$(awk -v "counted=$counted:" '$1 == counted { print $2 }' /proc/"$pid"/status)
[ "$resident" -le 16384 ]
[ "$woken" -le 2 ]
