#define _GNU_SOURCE
#include "apus_watch.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

// Held from the beginning of a watch to its end.
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

// A signal handler knows nothing but what stands in static memory: this is the one watch of the process.
static struct {
  uint8_t *base;
  size_t bytes, chunk, count;
  uint8_t *notes;
  struct sigaction earlier;
} watch;

#if defined(__x86_64__)

// Bit 1 of the page fault's error code: the access was a write.
static int fault_is_write(const ucontext_t *context) { return (context->uc_mcontext.gregs[REG_ERR] & 2) != 0; }

static void open_chunk(size_t index, int protection) {
  size_t start = index * watch.chunk;
  size_t length = watch.bytes - start < watch.chunk ? watch.bytes - start : watch.chunk;
  if (mprotect(watch.base + start, length, protection) != 0) abort();
}

static void handle(int signal, siginfo_t *info, void *context) {
  uint8_t *address = info->si_addr;
  if (watch.notes == NULL || address < watch.base || address >= watch.base + watch.bytes) {
    // Not ours: the next fault goes where it would have gone without us.
    sigaction(signal, &watch.earlier, NULL);
    return;
  }
  size_t index = (size_t)(address - watch.base) / watch.chunk;
  uint8_t present = __atomic_load_n(&watch.notes[index], __ATOMIC_ACQUIRE);
  if (fault_is_write(context)) {
    // Another thread may have noted something meanwhile: then this access faults again or is open already.
    uint8_t next = present == APUS_WATCH_READ ? APUS_WATCH_UPDATED : APUS_WATCH_WRITTEN;
    if (present <= APUS_WATCH_READ
        && __atomic_compare_exchange_n(&watch.notes[index], &present, next, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
      open_chunk(index, PROT_READ | PROT_WRITE);
  } else if (present == 0
             && __atomic_compare_exchange_n(&watch.notes[index], &present, APUS_WATCH_READ, 0, __ATOMIC_ACQ_REL,
                                            __ATOMIC_ACQUIRE)) {
    open_chunk(index, PROT_READ);
  }
}

int apus_watch_begin(void *base, size_t bytes, size_t chunk) {
  pthread_mutex_lock(&turn);
  watch.base = base;
  watch.bytes = bytes;
  watch.chunk = chunk;
  watch.count = (bytes + chunk - 1) / chunk;
  watch.notes = calloc(watch.count, 1);
  if (watch.notes == NULL) {
    pthread_mutex_unlock(&turn);
    return ENOMEM;
  }
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = handle;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigemptyset(&action.sa_mask);
  sigaction(SIGSEGV, &action, &watch.earlier);
  return 0;
}

#else

int apus_watch_begin(void *base, size_t bytes, size_t chunk) {
  (void)base, (void)bytes, (void)chunk;
  return ENOTSUP;
}

#endif

int apus_watch_arm(void) {
  memset(watch.notes, 0, watch.count);
  return mprotect(watch.base, watch.bytes, PROT_NONE) == 0 ? 0 : errno;
}

const uint8_t *apus_watch_notes(void) { return watch.notes; }

int apus_watch_disarm(void) { return mprotect(watch.base, watch.bytes, PROT_READ | PROT_WRITE) == 0 ? 0 : errno; }

int apus_watch_end(void) {
  int status = apus_watch_disarm();
  sigaction(SIGSEGV, &watch.earlier, NULL);
  free(watch.notes);
  watch.notes = NULL;
  pthread_mutex_unlock(&turn);
  return status;
}
