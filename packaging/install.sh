#!/bin/sh
# Makes this checkout the machine's objmount, as root: commands, mount helper, unit and man page. Links only; run it again
# after moving the checkout, and with "remove" to take everything away. PREFIX is /usr/local; with DESTDIR the links are made
# below that folder, for a package, and this machine stays as it is.
set -eu

root=$(cd -- "$(dirname -- "$0")/.." && pwd)
prefix=${PREFIX:-/usr/local}
dest=${DESTDIR:-}
# mount(8) looks in /sbin; where that is a link, a package must hold the folder behind it.
sbin=/sbin
if [ -n "$dest" ] && [ -L /sbin ]; then sbin=/usr/sbin; fi
links="
$prefix/bin/objmount $root/bin/objmount
$sbin/mount.objmount $root/bin/mount.objmount
/etc/systemd/system/objmount@.service $root/packaging/systemd/objmount@.service
$prefix/share/man/man1/objmount.1 $root/packaging/man/objmount.1
"

if [ "${1:-}" = remove ]; then
  echo "$links" | while read -r link _; do [ -z "$link" ] || rm -f -- "$dest$link"; done
  rm -f "$dest/etc/objmount/node"
  exit 0
fi

mkdir -p -m 0755 "$dest/etc/objmount"
echo "$links" | while read -r link target; do
  [ -n "$link" ] || continue
  mkdir -p -- "$(dirname -- "$dest$link")"
  ln -sfn -- "$target" "$dest$link"
done
# mount(8) runs with a short PATH at boot: the helper finds node through this link.
ln -sfn -- "$(command -v node)" "$dest/etc/objmount/node"
if [ -z "$dest" ] && [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
echo "installed${dest:+ below $dest}: objmount, mount -t objmount, objmount@.service, man objmount"
