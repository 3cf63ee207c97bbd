// One datagram to a unix socket, which Node cannot send: how a service manager is told the state of its service
// (sd_notify(3)).

#include "objmount.h"
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

// sendDatagram(path: Buffer, data: Buffer): number. A path that begins with "@" is in the abstract name space.
napi_value send_datagram(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  if (!get_arguments(env, info, 2, arguments, NULL)) return NULL;
  void *path, *data;
  size_t path_length, data_length;
  if (napi_get_buffer_info(env, arguments[0], &path, &path_length) != napi_ok ||
      napi_get_buffer_info(env, arguments[1], &data, &data_length) != napi_ok) {
    napi_throw_type_error(env, NULL, "two buffers were expected");
    return NULL;
  }
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  if (path_length == 0 || path_length >= sizeof address.sun_path) return make_int(env, -EINVAL);
  memcpy(address.sun_path, path, path_length);
  // A path in the file system counts its NUL, an abstract name begins with one and has none.
  size_t length = offsetof(struct sockaddr_un, sun_path) + path_length + 1;
  if (address.sun_path[0] == '@') {
    address.sun_path[0] = 0;
    length -= 1;
  }
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return make_int(env, -errno);
  ssize_t sent = sendto(fd, data, data_length, MSG_NOSIGNAL, (struct sockaddr *)&address, (socklen_t)length);
  int failed = sent < 0 ? errno : 0;
  close(fd);
  return make_int(env, -failed);
}
