{
  "targets": [
    {
      "target_name": "objmount_fuse",
      "sources": ["module.c", "mount.c", "channel.c", "notify.c", "backing.c", "service.c"],
      "cflags": ["-std=gnu11", "-Wall", "-Wextra", "-Wno-unused-parameter"],
      "defines": ["NAPI_VERSION=8", "_GNU_SOURCE"]
    }
  ]
}
