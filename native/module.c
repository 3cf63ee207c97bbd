// The list of exports.

#include "objmount.h"

static void export_function(napi_env env, napi_value exports, const char *name, napi_callback callback) {
  napi_value function;
  if (napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, NULL, &function) == napi_ok) {
    napi_set_named_property(env, exports, name, function);
  }
}

NAPI_MODULE_INIT() {
  export_function(env, exports, "openDevice", open_device);
  export_function(env, exports, "mountDevice", mount_device);
  export_function(env, exports, "unmountPath", unmount_path);
  export_function(env, exports, "socketPair", socket_pair);
  export_function(env, exports, "receiveDescriptor", receive_descriptor);
  export_function(env, exports, "adoptDescriptor", adopt_descriptor);
  export_function(env, exports, "openBacking", open_backing);
  export_function(env, exports, "closeBacking", close_backing);
  export_function(env, exports, "openChannel", open_channel);
  export_function(env, exports, "sendDatagram", send_datagram);
  return exports;
}
