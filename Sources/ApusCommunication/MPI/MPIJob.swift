import ApusCore
import CApusMPI

/// A collective as a chain of requests, driven by the communication thread alone.
protocol MPIJob: AnyObject {
  /// Posts what can be posted and tests what has been; returns whether anything has moved.
  func advance() throws(MPIFault) -> Bool
  var isOver: Bool { get }
}

/// A refusal of the message library.
struct MPIFault: Error {
  let operation: String
  let code: Int32

  /// Throws unless `code` is success.
  static func check(_ code: Int32, _ operation: String) throws(MPIFault) {
    if code != 0 { throw MPIFault(operation: operation, code: code) }
  }

  /// What the library says about the code.
  var reason: String {
    var text = [CChar](repeating: 0, count: 512)
    apus_mpi_error_text(code, &text, 512)
    return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}

extension ElementType {
  /// The shim's number of the type.
  var mpiCode: Int32 {
    switch self {
    case .float32: Int32(APUS_MPI_F32)
    case .float64: Int32(APUS_MPI_F64)
    case .int32: Int32(APUS_MPI_I32)
    case .bfloat16: Int32(APUS_MPI_BF16)
    case .float16: Int32(APUS_MPI_F16)
    case .uint8: Int32(APUS_MPI_U8)
    }
  }
}

/// A collective that is one call of the message library, or a few where the buffer has more than 1 GiB: MPI
/// counts in C's int.
final class MPIRequestJob: MPIJob {
  private static let pieceByteCount = 1 << 30

  private let group: OpaquePointer
  private let rank: Int
  private let collective: Collective
  private var requests: [apus_mpi_request] = []
  private var isPosted = false

  init(_ collective: Collective, group: OpaquePointer, rank: Int) {
    self.collective = collective
    self.group = group
    self.rank = rank
  }

  var isOver: Bool { isPosted && requests.isEmpty }

  func advance() throws(MPIFault) -> Bool {
    let before = requests.count
    let wasPosted = isPosted
    if !isPosted { try postAll() }
    var left: [apus_mpi_request] = []
    for var request in requests {
      var done: Int32 = 0
      try MPIFault.check(apus_mpi_test(&request, &done), collective.text)
      if done == 0 { left.append(request) }
    }
    requests = left
    return !wasPosted || left.count < before
  }

  /// Posts every piece at once: ranks must post in the same order. Collectives of blocks cannot be cut here; the
  /// library refuses those that are too large.
  private func postAll() throws(MPIFault) {
    isPosted = true
    let most = Self.pieceByteCount / collective.type.byteCount
    let piece = collective.kind.countsBlocks ? max(1, collective.count) : most
    var first = 0
    repeat {
      var request: apus_mpi_request = 0
      let count = min(piece, collective.count - first)
      try MPIFault.check(post(first: first, count: count, &request), collective.text)
      requests.append(request)
      first += piece
    } while first < collective.count
  }

  private func post(first: Int, count: Int, _ request: inout apus_mpi_request) -> Int32 {
    let offset = first * collective.type.byteCount
    let bytes = Int64(count * collective.type.byteCount)
    let input = collective.input.map { $0 + offset }
    let output = collective.output.map { $0 + offset }
    let peer = Int32(collective.peer)
    let type = collective.type.mpiCode
    let maximum: Int32 = collective.reduction == .maximum ? 1 : 0
    let isRoot = collective.peer == rank
    /// Whether `part` is block `block` of `whole`.
    func isBlock(_ part: UnsafeRawPointer?, of whole: UnsafeRawPointer?, _ block: Int) -> Int32 {
      guard let part, let whole else { return 0 }
      return part == whole + block * Int(bytes) ? 1 : 0
    }
    let result = output.map { UnsafeRawPointer($0) }
    switch collective.kind {
    case .broadcast: return apus_mpi_broadcast(group, output, bytes, peer, &request)
    case .reduce:
      let inPlace = isRoot ? isBlock(input, of: result, 0) : 0
      return apus_mpi_reduce(group, input, output, Int64(count), type, maximum, peer, inPlace, &request)
    case .allReduce:
      let inPlace = isBlock(input, of: result, 0)
      return apus_mpi_all_reduce(group, input, output, Int64(count), type, maximum, inPlace, &request)
    case .gather:
      let inPlace = isRoot ? isBlock(input, of: result, rank) : 0
      return apus_mpi_gather(group, input, output, bytes, peer, inPlace, &request)
    case .scatter:
      let inPlace = isRoot ? isBlock(result, of: input, rank) : 0
      return apus_mpi_scatter(group, input, output, bytes, peer, inPlace, &request)
    case .allToAll: return apus_mpi_all_to_all(group, input, output, bytes, &request)
    case .send: return apus_mpi_send(group, input, bytes, peer, MPITag.message, &request)
    case .receive: return apus_mpi_receive(group, output, bytes, peer, MPITag.message, &request)
    case .barrier: return apus_mpi_barrier(group, &request)
    case .allGather, .reduceScatter:
      require(false, "\(collective.text) goes around the ring")
      return 0
    }
  }
}

/// Message tags of a group.
enum MPITag {
  /// Of send and receive.
  static let message: Int32 = 0

  /// Of a lane of a ring, for the n-th collective of the group. Lanes that are in flight together differ.
  static func ring(collective: Int, lane: Int) -> Int32 {
    Int32(1 + ((collective & 0x3FF) << 16 | (lane & 0xFFFF)))
  }
}
