#!/bin/sh
# Makes this checkout the machine's objmount, as root: commands, mount helper, unit and man page. Links only; run it again
# after moving the checkout, and with "remove" to take everything away.
set -eu

root=$(cd -- "$(dirname -- "$0")/.." && pwd)
prefix=${PREFIX:-/usr/local}
links="
$prefix/bin/objmount $root/bin/objmount
/sbin/mount.objmount $root/bin/mount.objmount
/etc/systemd/system/objmount@.service $root/packaging/systemd/objmount@.service
$prefix/share/man/man1/objmount.1 $root/packaging/man/objmount.1
"

if [ "${1:-}" = remove ]; then
  echo "$links" | while read -r link _; do [ -z "$link" ] || rm -f -- "$link"; done
  rm -f /etc/objmount/node
  exit 0
fi

mkdir -p "$prefix/bin" "$prefix/share/man/man1" /etc/systemd/system
mkdir -p -m 0755 /etc/objmount
echo "$links" | while read -r link target; do [ -z "$link" ] || ln -sfn -- "$target" "$link"; done
# mount(8) runs with a short PATH at boot: the helper finds node through this link.
ln -sfn -- "$(command -v node)" /etc/objmount/node
if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
echo "installed: objmount, mount -t objmount, objmount@.service, man objmount"
