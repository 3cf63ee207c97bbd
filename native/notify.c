// Notifications are written by a thread of their own. The write of one waits for locks (the page lock of a page that is
// being read, the directory lock of an operation under way) which are given back only when the event loop has answered
// that operation: written from the event loop it would wait for itself. Not the pool of libuv either: what holds the lock
// may be waiting for a place in that pool.

#include "objmount.h"
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct Message {
  struct Message *next;
  size_t length;
  uint8_t bytes[];
} Message;

struct Notices {
  pthread_mutex_t lock;
  pthread_cond_t wake;
  Message *first;
  Message **last;
  int device;
  int stopping;
};

static void *write_notices(void *argument) {
  Notices *notices = argument;
  for (;;) {
    pthread_mutex_lock(&notices->lock);
    while (notices->first == NULL && !notices->stopping) pthread_cond_wait(&notices->wake, &notices->lock);
    Message *message = notices->stopping ? NULL : notices->first;
    if (message != NULL) {
      notices->first = message->next;
      if (notices->first == NULL) notices->last = &notices->first;
    }
    pthread_mutex_unlock(&notices->lock);
    if (message == NULL) break;
    // ENOENT: the kernel does not know what it was to forget. Nothing else could be repaired here either.
    while (write(notices->device, message->bytes, message->length) < 0 && errno == EINTR) continue;
    free(message);
  }
  for (Message *message = notices->first, *next; message != NULL; message = next) {
    next = message->next;
    free(message);
  }
  close(notices->device);
  pthread_cond_destroy(&notices->wake);
  pthread_mutex_destroy(&notices->lock);
  free(notices);
  return NULL;
}

Notices *notices_start(int device) {
  Notices *notices = calloc(1, sizeof *notices);
  if (notices == NULL) return NULL;
  notices->last = &notices->first;
  // A descriptor of its own: the channel may close the device while a write is under way.
  notices->device = fcntl(device, F_DUPFD_CLOEXEC, 3);
  pthread_mutex_init(&notices->lock, NULL);
  pthread_cond_init(&notices->wake, NULL);
  // Signals are for the event loop's thread.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_t thread;
  int failed = notices->device < 0 || pthread_create(&thread, &attributes, write_notices, notices) != 0;
  pthread_attr_destroy(&attributes);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (failed) {
    if (notices->device >= 0) close(notices->device);
    free(notices);
    return NULL;
  }
  return notices;
}

int notices_add(Notices *notices, const void *bytes, size_t length) {
  Message *message = malloc(sizeof *message + length);
  if (message == NULL) return -ENOMEM;
  message->next = NULL;
  message->length = length;
  memcpy(message->bytes, bytes, length);
  pthread_mutex_lock(&notices->lock);
  *notices->last = message;
  notices->last = &message->next;
  pthread_cond_signal(&notices->wake);
  pthread_mutex_unlock(&notices->lock);
  return 0;
}

void notices_stop(Notices *notices) {
  pthread_mutex_lock(&notices->lock);
  notices->stopping = 1;
  pthread_cond_signal(&notices->wake);
  pthread_mutex_unlock(&notices->lock);
}
