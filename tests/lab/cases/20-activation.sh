# A call on the bus, or on the socket, starts a daemon that is stopped.
systemctl stop nmstated
systemctl is-active nmstated.socket
"${bus[@]}" GetStatus
systemctl is-active nmstated
systemctl stop nmstated
nmctl status
systemctl is-active nmstated
