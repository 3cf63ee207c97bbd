// One connection to the kernel: polls the device on the event loop, reads one message at a time into a buffer that
// JavaScript supplied, writes a reply by one writev. Everything happens in the thread of the event loop.

#include "objmount.h"
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>
#include <uv.h>

// Messages per wake-up before timers and sockets get their turn. Microtasks (and with them most replies) run after each message.
#define MESSAGES_PER_WAKEUP 64
// Slices of one reply besides its head; IOV_MAX is 1024.
#define MAX_SLICES 1000

typedef struct {
  napi_env env;
  uv_poll_t poll;
  int device;
  int polling;
  int closed;
  napi_async_context context;
  napi_async_cleanup_hook_handle cleanup;
  napi_ref resource;
  napi_ref on_message;
  napi_ref input_buffer;
  uint8_t *input;
  size_t input_size;
  napi_ref output_buffer;
  uint8_t *output;
  size_t output_size;
  Notices *notices;
} Channel;

// onMessage(n): n > 0 bytes are in the input buffer, or -errno: the connection has ended and nothing more comes.
static int call_on_message(Channel *channel, int64_t result) {
  napi_env env = channel->env;
  napi_handle_scope scope;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return 0;
  napi_value resource, function, argument = make_int(env, result);
  napi_get_reference_value(env, channel->resource, &resource);
  napi_get_reference_value(env, channel->on_message, &function);
  napi_status status = napi_make_callback(env, channel->context, resource, function, 1, &argument, NULL);
  if (status == napi_pending_exception) {
    napi_value exception;
    napi_get_and_clear_last_exception(env, &exception);
    napi_fatal_exception(env, exception);
  }
  napi_close_handle_scope(env, scope);
  return status == napi_ok;
}

static void stop_polling(Channel *channel) {
  if (channel->polling) uv_poll_stop(&channel->poll);
  channel->polling = 0;
}

static void on_poll(uv_poll_t *handle, int status, int events) {
  Channel *channel = handle->data;
  // With a status libuv has stopped the handle (POLLERR: unmounted or aborted); the read below tells which.
  for (int count = 0; count < MESSAGES_PER_WAKEUP && channel->polling; count++) {
    ssize_t length = read(channel->device, channel->input, channel->input_size);
    if (length > 0) {
      if (!call_on_message(channel, length)) return;
      continue;
    }
    int failure = length == 0 ? EIO : errno;
    // ENOENT: the request was interrupted before it could be handed over.
    if (failure == EINTR || failure == ENOENT) continue;
    if (failure == EAGAIN) break;
    stop_polling(channel);
    call_on_message(channel, -failure);
    return;
  }
  if (status < 0 && channel->polling) uv_poll_start(handle, UV_READABLE, on_poll);
}

static void drop_reference(napi_env env, napi_ref *reference) {
  if (*reference != NULL) napi_delete_reference(env, *reference);
  *reference = NULL;
}

static void on_closed(uv_handle_t *handle) {
  Channel *channel = handle->data;
  if (channel->cleanup != NULL) napi_remove_async_cleanup_hook(channel->cleanup);
  channel->cleanup = NULL;
  // The struct stays: functions of JavaScript hold its address for as long as they live. There is one per mount.
}

static void close_channel(Channel *channel) {
  if (channel->closed) return;
  channel->closed = 1;
  stop_polling(channel);
  if (channel->notices != NULL) notices_stop(channel->notices);
  channel->notices = NULL;
  uv_close((uv_handle_t *)&channel->poll, on_closed);
  close(channel->device);
  channel->device = -1;
  drop_reference(channel->env, &channel->input_buffer);
  drop_reference(channel->env, &channel->output_buffer);
  drop_reference(channel->env, &channel->on_message);
  drop_reference(channel->env, &channel->resource);
  napi_async_destroy(channel->env, channel->context);
}

static void on_environment_end(napi_async_cleanup_hook_handle handle, void *data) {
  Channel *channel = data;
  // on_closed tells Node that this is done.
  close_channel(channel);
}

static int hold_buffer(napi_env env, napi_value value, napi_ref *reference, uint8_t **bytes, size_t *size) {
  void *data = NULL;
  size_t length = 0;
  napi_ref held;
  if (napi_get_buffer_info(env, value, &data, &length) != napi_ok || napi_create_reference(env, value, 1, &held) != napi_ok) {
    napi_throw_type_error(env, NULL, "a Buffer was expected");
    return 0;
  }
  drop_reference(env, reference);
  *reference = held;
  *bytes = data;
  *size = length;
  return 1;
}

// useInput(buffer): the next message is read into this one.
static napi_value use_input(napi_env env, napi_callback_info info) {
  napi_value values[1];
  void *data;
  if (!get_arguments(env, info, 1, values, &data)) return NULL;
  Channel *channel = data;
  if (channel->closed) return make_int(env, -EBADF);
  if (!hold_buffer(env, values[0], &channel->input_buffer, &channel->input, &channel->input_size)) return NULL;
  return make_int(env, 0);
}

