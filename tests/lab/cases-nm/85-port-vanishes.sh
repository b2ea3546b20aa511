# A port vanishes for good while the bridge that is to hold it comes up: the client is told of that port alone, and all
# else is as it was.
source "$repository/tests/lab/crash/lib"
source "$crash/many"
remember
peer eth8
# The daemon is held before it activates what it has stored: it is neither too early nor too late.
follow streams ActivateConnection hold
many 10 '{name: lab10, type: linux-bridge, state: up, bridge: {port: [{name: eth8}]}}' | nmctl apply - >said 2>&1 &
client=$! told=0
held_at ActivateConnection
began=$SECONDS
ip link delete eth8
let_go
wait $client || told=$?
followed
tail -n 4 said
figure "a port that vanished: told $told after $((SECONDS - began)) s"
[ $told = 4 ]
nmctl history --json --limit 1 | jq -e '.[0].unrestored | length > 0 and all(contains("eth8"))'
[ "$(nmctl list --json | jq length)" = 0 ]
ip netns delete peer-eth8
all_as_before

# The person who was told has looked at it.
rm /var/lib/nmstated/incomplete
systemctl restart nmstated
nothing_open
