#include "apus_mpi.h"

#include <limits.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

struct apus_mpi_group {
  MPI_Comm comm;
};

// Written once by apus_mpi_init, before any operation can run: MPI hands its operations no context.
static apus_mpi_combine combine_16_bit;
static MPI_Datatype word_types[2];  // bf16, f16: distinct, so that an operation knows what it adds
static MPI_Op word_ops[2];          // sum, maximum

static void combine_words(void *in, void *inout, int *count, MPI_Datatype *type, int maximum) {
  combine_16_bit(in, inout, *count, *type == word_types[0] ? APUS_MPI_BF16 : APUS_MPI_F16, maximum);
}
static void sum_words(void *in, void *inout, int *count, MPI_Datatype *type) {
  combine_words(in, inout, count, type, 0);
}
static void maximum_words(void *in, void *inout, int *count, MPI_Datatype *type) {
  combine_words(in, inout, count, type, 1);
}

static MPI_Datatype datatype(int type) {
  switch (type) {
    case APUS_MPI_F32: return MPI_FLOAT;
    case APUS_MPI_F64: return MPI_DOUBLE;
    case APUS_MPI_I32: return MPI_INT32_T;
    case APUS_MPI_BF16: return word_types[0];
    case APUS_MPI_F16: return word_types[1];
    default: return MPI_UINT8_T;
  }
}

static MPI_Op operation(int type, int maximum) {
  if (type == APUS_MPI_BF16 || type == APUS_MPI_F16) return word_ops[maximum];
  return maximum ? MPI_MAX : MPI_SUM;
}

static apus_mpi_group *wrap(MPI_Comm comm) {
  apus_mpi_group *group = malloc(sizeof *group);
  if (group != NULL) group->comm = comm;
  return group;
}

#define TRY(call)                       \
  do {                                  \
    int code_ = (call);                 \
    if (code_ != MPI_SUCCESS) return code_; \
  } while (0)

int apus_mpi_init(apus_mpi_combine combine, apus_mpi_group **world, int *rank, int *size) {
  int provided;
  TRY(MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided));
  TRY(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
  combine_16_bit = combine;
  for (int i = 0; i < 2; i++) {
    TRY(MPI_Type_contiguous(2, MPI_BYTE, &word_types[i]));
    TRY(MPI_Type_commit(&word_types[i]));
  }
  TRY(MPI_Op_create(sum_words, 1, &word_ops[0]));
  TRY(MPI_Op_create(maximum_words, 1, &word_ops[1]));
  TRY(MPI_Comm_rank(MPI_COMM_WORLD, rank));
  TRY(MPI_Comm_size(MPI_COMM_WORLD, size));
  *world = wrap(MPI_COMM_WORLD);
  return *world == NULL ? MPI_ERR_NO_MEM : MPI_SUCCESS;
}

int apus_mpi_finalize(void) { return MPI_Finalize(); }

void apus_mpi_error_text(int code, char *text, int size) {
  char buffer[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  if (MPI_Error_string(code, buffer, &length) != MPI_SUCCESS) snprintf(buffer, sizeof buffer, "error %d", code);
  snprintf(text, (size_t)size, "%s", buffer);
}

void apus_mpi_version(char *text, int size) {
  char buffer[MPI_MAX_LIBRARY_VERSION_STRING] = "";
  int length = 0;
  MPI_Get_library_version(buffer, &length);
  snprintf(text, (size_t)size, "%s", buffer);
}

int apus_mpi_broadcast_now(apus_mpi_group *group, void *data, int64_t bytes, int root) {
  return MPI_Bcast(data, (int)bytes, MPI_BYTE, root, group->comm);
}

int apus_mpi_split(apus_mpi_group *group, int colour, int key, apus_mpi_group **result) {
  MPI_Comm comm;
  TRY(MPI_Comm_split(group->comm, colour, key, &comm));
  TRY(MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN));
  *result = wrap(comm);
  return *result == NULL ? MPI_ERR_NO_MEM : MPI_SUCCESS;
}

