// The one thread pool: libgomp's, which oneDNN uses too, so that two pools never fight over the cores.
//
// GOMP_parallel is what gcc makes of `#pragma omp parallel`; calling it needs no compiler support.
#include <stdatomic.h>

#include "internal.h"

extern void GOMP_parallel(void (*function)(void *), void *data, unsigned thread_count, unsigned flags);
extern int omp_get_max_threads(void);
extern int omp_get_thread_num(void);
extern int omp_in_parallel(void);
extern void omp_set_num_threads(int count);

// OpenMP keeps the count with the calling thread, for its own regions and for oneDNN's: ranks that are
// threads of one process each have theirs.
void apus_set_thread_count(int count) {
  if (omp_get_max_threads() != count) omp_set_num_threads(count < 1 ? 1 : count);
}

int apus_thread_count(void) { return omp_get_max_threads(); }

int apus_thread_slot(void) { return omp_get_thread_num(); }

typedef struct {
  apus_task task;
  void *context;
  int64_t count;
  _Atomic int64_t next;
} work_queue;

static void drain(void *data) {
  work_queue *queue = data;
  for (;;) {
    int64_t index = atomic_fetch_add_explicit(&queue->next, 1, memory_order_relaxed);
    if (index >= queue->count) return;
    queue->task(queue->context, index);
  }
}

void apus_parallel_for(int64_t count, apus_task task, void *context) {
  int threads = apus_thread_count();
  if (count <= 1 || threads == 1 || omp_in_parallel()) {
    for (int64_t i = 0; i < count; i++) task(context, i);
    return;
  }
  work_queue queue = {task, context, count, 0};
  GOMP_parallel(drain, &queue, (unsigned)(count < threads ? count : threads), 0);
}

void apus_for(int64_t count, int64_t work, apus_task task, void *context) {
  if (work < APUS_SERIAL_BELOW) {
    for (int64_t i = 0; i < count; i++) task(context, i);
  } else {
    apus_parallel_for(count, task, context);
  }
}
