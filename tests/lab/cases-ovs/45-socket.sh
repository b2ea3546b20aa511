# The socket of the database is another user's, as where Open vSwitch runs as a user of its own: the daemon, which is
# root without CAP_DAC_OVERRIDE, says so, and can be let in.
trap 'chown root /run/openvswitch/db.sock; rm -rf /etc/systemd/system/nmstated.service.d/ovs.conf
  systemctl daemon-reload; systemctl restart nmstated' EXIT
chown nobody /run/openvswitch/db.sock
systemctl restart nmstated
shut() { refused "Permission denied" nmctl plan -; }
echo 'interfaces: [{name: ovs3, type: ovs-bridge}]' | shut
mkdir -p /etc/systemd/system/nmstated.service.d
cat >/etc/systemd/system/nmstated.service.d/ovs.conf <<'DROPIN'
[Service]
CapabilityBoundingSet=CAP_DAC_OVERRIDE
DROPIN
systemctl daemon-reload
systemctl restart nmstated
echo 'interfaces: [{name: ovs3, type: ovs-bridge}]' | nmctl plan -
