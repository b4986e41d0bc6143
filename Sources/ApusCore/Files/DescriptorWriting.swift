import Foundation

/// Writes all bytes to a file descriptor, past interruptions and short writes.
///
/// A descriptor in non-blocking mode that takes nothing for two seconds counts as failed. A closed pipe
/// gives `EPIPE`; the signal that comes with it, which would end the process, is blocked for this thread
/// meanwhile and taken off.
///
/// - Returns: 0, or the `errno` of the call that failed.
package func writeAll(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32) -> Int32 {
  withoutBrokenPipeSignal {
    var written = 0
    while written < bytes.count {
      let rest = UnsafeRawBufferPointer(rebasing: bytes[written...])
      let count = write(descriptor, rest.baseAddress, rest.count)
      if count > 0 {
        written += count
        continue
      }
      let code = count == 0 ? EIO : errno
      if code == EINTR { continue }
      guard code == EAGAIN else { return code }
      var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
      if poll(&waiting, 1, 2000) == 0 { return EAGAIN }
    }
    return 0
  }
}

/// `write` raises SIGPIPE in the thread that calls it. Blocking it here leaves the process's own
/// handling of the signal untouched; one that was pending before stays pending.
private func withoutBrokenPipeSignal(_ body: () -> Int32) -> Int32 {
  var brokenPipe = sigset_t()
  sigemptyset(&brokenPipe)
  sigaddset(&brokenPipe, SIGPIPE)
  var pending = sigset_t()
  sigpending(&pending)
  let wasPending = sigismember(&pending, SIGPIPE) == 1
  var previous = sigset_t()
  pthread_sigmask(SIG_BLOCK, &brokenPipe, &previous)
  let code = body()
  if code == EPIPE, !wasPending {
    var atOnce = timespec(tv_sec: 0, tv_nsec: 0)
    while sigtimedwait(&brokenPipe, nil, &atOnce) == -1, errno == EINTR {}
  }
  pthread_sigmask(SIG_SETMASK, &previous, nil)
  return code
}
