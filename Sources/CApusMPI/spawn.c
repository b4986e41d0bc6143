#define _GNU_SOURCE
#include "apus_mpi.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

int apus_spawn_group(char *const words[]) {
  int report[2];
  if (pipe2(report, O_CLOEXEC) != 0) return -1;
  pid_t child = fork();
  if (child == 0) {
    sigset_t none;
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int nothing = open("/dev/null", O_RDONLY);
    if (nothing >= 0) dup2(nothing, 0);
    execvp(words[0], words);
    int reason = errno;
    (void)!write(report[1], &reason, sizeof reason);
    _exit(127);
  }
  close(report[1]);
  int reason = 0;
  int failed = child < 0 || read(report[0], &reason, sizeof reason) == sizeof reason;
  close(report[0]);
  if (!failed) return (int)child;
  if (child > 0) {
    waitpid(child, NULL, 0);
    errno = reason;
  }
  return -1;
}
