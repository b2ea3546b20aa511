# The service is enabled and started, says READY, and what belongs to it is in place.
systemctl stop nmstated nmstated.socket
systemctl enable --now nmstated
systemctl is-active nmstated nmstated.socket
systemctl is-enabled nmstated nmstated.socket
[ "$(stat -c %a $socket)" = 666 ]
[ "$(readlink -f /run/varlink/registry/io.nmstate.Daemon)" = $socket ]
[ "$(stat -c %a /var/lib/nmstated)" = 700 ]
# It has looked at what links this kernel can make, and made none: a tunnel's module makes one.
for module in bonding ipip sit ip6_tunnel; do [ ! -e /sys/module/$module ]; done
[ -z "$(ip -o link show type ipip; ip -o link show type sit; ip -o link show type ip6tnl)" ]
nmctl status --json | jq -e '.interface_types | index("bond")'
systemd-analyze verify nmstated.service nmstated.socket
for try in 1 2 3; do
  systemctl restart nmstated
  began=$(systemctl show -P ExecMainStartTimestampMonotonic nmstated)
  ready=$(systemctl show -P ActiveEnterTimestampMonotonic nmstated)
  figure "start to READY: $(((ready - began) / 1000)) ms"
done
[ -e $socket ]
