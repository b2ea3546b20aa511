# Every document of docs/examples that NetworkManager of this machine can do, through the service: applied, verified,
# planned again without change, rolled back, applied again, reverted; each time the network and the profiles are as
# before.
#
# Not here: what needs hardware (ethernet-speed, ethtool-device, identifier-pci, infiniband, sr-iov), a plugin that
# Debian has not (ipsec) or a later NetworkManager (hsr-interlink); their profiles are compared with the mapping in
# the unit tests of src/nm/settings. Open vSwitch: cases-ovs.
source ./peers
source ./examples
trap 'rm -rf /etc/pki; peers_gone' EXIT
surroundings
examples=$repository/docs/examples
can() { case $(basename "$1" .yml) in
  ethernet-speed | ethtool-device | identifier-pci | infiniband | sr-iov | ipsec | hsr-interlink | wireguard) false ;;
  ovs-* | ovn) false ;;
esac }
chosen=()
for file in "$examples"/{kernel,host,managed}/*.yml; do ! can "$file" || chosen+=("$file"); done
try_examples "${chosen[@]}"
