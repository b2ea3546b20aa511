# The last of 20 interfaces cannot be activated: nothing of the change is left, and the client is told which and why.
source "$repository/tests/lab/crash/lib"
source "$crash/many"
peer eth7 # a port that lets nobody in
serve_802.1x eth7
remember
began=$(date +%s%3N)
many 20 '{name: eth7, type: ethernet, state: up, 802.1x: {identity: lab, eap-methods: [md5], password: wrong}}' |
  refused eth7 nmctl apply -
figure "the last of 20 fails after $(($(date +%s%3N) - began)) ms"
all_as_before
