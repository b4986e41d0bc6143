import Foundation

/// Where the first rank listens, and the secret that its ranks know.
struct LivenessAddress: Hashable, Sendable {
  /// Numeric IPv4 addresses of the machine; loopback last.
  var hosts: [String]
  var port: UInt16
  var secret: String

  /// One line of text, and back.
  var text: String { "\(secret) \(port) \(hosts.joined(separator: " "))" }

  init(hosts: [String], port: UInt16, secret: String) {
    self.hosts = hosts
    self.port = port
    self.secret = secret
  }

  init?(text: String) {
    let words = text.split(separator: " ").map(String.init)
    guard words.count >= 3, let port = UInt16(words[1]) else { return nil }
    self.init(hosts: Array(words[2...]), port: port, secret: words[0])
  }

  /// Opens a listening socket on a free port of all interfaces.
  static func listen() throws(CommunicationError) -> (descriptor: Int32, address: LivenessAddress) {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = 0
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isOpen = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        descriptor >= 0 && bind(descriptor, $0, length) == 0 && Glibc.listen(descriptor, 1_024) == 0
          && getsockname(descriptor, $0, &length) == 0
      }
    }
    guard isOpen else {
      throw .launch("cannot listen for the other ranks: \(String(cString: strerror(errno)))")
    }
    let secret = String(UInt64.random(in: .min ... .max), radix: 36)
    return (
      descriptor,
      LivenessAddress(hosts: machineHosts(), port: UInt16(bigEndian: address.sin_port), secret: secret)
    )
  }

  /// Connects to the first host that answers, within `limit` seconds each.
  func connect(limit: Double = 3) throws(CommunicationError) -> Int32 {
    var reason = "it gave no address"
    for host in hosts {
      let descriptor = socket(
        AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0
      )
      guard descriptor >= 0 else { continue }
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      address.sin_port = port.bigEndian
      inet_pton(AF_INET, host, &address.sin_addr)
      let code = withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
      }
      if code == 0 || errno == EINPROGRESS {
        var poll = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        var fault: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        if Glibc.poll(&poll, 1, Int32(limit * 1_000)) == 1,
          getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &fault, &length) == 0, fault == 0
        {
          return descriptor
        }
        reason = fault == 0 ? "no answer" : String(cString: strerror(fault))
      } else {
        reason = String(cString: strerror(errno))
      }
      close(descriptor)
    }
    throw .launch(
      "cannot reach rank 0 at \(hosts.joined(separator: ", ")) port \(port): \(reason); "
        + "ranks watch each other over TCP, let it through")
  }

  private static func machineHosts() -> [String] {
    var list: UnsafeMutablePointer<ifaddrs>?
    guard getifaddrs(&list) == 0 else { return ["127.0.0.1"] }
    defer { freeifaddrs(list) }
    var hosts: [String] = []
    var next = list
    while let entry = next {
      next = entry.pointee.ifa_next
      guard let address = entry.pointee.ifa_addr, address.pointee.sa_family == sa_family_t(AF_INET) else {
        continue
      }
      var text = [CChar](repeating: 0, count: 64)
      address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
        _ = inet_ntop(AF_INET, &$0.pointee.sin_addr, &text, 64)
      }
      hosts.append(String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
    }
    return hosts.filter { !$0.hasPrefix("127.") } + ["127.0.0.1"]
  }
}
