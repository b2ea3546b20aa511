# 500 interfaces in one document come, are rolled back, come again and go.
many() { # state
  echo interfaces:
  for i in $(seq 1 500); do
    printf -- '- {name: many%d, type: dummy, state: %s%s}\n' $i "$1" "${2:-}"
  done
}
count() { ip -o link show type dummy | grep -c 'many' || true; }
took() { local began; began=$(date +%s%3N); "${@:2}" >/dev/null; figure "500 interfaces, $1: $(($(date +%s%3N) - began)) ms"; }
many up >many.yml
many absent >none.yml
took 'apply --no-commit' nmctl apply --no-commit --timeout 3600 many.yml
[ "$(count)" = 500 ]
took rollback nmctl rollback
none() { [ "$(count)" = 0 ]; }
within 60 none
! nmcli -g NAME connection show | grep many
took apply nmctl apply many.yml
took 'apply again' nmctl apply many.yml
took show nmctl show
took removal nmctl apply none.yml
[ "$(count)" = 0 ]
