// The device and the mount: open, mount(2), umount2(2) on a thread of its own, and the descriptor that fusermount3 hands over.

#include "objmount.h"
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

// The character device of fuse (Documentation/admin-guide/devices.txt: misc 229).
#define FUSE_MAJOR 10
#define FUSE_MINOR 229

// A copy of a JavaScript string, or NULL after an exception was thrown. The caller frees it.
static char *get_text(napi_env env, napi_value value) {
  size_t length = 0;
  if (napi_get_value_string_utf8(env, value, NULL, 0, &length) != napi_ok) {
    napi_throw_type_error(env, NULL, "a string was expected");
    return NULL;
  }
  char *text = malloc(length + 1);
  if (text == NULL) napi_throw_error(env, NULL, "out of memory");
  else napi_get_value_string_utf8(env, value, text, length + 1, &length);
  return text;
}

// openDevice() -> descriptor
napi_value open_device(napi_env env, napi_callback_info info) {
  int device = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);
  return make_int(env, device < 0 ? -errno : device);
}

// mountDevice(source, target, type, flags, data) -> 0
napi_value mount_device(napi_env env, napi_callback_info info) {
  napi_value values[5];
  if (!get_arguments(env, info, 5, values, NULL)) return NULL;
  int64_t flags = 0;
  if (napi_get_value_int64(env, values[3], &flags) != napi_ok) {
    napi_throw_type_error(env, NULL, "a number was expected");
    return NULL;
  }
  char *text[4] = { NULL, NULL, NULL, NULL };
  const int places[4] = { 0, 1, 2, 4 };
  napi_value result = NULL;
  int given = 0;
  while (given < 4 && (text[given] = get_text(env, values[places[given]])) != NULL) given += 1;
  if (given == 4) {
    int failed = mount(text[0], text[1], text[2], (unsigned long)flags, text[3]) < 0 ? -errno : 0;
    result = make_int(env, failed);
  }
  for (int i = 0; i < 4; i++) free(text[i]);
  return result;
}

// Unmounting writes back pages that were dirtied through mmap, and waits for the event loop to take them: it must run beside it.
typedef struct {
  napi_threadsafe_function done;
  char *path;
  int flags;
  int result;
} Unmount;

static void *run_unmount(void *argument) {
  Unmount *job = argument;
  napi_threadsafe_function done = job->done;
  job->result = umount2(job->path, job->flags) < 0 ? -errno : 0;
  if (napi_call_threadsafe_function(done, job, napi_tsfn_blocking) != napi_ok) {
    free(job->path);
    free(job);
  }
  napi_release_threadsafe_function(done, napi_tsfn_release);
  return NULL;
}

static void report_unmount(napi_env env, napi_value callback, void *context, void *data) {
  Unmount *job = data;
  if (env != NULL && callback != NULL) {
    napi_value receiver, argument = make_int(env, job->result);
    napi_get_undefined(env, &receiver);
    napi_call_function(env, receiver, callback, 1, &argument, NULL);
  }
  free(job->path);
  free(job);
}

// unmountPath(path, lazy, callback(result)) -> 0. Symbolic links at the end of the path are not followed.
napi_value unmount_path(napi_env env, napi_callback_info info) {
  napi_value values[3], name;
  bool lazy = false;
  if (!get_arguments(env, info, 3, values, NULL)) return NULL;
  if (napi_get_value_bool(env, values[1], &lazy) != napi_ok) {
    napi_throw_type_error(env, NULL, "a boolean was expected");
    return NULL;
  }
  Unmount *job = calloc(1, sizeof *job);
  if (job == NULL) return make_int(env, -ENOMEM);
  job->flags = UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0);
  job->path = get_text(env, values[0]);
  if (job->path == NULL) {
    free(job);
    return NULL;
  }
  napi_create_string_utf8(env, "objmount:unmount", NAPI_AUTO_LENGTH, &name);
  if (napi_create_threadsafe_function(env, values[2], NULL, name, 0, 1, NULL, NULL, NULL, report_unmount, &job->done) != napi_ok) {
    free(job->path);
    free(job);
    napi_throw_type_error(env, NULL, "a function was expected");
    return NULL;
  }
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  int failed = pthread_create(&thread, NULL, run_unmount, job);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (failed != 0) {
    napi_release_threadsafe_function(job->done, napi_tsfn_release);
    free(job->path);
    free(job);
    return make_int(env, -failed);
  }
  pthread_detach(thread);
  return make_int(env, 0);
}

// socketPair() -> [descriptor, descriptor] or -errno. Both close on exec; a spawned child gets its end by being given it.
napi_value socket_pair(napi_env env, napi_callback_info info) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) return make_int(env, -errno);
  napi_value array;
  napi_create_array_with_length(env, 2, &array);
  napi_set_element(env, array, 0, make_int(env, ends[0]));
  napi_set_element(env, array, 1, make_int(env, ends[1]));
  return array;
}

static int receive(int socket) {
  char byte;
  struct iovec vector = { .iov_base = &byte, .iov_len = 1 };
  union { struct cmsghdr header; char space[CMSG_SPACE(sizeof(int))]; } control;
  struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
  ssize_t got;
  do got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  while (got < 0 && errno == EINTR);
  if (got < 0) return -errno;
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  if (got == 0 || header == NULL || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS
      || header->cmsg_len != CMSG_LEN(sizeof(int))) return -ENODATA;
  int descriptor;
  memcpy(&descriptor, CMSG_DATA(header), sizeof descriptor);
  return descriptor;
}

// receiveDescriptor(socket) -> the descriptor that waits there. Never blocks: called once the sender has ended.
napi_value receive_descriptor(napi_env env, napi_callback_info info) {
  napi_value values[1];
  int socket;
  if (!get_arguments(env, info, 1, values, NULL) || !get_int(env, values[0], &socket)) return NULL;
  return make_int(env, receive(socket));
}

static int adopt(int descriptor) {
  struct stat status;
  if (fstat(descriptor, &status) < 0) return -errno;
  if (!S_ISCHR(status.st_mode) || status.st_rdev != makedev(FUSE_MAJOR, FUSE_MINOR)) return -ENOTTY;
  int flags = fcntl(descriptor, F_GETFL);
  if (flags < 0 || fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) < 0) return -errno;
  return fcntl(descriptor, F_SETFD, FD_CLOEXEC) < 0 ? -errno : 0;
}

// adoptDescriptor(descriptor) -> 0: made non-blocking and close-on-exec; ENOTTY when it is not the fuse device.
napi_value adopt_descriptor(napi_env env, napi_callback_info info) {
  napi_value values[1];
  int descriptor;
  if (!get_arguments(env, info, 1, values, NULL) || !get_int(env, values[0], &descriptor)) return NULL;
  return make_int(env, adopt(descriptor));
}