// Counts are C ints in MPI: larger buffers are refused here, and cut by the caller.
static int too_large(int64_t count) { return count < 0 || count > INT_MAX; }

static int started(int code, MPI_Request handle, apus_mpi_request *request) {
  *request = code == MPI_SUCCESS && handle != MPI_REQUEST_NULL ? (apus_mpi_request)handle : 0;
  return code;
}

#define START(call, count)                          \
  do {                                              \
    MPI_Request handle = MPI_REQUEST_NULL;          \
    if (too_large(count)) return MPI_ERR_COUNT;     \
    int code_ = (call);                             \
    return started(code_, handle, request);         \
  } while (0)

int apus_mpi_send(apus_mpi_group *g, const void *data, int64_t bytes, int to, int tag, apus_mpi_request *request) {
  START(MPI_Isend(data, (int)bytes, MPI_BYTE, to, tag, g->comm, &handle), bytes);
}

int apus_mpi_receive(apus_mpi_group *g, void *data, int64_t bytes, int from, int tag, apus_mpi_request *request) {
  START(MPI_Irecv(data, (int)bytes, MPI_BYTE, from, tag, g->comm, &handle), bytes);
}

int apus_mpi_broadcast(apus_mpi_group *g, void *data, int64_t bytes, int root, apus_mpi_request *request) {
  START(MPI_Ibcast(data, (int)bytes, MPI_BYTE, root, g->comm, &handle), bytes);
}

int apus_mpi_gather(apus_mpi_group *g, const void *in, void *out, int64_t block_bytes, int root, int in_place,
                    apus_mpi_request *request) {
  START(MPI_Igather(in_place ? MPI_IN_PLACE : in, (int)block_bytes, MPI_BYTE, out, (int)block_bytes, MPI_BYTE, root,
                    g->comm, &handle), block_bytes);
}

int apus_mpi_scatter(apus_mpi_group *g, const void *in, void *out, int64_t block_bytes, int root, int in_place,
                     apus_mpi_request *request) {
  START(MPI_Iscatter(in, (int)block_bytes, MPI_BYTE, in_place ? MPI_IN_PLACE : out, (int)block_bytes, MPI_BYTE, root,
                     g->comm, &handle), block_bytes);
}

int apus_mpi_all_to_all(apus_mpi_group *g, const void *in, void *out, int64_t block_bytes,
                        apus_mpi_request *request) {
  START(MPI_Ialltoall(in, (int)block_bytes, MPI_BYTE, out, (int)block_bytes, MPI_BYTE, g->comm, &handle),
        block_bytes);
}

int apus_mpi_barrier(apus_mpi_group *g, apus_mpi_request *request) { START(MPI_Ibarrier(g->comm, &handle), 0); }

int apus_mpi_reduce(apus_mpi_group *g, const void *in, void *out, int64_t count, int type, int maximum, int root,
                    int in_place, apus_mpi_request *request) {
  START(MPI_Ireduce(in_place ? MPI_IN_PLACE : in, out, (int)count, datatype(type), operation(type, maximum), root,
                    g->comm, &handle), count);
}

int apus_mpi_all_reduce(apus_mpi_group *g, const void *in, void *out, int64_t count, int type, int maximum,
                        int in_place, apus_mpi_request *request) {
  START(MPI_Iallreduce(in_place ? MPI_IN_PLACE : in, out, (int)count, datatype(type), operation(type, maximum),
                       g->comm, &handle), count);
}

int apus_mpi_test(apus_mpi_request *request, int *done) {
  if (*request == 0) {
    *done = 1;
    return MPI_SUCCESS;
  }
  MPI_Request handle = (MPI_Request)*request;
  int code = MPI_Test(&handle, done, MPI_STATUS_IGNORE);
  if (*done) *request = 0;
  return code;
}

void apus_sleep_precisely(void) { prctl(PR_SET_TIMERSLACK, 1000UL, 0UL, 0UL, 0UL); }
