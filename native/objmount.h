// What the .c files of the addon share. The addon moves bytes and descriptors; it knows no opcode.
// Convention: every function exported to JavaScript answers a number, zero or more on success and -errno on failure;
// only an argument of the wrong type is an exception.

#ifndef OBJMOUNT_H
#define OBJMOUNT_H

#include <node_api.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>

// A thread of its own that writes notifications (notify.c).
typedef struct Notices Notices;
Notices *notices_start(int device);
// Copies the message. Messages are written in order. Answers 0 or -errno.
int notices_add(Notices *notices, const void *message, size_t length);
// No message is written after the one under way. The thread frees everything.
void notices_stop(Notices *notices);

napi_value open_channel(napi_env env, napi_callback_info info);    // channel.c

napi_value open_device(napi_env env, napi_callback_info info);     // mount.c
napi_value mount_device(napi_env env, napi_callback_info info);
napi_value unmount_path(napi_env env, napi_callback_info info);
napi_value socket_pair(napi_env env, napi_callback_info info);
napi_value receive_descriptor(napi_env env, napi_callback_info info);
napi_value adopt_descriptor(napi_env env, napi_callback_info info);

napi_value open_backing(napi_env env, napi_callback_info info);    // backing.c
napi_value close_backing(napi_env env, napi_callback_info info);

napi_value send_datagram(napi_env env, napi_callback_info info);   // service.c

// Arguments of a call; false after an exception was thrown.
static inline int get_arguments(napi_env env, napi_callback_info info, size_t wanted, napi_value *values, void **data) {
  size_t count = wanted;
  if (napi_get_cb_info(env, info, &count, values, NULL, data) != napi_ok || count < wanted) {
    napi_throw_type_error(env, NULL, "too few arguments");
    return 0;
  }
  return 1;
}

static inline int get_int(napi_env env, napi_value value, int *out) {
  if (napi_get_value_int32(env, value, out) == napi_ok) return 1;
  napi_throw_type_error(env, NULL, "a number was expected");
  return 0;
}

static inline napi_value make_int(napi_env env, int64_t value) {
  napi_value result = NULL;
  napi_create_int64(env, value, &result);
  return result;
}

#endif
