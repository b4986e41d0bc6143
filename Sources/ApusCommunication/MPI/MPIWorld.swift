import ApusCore
import CApusMPI
import Foundation
import Synchronization

/// The processes that a launcher has started, each a rank, joined by MPI and watching each other beside it.
package final class MPIWorld: World {
  package let rank: Int
  package let size: Int
  package var isOneProcess: Bool { size == 1 }
  package let data: any Communicator
  package let control: any Communicator
  package let status: RankStatus
  /// Ranks on this machine, and this one's number among them.
  package let localSize: Int
  package let localRank: Int
  private let engine: MPIEngine
  private let watch: Watch

  /// Joins the other processes.
  ///
  /// - Parameters:
  ///   - launch: what the launcher said, checked against what MPI says.
  ///   - stallLimit: seconds without a sign of life, or in which ranks wait for one that does something else,
  ///     after which the run ends.
  ///   - startLimit: seconds for all of this; then the process ends with a line.
  package init(
    _ launch: LaunchEnvironment, stallLimit: Double = 60, startLimit: Double = 60
  ) throws(CommunicationError) {
    let deadline = Deadline(
      seconds: startLimit, "rank \(launch.rank): the other ranks did not join within \(Int(startLimit)) s")
    defer { deadline.lift() }
    let dropped = DropHandler()
    let engine = MPIEngine { dropped.call($0) }
    engine.start()
    let status = RankStatus()
    let joined = engine.perform { Self.join() }
    try Self.check(joined.code, launch.rank, "MPI_Init")
    guard let world = joined.world, joined.size == launch.size, joined.rank == launch.rank else {
      throw .launch(
        "\(launch.launcher) started \(launch.size) processes, but MPI joins \(joined.size): apus was built with "
          + "another MPI than the launcher's"
          + (launch.launcher == "srun" ? "; try srun --mpi=pmix" : "; use Open MPI's mpirun"))
    }
    let (rank, size) = (joined.rank, joined.size)
    let links = try Self.connect(rank: rank, size: size, world, engine)
    watch = Watch(rank: rank, size: size, status: status, stallLimit: stallLimit, links: links)
    watch.start()
    dropped.watch(watch)
    let ranks = Array(0..<size)
    func plane(_ name: String) throws(CommunicationError) -> MPICommunicator {
      let result = engine.perform {
        var group: OpaquePointer?
        let code = apus_mpi_split(world, 0, Int32(rank), &group)
        return (group, code)
      }
      try Self.check(result.1, rank, "making the group \(name)")
      return MPICommunicator(
        name: name, group: result.0!, rank: rank, worldRanks: ranks, engine: engine, status: status)
    }
    let data = try plane("world")
    let control = try plane("control")
    let hosts = try control.allGather(bytes: Array(Self.hostName.utf8), label: "machine names")
    let neighbours = ranks.filter { hosts[$0] == hosts[rank] }
    localSize = launch.localSize ?? neighbours.count
    localRank = launch.localRank ?? neighbours.firstIndex(of: rank)!
    self.rank = rank
    self.size = size
    self.data = data
    self.control = control
    self.status = status
    self.engine = engine
  }

  package func fail(_ reason: String) { watch.fail(reason) }

  /// Parts from the other processes at the end of a run that went well. All ranks call it.
  package func leave() throws(CommunicationError) {
    try control.barrier(label: "the end")
    watch.finish()
    let deadline = Deadline(seconds: 20, "rank \(rank): MPI did not end within 20 s")
    defer { deadline.lift() }
    let code = engine.perform { apus_mpi_finalize() }
    engine.stop()
    try Self.check(code, rank, "MPI_Finalize")
  }

  /// `Open MPI v4.1.4, ...`
  package static var libraryVersion: String {
    var text = [CChar](repeating: 0, count: 512)
    apus_mpi_version(&text, 512)
    return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  // MARK: Joining

  private static func check(_ code: Int32, _ rank: Int, _ operation: String) throws(CommunicationError) {
    if code != 0 {
      throw .transport(rank: rank, operation: operation, reason: MPIFault(operation: "", code: code).reason)
    }
  }

  private static func join() -> (world: OpaquePointer?, rank: Int, size: Int, code: Int32) {
    var world: OpaquePointer?
    var (rank, size): (Int32, Int32) = (0, 0)
    let code = apus_mpi_init(
      { input, output, count, type, maximum in
        // The order of a 16-bit sum is the library's here; each addition rounds.
        RankSum.run(
          maximum == 0 ? .sum : .maximum, type == Int32(APUS_MPI_BF16) ? .bfloat16 : .float16,
          inputs: [input!, UnsafeRawPointer(output!)], outputs: [output!], count: Int(count))
      }, &world, &rank, &size)
    return (world, Int(rank), Int(size), code)
  }

  /// Connects every rank with the first one.
  private static func connect(
    rank: Int, size: Int, _ world: OpaquePointer, _ engine: MPIEngine
  ) throws(CommunicationError) -> [Int: LivenessLink] {
    guard size > 1 else { return [:] }
    var listener: Int32 = -1
    var own: LivenessAddress?
    if rank == 0 {
      let (descriptor, address) = try LivenessAddress.listen()
      listener = descriptor
      own = address
    }
    let text = own?.text ?? ""
    let (announced, code) = engine.perform {
      var buffer =
        Array(text.utf8.prefix(4_095)) + [UInt8](repeating: 0, count: max(1, 4_096 - text.utf8.count))
      let code = apus_mpi_broadcast_now(world, &buffer, 4_096, 0)
      return (String(decoding: buffer.prefix { $0 != 0 }, as: UTF8.self), code)
    }
    try check(code, rank, "announcing the first rank's address")
    guard let address = LivenessAddress(text: announced) else {
      throw .launch("the first rank's address makes no sense: \(announced)")
    }
    if rank > 0 {
      let link = LivenessLink(try address.connect())
      link.send(.hello(rank: rank, secret: address.secret))
      return [0: link]
    }
    defer { close(listener) }
    var links: [Int: LivenessLink] = [:]
    while links.count < size - 1 {
      let descriptor = accept(listener, nil, nil)
      guard descriptor >= 0 else { continue }
      let link = LivenessLink(descriptor)
      if let peer = greeting(link, address.secret), peer > 0, peer < size, links[peer] == nil {
        links[peer] = link
      }
    }
    return links
  }

  /// The rank that a new connection belongs to; nil for a stranger.
  private static func greeting(_ link: LivenessLink, _ secret: String) -> Int? {
    var poll = pollfd(fd: link.descriptor, events: Int16(POLLIN), revents: 0)
    while Glibc.poll(&poll, 1, 2_000) == 1 {
      let (messages, isClosed) = link.receive()
      if case .hello(let rank, let theirs)? = messages.first { return theirs == secret ? rank : nil }
      if isClosed || !messages.isEmpty { break }
    }
    return nil
  }

  private static var hostName: String {
    var name = [CChar](repeating: 0, count: 256)
    gethostname(&name, 255)
    return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}

/// Ends the process with a line unless it is lifted in time: for calls that may block for ever.
private final class Deadline: Sendable {
  private let isLifted = Mutex(false)

  init(seconds: Double, _ line: String) {
    let thread = Thread { [self] in
      Thread.sleep(forTimeInterval: seconds)
      if isLifted.withLock({ $0 }) { return }
      let text = Array("apus: \(line)\n".utf8)
      _ = text.withUnsafeBytes { write(2, $0.baseAddress!, $0.count) }
      _exit(Watch.exitCode)
    }
    thread.start()
  }

  func lift() { isLifted.withLock { $0 = true } }
}

/// Tells the watch when a rank gives up a collective; the watch comes later than the engine.
private final class DropHandler: Sendable {
  private let watch = Mutex<Watch?>(nil)

  func watch(_ watch: Watch) { self.watch.withLock { $0 = watch } }

  func call(_ collective: String) {
    watch.withLock { $0 }?.fail("it left before its \(collective) was over")
  }
}
