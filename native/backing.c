// Backing files: the kernel reads and writes a registered local file itself (FUSE_PASSTHROUGH, kernel 6.9, CAP_SYS_ADMIN).

#include "objmount.h"
#include <sys/ioctl.h>

// fuse_kernel.h 7.40; declared here because the headers of older systems lack it.
struct backing_map {
  int32_t fd;
  uint32_t flags;
  uint64_t padding;
};
#define BACKING_OPEN _IOW(229, 1, struct backing_map)
#define BACKING_CLOSE _IOW(229, 2, uint32_t)

// openBacking(device, file) -> backing id. The kernel takes a reference of its own to the file.
napi_value open_backing(napi_env env, napi_callback_info info) {
  napi_value values[2];
  int device, file;
  if (!get_arguments(env, info, 2, values, NULL) || !get_int(env, values[0], &device) || !get_int(env, values[1], &file)) return NULL;
  struct backing_map map = { .fd = file };
  int id = ioctl(device, BACKING_OPEN, &map);
  return make_int(env, id < 0 ? -errno : id);
}

// closeBacking(device, id). Handles that were opened with the id keep the file.
napi_value close_backing(napi_env env, napi_callback_info info) {
  napi_value values[2];
  int device, id;
  if (!get_arguments(env, info, 2, values, NULL) || !get_int(env, values[0], &device) || !get_int(env, values[1], &id)) return NULL;
  uint32_t backing_id = (uint32_t)id;
  return make_int(env, ioctl(device, BACKING_CLOSE, &backing_id) < 0 ? -errno : 0);
}
