# The documents of docs/examples with Open vSwitch, as in cases-nm/70-examples.sh. Not ovs-dpdk: it needs a card that
# is driven from user space.
source ./peers
source ./examples
trap peers_gone EXIT
surroundings
chosen=()
for file in "$repository"/docs/examples/managed/ov*.yml; do
  case $file in *ovs-dpdk.yml) ;; *) chosen+=("$file") ;; esac
done
try_examples "${chosen[@]}"
