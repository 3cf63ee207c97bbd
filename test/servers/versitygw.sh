#!/bin/bash
# versitygw (S3 over a plain directory) on loopback: http://127.0.0.1:27170, path style. The data directory must keep
# user.* extended attributes; OBJMOUNT_SERVERS_DATA moves it (a benchmark may want a faster disk). A folder made in it by hand is a bucket: mkdir "$TMPDIR"/objmount-test-servers/versitygw/buckets/NAME.
NAME=versitygw
. "$(dirname "$0")/common.sh"
RELEASE=v1.7.0
PORT=$((BASE_PORT + 70))
URL=http://127.0.0.1:$PORT
DATA=${OBJMOUNT_SERVERS_DATA:-$HOME_DIR}/buckets

# One on PATH is used as it is; otherwise it is built once from the Go module proxy and kept.
binary() { command -v versitygw || { [ -x "$STATE/cache/versitygw" ] && echo "$STATE/cache/versitygw"; }; }
install() {
  binary >/dev/null && return 0
  command -v go >/dev/null || skip "it is built with Go, which is not installed here"
  mkdir -p "$STATE/cache"
  GOBIN=$STATE/cache GOFLAGS=-modcacherw go install "github.com/versity/versitygw/cmd/versitygw@$RELEASE" >"$HOME_DIR/log/go.log" 2>&1 \
    || skip "go install failed (is the Go module proxy reachable?): see $HOME_DIR/log/go.log"
}
# A build from the proxy calls itself "git"; then the release asked for is the answer.
version() {
  local own
  own=$("$(binary)" --version 2>/dev/null | awk -F: '/^Version/ { gsub(/ /, "", $2); print $2 }')
  if [ -z "$own" ] || [ "$own" = git ]; then echo "$RELEASE"; else echo "$own"; fi
}
start() {
  install
  alive versitygw && answers "$URL/health" 200 && return 0
  mkdir -p "$DATA" "$HOME_DIR/iam"
  daemon versitygw "$(binary)" --port "127.0.0.1:$PORT" --access testkey --secret testsecret --region us-east-1 \
    --keep-alive --quiet --health /health --iam-dir "$HOME_DIR/iam" posix "$DATA"
  await versitygw 40 answers "$URL/health" 200 || { stop; exit 1; }
  echo "$NAME: up at $URL"
}
stop() { end versitygw; rm -rf "$DATA" "$HOME_DIR/iam"; }
env() { s3env "$URL" testkey testsecret; }
dispatch "$@"
