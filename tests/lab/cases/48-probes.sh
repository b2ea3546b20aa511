# Every kind of probe works with the limits of the service, which has to ask, connect, resolve and start
# programs with them. A namespace behind a cable is the gateway.
finish() {
  ip link delete up0 2>/dev/null || true
  ip netns delete peer 2>/dev/null || true
  rm -rf /usr/local/libexec/nmstated-lab /etc/hosts.saved /etc/nmstated.conf.saved /run/said
}
cp /etc/hosts /etc/hosts.saved
cp /etc/nmstated.conf /etc/nmstated.conf.saved
trap 'cp /etc/hosts.saved /etc/hosts; cp /etc/nmstated.conf.saved /etc/nmstated.conf; systemctl restart nmstated; finish' EXIT
ip netns add peer
ip link add up0 type veth peer name gw0 netns peer
ip -n peer address add 192.0.2.1/24 dev gw0
ip -n peer link set gw0 up
ip address add 192.0.2.10/24 dev up0
ip link set up0 up
ip route add default via 192.0.2.1
ip netns exec peer socat TCP-LISTEN:2222,fork,reuseaddr OPEN:/dev/null &
within 30 socat -u OPEN:/dev/null TCP:192.0.2.1:2222
echo '192.0.2.1 gateway.lab' >>/etc/hosts

# The program says what it may do: nothing but what the service may.
mkdir -p /usr/local/libexec/nmstated-lab
program=/usr/local/libexec/nmstated-lab/check
cat >$program <<'PROGRAM'
#!/bin/sh
grep -qE '^CapBnd:\s*0*1000$' /proc/self/status || { echo "more rights than CAP_NET_ADMIN" >&2; exit 3; }
grep -qE '^NoNewPrivs:\s*1$' /proc/self/status || { echo "new privileges" >&2; exit 4; }
grep -qE '^Seccomp:\s*2$' /proc/self/status || { echo "no filter of system calls" >&2; exit 5; }
[ -z "$(ls -A /root /home 2>/dev/null)" ] || { echo "homes can be seen" >&2; exit 6; }
! ( : >/usr/local/libexec/nmstated-lab/written ) 2>/dev/null || { echo "/usr can be written" >&2; exit 7; }
case "$(cat /sys/class/net/up0/mtu)" in 1310) echo "too small" >&2; exit 8 ;; esac
PROGRAM
chmod 0755 /usr/local/libexec /usr/local/libexec/nmstated-lab $program

mtu() { printf 'interfaces:\n- {name: up0, type: veth, mtu: %d}\n' "$1"; }
is_mtu() { [ "$(cat /sys/class/net/up0/mtu)" = "$1" ]; }
all=(--probe gateway --probe tcp:192.0.2.1:2222 --probe tcp:gateway.lab:2222 --probe resolve:gateway.lab
  --probe "run:$program")

# All hold before and after, so that nobody warns.
mtu 1400 | nmctl apply "${all[@]}" - 2>/run/said
if grep warning /run/said; then false; fi
is_mtu 1400

# What does not hold before is a warning; the name is looked for, and not found, within the limits too.
mtu 1401 | nmctl apply --probe resolve:nowhere.invalid --probe tcp:192.0.2.1:2 - 2>/run/said
grep -F 'warning: resolve:nowhere.invalid is not required' /run/said
grep -F 'warning: tcp:192.0.2.1:2 is not required' /run/said
if grep -F 'not permitted' /run/said; then false; fi
is_mtu 1401

# A program that no longer agrees takes the change back, and says why.
mtu 1310 | refused 'too small' nmctl apply "${all[@]}" -
is_mtu 1401

# Only root names a program, and only one that nobody else can write.
chmod 0777 $program
mtu 1402 | refused 'can be written by others than root' nmctl apply --probe "run:$program" -
chmod 0755 $program
is_mtu 1401

# A change that loses the gateway is rolled back at once, for who names no probe, by the configuration.
echo 'probe = gateway, tcp:gateway.lab:2222' >>/etc/nmstated.conf
systemctl restart nmstated
lost() {
  cat <<'DOCUMENT'
routes:
  config:
  - {state: absent, destination: 0.0.0.0/0}
  - {destination: 0.0.0.0/0, next-hop-interface: up0, next-hop-address: 192.0.2.9}
DOCUMENT
}
began=$(date +%s%3N)
lost | refused 'gateway:ipv4 held before the change' nmctl apply --no-commit --timeout 3600 -
figure "lost gateway undone after $(($(date +%s%3N) - began)) ms"
[ $(($(date +%s%3N) - began)) -lt 30000 ]
ip route show default | grep -F 'via 192.0.2.1 '
lost | nmctl apply --no-probes -
ip route show default | grep -F 'via 192.0.2.9 '
