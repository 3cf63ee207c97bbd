#!/bin/bash
# OpenStack Swift with its S3 API on loopback: http://127.0.0.1:27480, path style, one replica on one directory, users of
# tempauth. Debian's packages; needs root, and user.* extended attributes under the state directory.
#   The same server speaks Swift: http://127.0.0.1:27480/auth/v1.0, user test:tester, key testing.
NAME=swift
. "$(dirname "$0")/common.sh"
PORT=$((BASE_PORT + 380))
OBJECT=$((BASE_PORT + 381))
CONTAINER=$((BASE_PORT + 382))
ACCOUNT=$((BASE_PORT + 383))
CACHE=$((BASE_PORT + 384))
URL=http://127.0.0.1:$PORT
ETC=$HOME_DIR/etc
DATA=$HOME_DIR/data
# Debian's interpreter has Swift's modules; another python3 in front of it has not.
PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH

install() {
  [ "$(id -u)" = 0 ] || skip "Swift's servers need root"
  packages swift-proxy-server swift-proxy swift-account swift-container swift-object memcached
  packages memcached memcached
  # The hash salts are read from there whatever the configuration directory is.
  [ -f /etc/swift/swift.conf ] || fail "there is no /etc/swift/swift.conf, which Debian's package swift brings"
}
version() { dpkg-query -W -f '${Version}' swift-proxy 2>/dev/null; }
backend() { # kind port pipeline...
  local kind=$1 port=$2
  cat >"$ETC/$kind.conf" <<E
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = $port
workers = $([ "$kind" = object ] && echo 2 || echo 1)
user = root
swift_dir = $ETC
devices = $DATA
mount_check = false
fallocate_reserve = 0
disable_fallocate = true
log_level = WARNING
log_address = $HOME_DIR/nosyslog
recon_cache_path = $HOME_DIR/cache
max_header_size = 32768
container_update_timeout = 10
[pipeline:main]
pipeline = healthcheck $kind-server
[app:$kind-server]
use = egg:swift#$kind
[filter:healthcheck]
use = egg:swift#healthcheck
[$kind-updater]
interval = 60
E
}
proxy() {
  cat >"$ETC/proxy.conf" <<E
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = $PORT
workers = 2
user = root
swift_dir = $ETC
log_level = INFO
log_address = $HOME_DIR/nosyslog
max_header_size = 32768
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck cache listing_formats bulk tempurl s3api tempauth copy slo dlo versioned_writes symlink proxy-server
[app:proxy-server]
use = egg:swift#proxy
allow_account_management = true
account_autocreate = true
node_timeout = 60
conn_timeout = 5
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
token_life = 86400
storage_url_scheme = http
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
max_upload_part_num = 10000
max_parts_listing = 10000
dns_compliant_bucket_names = false
s3_acl = false
min_segment_size = 5242880
[filter:slo]
use = egg:swift#slo
max_manifest_segments = 10000
rate_limit_under_size = 0
[filter:dlo]
use = egg:swift#dlo
rate_limit_after_segment = 100000
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:$CACHE
[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_object_versioning = true
E
  local name
  for name in healthcheck catch_errors gatekeeper listing_formats bulk tempurl copy symlink; do
    printf '[filter:%s]\nuse = egg:swift#%s\n' $name $name >>"$ETC/proxy.conf"
  done
}
ring() { # kind port
  (
    cd "$ETC" || exit 1
    rm -f "$1".builder "$1".ring.gz
    swift-ring-builder "$1.builder" create 4 1 0
    swift-ring-builder "$1.builder" add "r1z1-127.0.0.1:$2/disk" 1
    # Warns, with a status of 1, that one device is little.
    swift-ring-builder "$1.builder" rebalance
    [ -f "$1.ring.gz" ]
  ) >>"$HOME_DIR/log/ring.log" 2>&1 || fail "the ring $1 cannot be built: see $HOME_DIR/log/ring.log"
}
start() {
  install
  alive swift-proxy && answers "$URL/healthcheck" 200 && return 0
  stop
  mkdir -p "$ETC" "$DATA/disk" "$HOME_DIR/cache" "$HOME_DIR/run" "$HOME_DIR/log"
  python3 -c 'import os, sys; os.setxattr(sys.argv[1], "user.probe", b"x" * 3000)' "$DATA/disk" 2>/dev/null || skip "$DATA is on a filesystem without user extended attributes"
  backend object "$OBJECT"
  backend container "$CONTAINER"
  backend account "$ACCOUNT"
  proxy
  ring object "$OBJECT"
  ring container "$CONTAINER"
  ring account "$ACCOUNT"
  daemon memcached memcached -u nobody -l 127.0.0.1 -p "$CACHE" -U 0 -m 64
  daemon swift-account swift-account-server "$ETC/account.conf" -v
  daemon swift-container swift-container-server "$ETC/container.conf" -v
  daemon swift-object swift-object-server "$ETC/object.conf" -v
  await swift-object 40 answers "http://127.0.0.1:$OBJECT/healthcheck" 200 || { stop; exit 1; }
  daemon swift-proxy swift-proxy-server "$ETC/proxy.conf" -v
  daemon swift-container-updater swift-container-updater "$ETC/container.conf" -v
  daemon swift-object-updater swift-object-updater "$ETC/object.conf" -v
  await swift-proxy 60 answers "$URL/healthcheck" 200 || { stop; exit 1; }
  echo "$NAME: up at $URL"
}
stop() {
  local name
  for name in swift-object-updater swift-container-updater swift-proxy swift-object swift-container swift-account memcached; do end $name; done
  rm -rf "$DATA" "$ETC" "$HOME_DIR/cache"
}
env() { s3env "$URL" test:tester testing; }
dispatch "$@"
