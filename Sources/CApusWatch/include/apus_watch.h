#ifndef APUS_WATCH_H
#define APUS_WATCH_H

#include <stddef.h>
#include <stdint.h>

// Watches from outside which parts of a mapping are read and written: every chunk is protected, the first access
// faults, the fault is noted and the chunk opened. One mapping at a time; accesses by the system itself (a read
// from a file into the mapping) fail while it is armed. A second watch waits for the first one's end.

#define APUS_WATCH_READ 1     // read, not written
#define APUS_WATCH_WRITTEN 2  // written before anything was read
#define APUS_WATCH_UPDATED 3  // read first, then written

// Begins to watch `bytes` bytes from `base`; both and `chunk` are multiples of the page size. 0, or an errno value;
// ENOTSUP on processors whose faults this file cannot read.
int apus_watch_begin(void *base, size_t bytes, size_t chunk);

// Forgets what was noted and protects every chunk.
int apus_watch_arm(void);

// What was noted since the last arming, one byte a chunk; 0 = not touched.
const uint8_t *apus_watch_notes(void);

// Opens the mapping and stops noting, so that the host may use it. `apus_watch_arm` goes on.
int apus_watch_disarm(void);

// Opens the mapping and gives the signal back to whom it belonged.
int apus_watch_end(void);

#endif
