# What the service may do is limited.
exposure=$(systemd-analyze security nmstated --no-pager | sed -nE 's/.*Overall exposure level[^0-9]*([0-9.]+).*/\1/p')
figure "exposure: $exposure"
systemd-analyze security nmstated --no-pager | grep -E '^[^A-Za-z]*✗' || true
awk -v exposure="$exposure" 'BEGIN { exit !(exposure <= 3.5) }'

# It is enough for what touches files and tunables.
printf 'hostname:\n  running: lab-renamed\n  config: lab-renamed\n' | nmctl apply -
[ "$(cat /proc/sys/kernel/hostname)" = lab-renamed ]
[ "$(cat /etc/hostname)" = lab-renamed ]
printf 'hostname:\n  running: lab\n  config: lab\n' | nmctl apply -
[ "$(cat /etc/hostname)" = lab ]
cat <<'DOCUMENT' | nmctl apply -
interfaces:
- name: lab0
  type: dummy
  state: up
  ipv4:
    enabled: true
    address: [{ip: 192.0.2.7, prefix-length: 24}]
    forwarding: true
  ipv6:
    enabled: true
    addr-gen-mode: eui64
    autoconf: false
DOCUMENT
[ "$(cat /proc/sys/net/ipv4/conf/lab0/forwarding)" = 1 ]
[ "$(cat /proc/sys/net/ipv6/conf/lab0/addr_gen_mode)" = 0 ]
printf 'interfaces:\n- name: lab0\n  state: absent\n' | nmctl apply -
