# Every document of docs/examples that NetworkManager of this machine can do, through the service: applied, verified,
# planned again without change, rolled back, applied again, reverted; each time the network and the profiles are as
# before.
#
# Not here, but compared with the mapping of profiles in the unit tests of src/nm/settings: what needs hardware
# (ethernet-speed, ethtool-device, identifier-pci, infiniband, sr-iov) or a plugin that Debian has not (ipsec).
# What NetworkManager 1.52 cannot do must be refused while planning: hsr-2012 and an interlink, marks of tunnels,
# MACsec without keys; and what it could, but not with this kernel, which has no nftables of the family netdev:
# balance-slb. Open vSwitch: cases-ovs.
source ./peers
source ./examples
trap 'rm -rf /etc/pki; echo "interfaces: [{name: eth0, state: absent}, {name: eth1, state: absent}, {name: eth2, state: absent}]" | nmctl apply - || true; peers_gone' EXIT
surroundings
examples=$repository/docs/examples
chosen=()
for file in "$examples"/{kernel,host,managed}/*.yml; do
  case $(basename "$file" .yml) in
    ethernet-speed | ethtool-device | identifier-pci | infiniband | sr-iov | ipsec | wireguard | ovs-* | ovn) ;;
    hsr-interlink | ip-tunnel-fwmark | macsec | bond-balance-slb) refused NotSupportedError nmctl plan "$file" ;;
    *) chosen+=("$file") ;;
  esac
done
try_examples "${chosen[@]}"