// send(length): the first bytes of the output buffer are one reply or notification.
static napi_value send_output(napi_env env, napi_callback_info info) {
  napi_value values[1];
  void *data;
  int length;
  if (!get_arguments(env, info, 1, values, &data) || !get_int(env, values[0], &length)) return NULL;
  Channel *channel = data;
  if (channel->closed) return make_int(env, -EBADF);
  if (length < 0 || (size_t)length > channel->output_size) return make_int(env, -EINVAL);
  ssize_t written;
  do written = write(channel->device, channel->output, (size_t)length);
  while (written < 0 && errno == EINTR);
  return make_int(env, written < 0 ? -errno : 0);
}

// sendWith(length, slices): the first bytes of the output buffer, then the slices, are one reply.
static napi_value send_slices(napi_env env, napi_callback_info info) {
  napi_value values[2];
  void *data;
  int length;
  uint32_t count;
  if (!get_arguments(env, info, 2, values, &data) || !get_int(env, values[0], &length)) return NULL;
  Channel *channel = data;
  if (channel->closed) return make_int(env, -EBADF);
  if (napi_get_array_length(env, values[1], &count) != napi_ok) {
    napi_throw_type_error(env, NULL, "an array was expected");
    return NULL;
  }
  if (length < 0 || (size_t)length > channel->output_size || count > MAX_SLICES) return make_int(env, -EINVAL);
  struct iovec vectors[MAX_SLICES + 1];
  vectors[0].iov_base = channel->output;
  vectors[0].iov_len = (size_t)length;
  for (uint32_t i = 0; i < count; i++) {
    napi_value slice;
    if (napi_get_element(env, values[1], i, &slice) != napi_ok
        || napi_get_buffer_info(env, slice, &vectors[i + 1].iov_base, &vectors[i + 1].iov_len) != napi_ok) {
      napi_throw_type_error(env, NULL, "an array of Buffers was expected");
      return NULL;
    }
  }
  ssize_t written;
  do written = writev(channel->device, vectors, (int)count + 1);
  while (written < 0 && errno == EINTR);
  return make_int(env, written < 0 ? -errno : 0);
}

// notify(buffer): queued for the thread of notify.c.
static napi_value notify_kernel(napi_env env, napi_callback_info info) {
  napi_value values[1];
  void *data, *bytes;
  size_t length;
  if (!get_arguments(env, info, 1, values, &data)) return NULL;
  Channel *channel = data;
  if (channel->closed) return make_int(env, -EBADF);
  if (napi_get_buffer_info(env, values[0], &bytes, &length) != napi_ok) {
    napi_throw_type_error(env, NULL, "a Buffer was expected");
    return NULL;
  }
  if (channel->notices == NULL) channel->notices = notices_start(channel->device);
  return make_int(env, channel->notices == NULL ? -EAGAIN : notices_add(channel->notices, bytes, length));
}

static napi_value close_from_js(napi_env env, napi_callback_info info) {
  void *data;
  if (!get_arguments(env, info, 0, NULL, &data)) return NULL;
  close_channel(data);
  return make_int(env, 0);
}

static void add_method(Channel *channel, napi_value object, const char *name, napi_callback callback) {
  napi_value function;
  napi_create_function(channel->env, name, NAPI_AUTO_LENGTH, callback, channel, &function);
  napi_set_named_property(channel->env, object, name, function);
}

// openChannel(device, input, output, onMessage) -> {useInput, send, sendWith, notify, close} or -errno.
// The channel owns the device from here on. To be called once the device is mounted: an unmounted one polls as broken.
napi_value open_channel(napi_env env, napi_callback_info info) {
  napi_value values[4], object, name;
  int device, failure;
  uv_loop_t *loop;
  if (!get_arguments(env, info, 4, values, NULL) || !get_int(env, values[0], &device)) return NULL;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) return make_int(env, -ENOSYS);
  Channel *channel = calloc(1, sizeof *channel);
  if (channel == NULL) return make_int(env, -ENOMEM);
  channel->env = env;
  channel->device = device;
  channel->poll.data = channel;
  if (!hold_buffer(env, values[1], &channel->input_buffer, &channel->input, &channel->input_size)
      || !hold_buffer(env, values[2], &channel->output_buffer, &channel->output, &channel->output_size)) {
    drop_reference(env, &channel->input_buffer);
    free(channel);
    return NULL;
  }
  failure = uv_poll_init(loop, &channel->poll, device);
  if (failure != 0) {
    drop_reference(env, &channel->input_buffer);
    drop_reference(env, &channel->output_buffer);
    free(channel);
    return make_int(env, failure);
  }
  napi_create_object(env, &object);
  napi_create_reference(env, object, 1, &channel->resource);
  napi_create_reference(env, values[3], 1, &channel->on_message);
  napi_create_string_utf8(env, "objmount:channel", NAPI_AUTO_LENGTH, &name);
  napi_async_init(env, object, name, &channel->context);
  napi_add_async_cleanup_hook(env, on_environment_end, channel, &channel->cleanup);
  add_method(channel, object, "useInput", use_input);
  add_method(channel, object, "send", send_output);
  add_method(channel, object, "sendWith", send_slices);
  add_method(channel, object, "notify", notify_kernel);
  add_method(channel, object, "close", close_from_js);
  channel->polling = 1;
  uv_poll_start(&channel->poll, UV_READABLE, on_poll);
  return object;
}
