# Idle, it takes little memory, and no time.
systemctl restart nmstated
nmctl show >/dev/null
pid=$(main_pid)
figure "after start and one query: $(grep VmRSS /proc/"$pid"/status | tr -s '\t ' ' '), $(grep RssAnon /proc/"$pid"/status | tr -s '\t ' ' ')"
switches() { awk '/ctxt_switches/ { sum += $2 } END { print sum }' /proc/"$pid"/task/*/status; }
ticks() { cut -d' ' -f14,15 /proc/"$pid"/stat; }
sleep 15 # threads that the query needed end
before=$(switches) 
sleep 20
woken=$(($(switches) - before))
figure "woken in 20 s of idleness: $woken times"
# The file's pages of a build without optimisation are many; its memory is the same.
counted=$([ "$(cat profile)" = release ] && echo VmRSS || echo RssAnon)
resident=$(awk -v "counted=$counted:" '$1 == counted { print $2 }' /proc/"$pid"/status)
[ "$resident" -le 16384 ]
[ "$woken" -le 2 ]
