# The tests of the kernel room, on a kernel with every kind of link.
# Otherwise every new namespace has a device of each kind of tunnel.
echo 2 >/proc/sys/net/core/fb_tunnels_only_for_init_net
systemctl stop nmstated nmstated.socket
./tests/kernel --test-threads=1
