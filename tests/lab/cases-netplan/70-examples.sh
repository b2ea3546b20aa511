# Every document of docs/examples with netplan: what it can express is applied, planned again without change and
# rolled back, and some are also kept and reverted by their revert document; each time the network is as before, and
# after the rollback our own files, too. Everything else is refused while planning, at the places that the goldens of
# tests/netplan have, and nothing has changed. Of what it can express only some are tried
# (LAB_SAMPLE).
#
# Without hardware or a plugin that they need: ethernet-speed, identifier-pci, infiniband, sr-iov. Those of Open vSwitch
# that netplan can express have their own case.
source ./peers
source ./netplan
trap 'rm -rf /etc/pki; echo "interfaces: [{name: eth0, state: absent}, {name: eth1, state: absent}, {name: eth2, state: absent}]" | nmctl apply - || true; peers_gone' EXIT
surroundings
# Without the database, what is wrong with a bridge in it is not looked at.
systemctl start ovsdb-server
examples=$repository/docs/examples
renderer=$(sed -n 's/^ *renderer: //p' /etc/netplan/10-admin.yaml)

# Where the golden of a document says that it is refused. It knows no planner, and no database.
places() { # folder/name
  case $1 in
    managed/ovn) echo ovn ;;
    # This kernel has no nftables for devices.
    managed/bond-balance-slb) echo link-aggregation.options.balance_slb ;;
    host/dns) [ "$renderer" = NetworkManager ] || echo dns-resolver.config.options ;;
    *)
      awk -v name="$1.yml" '$1 == "###" { on = $2 == name } on && $1 == "refused:"' \
        "$repository/tests/netplan/$renderer.txt" | sed -E 's/^refused: ([^ ]+: )?([^ :]+): .*/\2/' | sort -u
      ;;
  esac
}

# Every apply takes seconds: these stand for the others.
try_this() { # file
  case $(basename "$1" .yml) in
    addresses-and-lease | bond | dummy | routes-absent | vrf) try_example "$1" ;;
    *) try_example_once "$1" ;;
  esac
}

bad=0 refused=0
expressible=()
for file in "$examples"/{kernel,host,managed}/*.yml; do
  name=$(basename "$(dirname "$file")")/$(basename "$file" .yml)
  case $name in managed/ethernet-speed | managed/identifier-pci | managed/infiniband | managed/sr-iov) continue ;; esac
  case $name in managed/ovs-db | managed/ovs-lacp | managed/ovs-options | managed/ovs-patch) continue ;; esac
  places=$(places "$name")
  [ -n "$places" ] || { expressible+=("$file"); continue; }
  refused=$((refused + 1))
  everything >before
  if nmctl plan "$file" >said 2>&1; then
    echo "== $name is not refused"
    bad=1
  fi
  head -n 1 said | grep -qF -- "$places" || { echo "== $name: refused elsewhere: $(head -c 1000 said)"; bad=1; }
  everything | cmp before - || { echo "== $name: not as before"; bad=1; }
done
figure "$refused examples refused"
mapfile -t expressible < <(printf '%s\n' "${expressible[@]}" | some 7)
try_each try_this "${expressible[@]}" || bad=1
untouched
[ $bad = 0 ]
