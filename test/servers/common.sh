# Sourced by the server scripts: state directory, daemons by pid file, packages. Everything listens on loopback only.
#
# Every script understands:  install | start | stop | env | version
#   start    idempotent: does nothing when the server answers already; ends when it answers
#   stop     idempotent: ends exactly the processes it started, and deletes their data
#   env      prints shell exports for a client: eval "$(bash test/servers/NAME.sh env)"
# Environment: OBJMOUNT_SERVERS_DIR (state; default below), OBJMOUNT_SERVERS_PORT (base of the ports, 27100).

set -u
STATE=${OBJMOUNT_SERVERS_DIR:-${TMPDIR:-/tmp}/objmount-test-servers}
BASE_PORT=${OBJMOUNT_SERVERS_PORT:-27100}

fail() { echo "$NAME: $*" >&2; exit 1; }
# Status 3 says "cannot be had on this machine"; run.sh then prints the line and goes on.
skip() { echo "$NAME: skipped: $*" >&2; exit 3; }

# A pid file holds "pid starttime": a number that was reused by another process is never signalled.
birth() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }
alive() { # daemon
  local pid born
  [ -f "$HOME_DIR/run/$1.pid" ] || return 1
  read -r pid born <"$HOME_DIR/run/$1.pid"
  [ -n "${born:-}" ] && [ "$(birth "$pid")" = "$born" ]
}
daemon() { # daemon command...  (in a process group of its own; output to log/daemon.log)
  local name=$1 pid
  shift
  alive "$name" && return 0
  mkdir -p "$HOME_DIR/run" "$HOME_DIR/log"
  setsid "$@" </dev/null >>"$HOME_DIR/log/$name.log" 2>&1 &
  pid=$!
  echo "$pid $(birth "$pid")" >"$HOME_DIR/run/$name.pid"
}
end() { # daemon: asks its process group, and after five seconds no longer asks
  local pid born i
  if alive "$1"; then
    read -r pid born <"$HOME_DIR/run/$1.pid"
    kill -TERM -- "-$pid" 2>/dev/null || kill -TERM "$pid" 2>/dev/null
    for i in $(seq 25); do alive "$1" || break; sleep 0.2; done
    alive "$1" && kill -KILL -- "-$pid" 2>/dev/null
  fi
  rm -f "$HOME_DIR/run/$1.pid"
}
answers() { # url [status]: true when it answers (with that status)
  local code
  code=$(curl -s -m 2 --noproxy '*' -o /dev/null -w '%{http_code}' "$1")
  [ "$code" != 000 ] && { [ $# -lt 2 ] || [ "$code" = "$2" ]; }
}
await() { # what tries command...: until the command succeeds, half a second apart
  local what=$1 tries=$2 i
  shift 2
  for i in $(seq "$tries"); do "$@" >/dev/null 2>&1 && return 0; sleep 0.5; done
  echo "$NAME: $what did not come up; the last lines of its log:" >&2
  tail -n 20 "$HOME_DIR"/log/*.log >&2 2>/dev/null
  return 1
}
packages() { # command package...: installs the Debian packages when the command is missing
  local command=$1
  shift
  command -v "$command" >/dev/null && return 0
  command -v apt-get >/dev/null || skip "no $command here, and no apt-get to install $* with"
  [ "$(id -u)" = 0 ] || skip "no $command here; as root: apt-get install --no-install-recommends $*"
  # A package's own daemons must not start: the servers here run on their own ports and state.
  local policy=/usr/sbin/policy-rc.d made=
  [ -e $policy ] || { printf '#!/bin/sh\nexit 101\n' >$policy && chmod +x $policy && made=1; }
  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"; } >"$HOME_DIR/log/apt.log" 2>&1
  [ -n "$made" ] && rm -f $policy
  command -v "$command" >/dev/null || fail "apt-get could not install $*: see $HOME_DIR/log/apt.log"
}
s3env() { # endpoint access-key secret-key
  cat <<E
export OBJMOUNT_TEST_SERVER=$NAME
export OBJMOUNT_TEST_VERSION='$(version)'
export AWS_ENDPOINT_URL_S3=$1
export AWS_ACCESS_KEY_ID=$2
export AWS_SECRET_ACCESS_KEY=$3
export AWS_REGION=us-east-1
export AWS_EC2_METADATA_DISABLED=true
E
}
dispatch() {
  case "${1:-}" in
    install | start | stop | env | version) "$1" ;;
    *) echo "usage: $NAME.sh install|start|stop|env|version" >&2; exit 2 ;;
  esac
}
HOME_DIR=$STATE/$NAME
mkdir -p "$HOME_DIR/run" "$HOME_DIR/log"
