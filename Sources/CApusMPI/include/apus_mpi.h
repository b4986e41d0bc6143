// The part of MPI that Apus needs, without the macros that Swift cannot import.
//
// Every function returns 0 or an MPI error code; apus_mpi_error_text explains it. All are called from the
// thread that called apus_mpi_init.
#ifndef APUS_MPI_H
#define APUS_MPI_H
#include <stdint.h>

// A communicator and a request; null where there is none.
typedef struct apus_mpi_group apus_mpi_group;
typedef intptr_t apus_mpi_request;

// bf16 and f16 travel as 16-bit words and are added by operations of our own.
enum {
  APUS_MPI_F32, APUS_MPI_F64, APUS_MPI_I32, APUS_MPI_BF16, APUS_MPI_F16, APUS_MPI_U8
};

// inout[i] = in[i] + inout[i], or the larger; type is one of the above.
typedef void (*apus_mpi_combine)(const void *in, void *inout, int64_t count, int32_t type, int32_t maximum);

// Joins the processes that the launcher started. `combine` adds the 16-bit types.
int apus_mpi_init(apus_mpi_combine combine, apus_mpi_group **world, int *rank, int *size);
int apus_mpi_finalize(void);
void apus_mpi_error_text(int code, char *text, int size);
// `Open MPI v4.1.4, ...`
void apus_mpi_version(char *text, int size);

// Blocking, for start-up only.
int apus_mpi_broadcast_now(apus_mpi_group *group, void *data, int64_t bytes, int root);

// Non-blocking. `split` gives a new group of those with the same colour in order of key, or of old rank.
int apus_mpi_split(apus_mpi_group *group, int colour, int key, apus_mpi_group **result);
int apus_mpi_send(apus_mpi_group *g, const void *data, int64_t bytes, int to, int tag, apus_mpi_request *request);
int apus_mpi_receive(apus_mpi_group *g, void *data, int64_t bytes, int from, int tag, apus_mpi_request *request);
int apus_mpi_broadcast(apus_mpi_group *g, void *data, int64_t bytes, int root, apus_mpi_request *request);
int apus_mpi_gather(apus_mpi_group *g, const void *in, void *out, int64_t block_bytes, int root, int in_place,
                    apus_mpi_request *request);
int apus_mpi_scatter(apus_mpi_group *g, const void *in, void *out, int64_t block_bytes, int root, int in_place,
                     apus_mpi_request *request);
int apus_mpi_all_to_all(apus_mpi_group *g, const void *in, void *out, int64_t block_bytes,
                        apus_mpi_request *request);
int apus_mpi_barrier(apus_mpi_group *g, apus_mpi_request *request);
int apus_mpi_reduce(apus_mpi_group *g, const void *in, void *out, int64_t count, int type, int maximum, int root,
                    int in_place, apus_mpi_request *request);
int apus_mpi_all_reduce(apus_mpi_group *g, const void *in, void *out, int64_t count, int type, int maximum,
                        int in_place, apus_mpi_request *request);
// done = 1 when the request is over; the request is null then. A null request is over.
int apus_mpi_test(apus_mpi_request *request, int *done);

// Lets the calling thread sleep for as little as it asks: Linux otherwise adds 50 microseconds.
void apus_sleep_precisely(void);

// Starts a program in a process group of its own, with nothing to read and no signal blocked; it is asked to end
// (SIGTERM) when the calling thread does. `words` end with a null. Returns its process, or -1 with errno set.
int apus_spawn_group(char *const words[]);
#endif
