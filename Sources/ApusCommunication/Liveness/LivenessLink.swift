import Foundation
import Synchronization

/// A connection between a rank and the first one. Lines are sent from any thread and read by the watch.
final class LivenessLink: Sendable {
  let descriptor: Int32
  private let unread = Mutex<[UInt8]>([])
  private let sending = Mutex(())

  /// Takes over a connected socket.
  init(_ descriptor: Int32) {
    self.descriptor = descriptor
    let flags = fcntl(descriptor, F_GETFL)
    _ = fcntl(descriptor, F_SETFL, flags | O_NONBLOCK)
    var one: Int32 = 1
    setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
  }

  deinit { close(descriptor) }

  /// Sends a line. What does not fit because the other side has stopped reading is lost: its silence will show.
  func send(_ message: LivenessMessage) {
    sending.withLock { _ in
      var rest = Array(message.line.utf8)[...]
      while !rest.isEmpty {
        let sent = rest.withUnsafeBytes {
          Glibc.send(descriptor, $0.baseAddress!, $0.count, Int32(MSG_NOSIGNAL))
        }
        if sent < 0, errno == EINTR { continue }
        guard sent > 0 else { return }
        rest = rest.dropFirst(sent)
      }
    }
  }

  /// The lines that have come, and whether the other side has closed.
  func receive() -> (messages: [LivenessMessage], isClosed: Bool) {
    unread.withLock { unread in
      var isClosed = false
      var buffer = [UInt8](repeating: 0, count: 4_096)
      while true {
        let count = recv(descriptor, &buffer, buffer.count, 0)
        if count > 0 {
          unread += buffer[..<count]
        } else if count < 0, errno == EINTR {
          continue
        } else {
          isClosed = count == 0 || (errno != EAGAIN && errno != EWOULDBLOCK)
          break
        }
      }
      var messages: [LivenessMessage] = []
      while let end = unread.firstIndex(of: UInt8(ascii: "\n")) {
        let line = String(decoding: unread[..<end], as: UTF8.self)
        unread.removeSubrange(...end)
        LivenessMessage(line: line).map { messages.append($0) }
      }
      return (messages, isClosed)
    }
  }
}
