#!/bin/bash
# Ceph's radosgw (S3) on loopback: http://127.0.0.1:27380, path style, over one monitor and one OSD that keeps everything
# in memory. Debian's packages; needs root.
NAME=rgw
. "$(dirname "$0")/common.sh"
MON=$((BASE_PORT + 200))
PORT=$((BASE_PORT + 280))
URL=http://127.0.0.1:$PORT
FSID=6d2b9a52-0000-4000-8000-6f626a6d6e74
OSD=0b5e1f7c-0000-4000-8000-6f626a6d6e74
export CEPH_CONF=$HOME_DIR/ceph.conf

install() {
  [ "$(id -u)" = 0 ] || skip "the daemons of Ceph need root"
  packages radosgw radosgw ceph-mon ceph-osd ceph-common
  command -v ceph-mon >/dev/null && command -v ceph-osd >/dev/null && command -v ceph >/dev/null || fail "radosgw is here, but ceph-mon, ceph-osd or ceph-common is not"
}
version() { radosgw --version 2>/dev/null | awk '{ print $3 }'; }
conf() {
  cat >"$CEPH_CONF" <<E
[global]
fsid = $FSID
mon_initial_members = a
mon_host = [v2:127.0.0.1:$MON,v1:127.0.0.1:$((MON + 1))]
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
ms_bind_port_min = $((MON + 2))
ms_bind_port_max = $((MON + 70))
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
keyring = $HOME_DIR/keyring
run_dir = $HOME_DIR/run
admin_socket = $HOME_DIR/run/\$name.asok
pid_file =
log_file = $HOME_DIR/log/\$name.log
osd_objectstore = memstore
memstore_device_bytes = ${OBJMOUNT_SERVERS_BYTES:-2147483648}
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 1
osd_pool_default_pgp_num = 1
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_max_pg_per_osd = 1000
mon_allow_pool_size_one = true
mon_data_avail_crit = 1
[mon.a]
mon_data = $HOME_DIR/mon
[osd.0]
osd_data = $HOME_DIR/osd
osd_crush_initial_weight = 1
[client.rgw.x]
rgw_frontends = beast endpoint=127.0.0.1:$PORT
rgw_thread_pool_size = 32
E
}
monitor_answers() { timeout 5 ceph -s; }
osd_is_up() { timeout 5 ceph osd stat | grep -q '1 up'; }
start() {
  install
  alive radosgw && answers "$URL/" && return 0
  stop
  mkdir -p "$HOME_DIR"/{mon,osd,run,log}
  conf
  # Where the daemons' own steps say nothing of use, the log does: "$HOME_DIR/log".
  {
    monmaptool --create --clobber --fsid $FSID --addv a "[v2:127.0.0.1:$MON,v1:127.0.0.1:$((MON + 1))]" "$HOME_DIR/monmap" &&
      ceph-authtool --create-keyring "$HOME_DIR/keyring" --gen-key -n mon. --cap mon 'allow *' &&
      for who in client.admin osd.0 client.rgw.x; do
        ceph-authtool "$HOME_DIR/keyring" --gen-key -n $who --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *' || exit 1
      done &&
      ceph-mon -i a --mkfs --monmap "$HOME_DIR/monmap" --keyring "$HOME_DIR/keyring"
  } >"$HOME_DIR/log/setup.log" 2>&1 || fail "the monitor cannot be set up: see $HOME_DIR/log/setup.log"
  daemon ceph-mon ceph-mon -i a -f
  await ceph-mon 60 monitor_answers || { stop; exit 1; }
  { ceph osd new $OSD 0 && ceph-osd -i 0 --mkfs --osd-uuid $OSD; } >>"$HOME_DIR/log/setup.log" 2>&1 || { stop; fail "the OSD cannot be set up: see the log"; }
  daemon ceph-osd ceph-osd -i 0 -f
  await ceph-osd 80 osd_is_up || { stop; exit 1; }
  daemon radosgw radosgw -n client.rgw.x -f
  await radosgw 120 answers "$URL/" 200 || { stop; exit 1; }
  radosgw-admin user create --uid=objmount --display-name=objmount --access-key=testkey --secret-key=testsecret >>"$HOME_DIR/log/setup.log" 2>&1 ||
    { stop; fail "the user cannot be created"; }
  echo "$NAME: up at $URL"
}
stop() {
  end radosgw
  end ceph-osd
  end ceph-mon
  rm -rf "$HOME_DIR"/{mon,osd,keyring,monmap,ceph.conf} "$HOME_DIR"/run/*.asok
}
env() { s3env "$URL" testkey testsecret; }
dispatch "$@"
