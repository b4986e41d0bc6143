import ApusCommunication
import ApusCore
import Foundation

/// A result that is not what it should be.
package struct CaseFailure: Error, CustomStringConvertible {
  package let description: String

  package init(description: String) { self.description = description }
}

/// Checks of every primitive that a rank makes together with the others, over any transport.
package struct CollectiveCases {
  let group: any Communicator

  package init(_ group: any Communicator) { self.group = group }

  package static let all: [(name: String, run: @Sendable (CollectiveCases) throws -> Void)] = [
    ("broadcast", { try $0.broadcast() }), ("reduce", { try $0.reduce() }),
    ("all-reduce", { try $0.allReduce() }), ("gather", { try $0.gather() }),
    ("all-gather", { try $0.allGather() }), ("scatter", { try $0.scatter() }),
    ("reduce-scatter", { try $0.reduceScatter() }), ("all-to-all", { try $0.allToAll() }),
    ("in place", { try $0.inPlace() }), ("element types", { try $0.elementTypes() }),
    ("maximum", { try $0.maximum() }), ("messages", { try $0.messages() }), ("sizes", { try $0.sizes() }),
    ("in flight", { try $0.inFlight() }), ("split", { try $0.split() }), ("bytes", { try $0.bytes() }),
    ("barrier", { try $0.barrier() }), ("numbers of the host", { try $0.hostGather() }),
    ("counters", { try $0.counters() }), ("repeatable", { try $0.repeatable() }),
  ]

  package func runAll() throws {
    for (name, check) in Self.all {
      do {
        try check(self)
      } catch let failure as CaseFailure {
        throw CaseFailure(description: "\(name), rank \(group.rank) of \(group.size): \(failure)")
      }
    }
  }

  func expect<Value: Equatable>(_ found: Value, _ expected: Value, _ what: String) throws {
    if found != expected { throw CaseFailure(description: "\(what): \(found) instead of \(expected)") }
  }

  /// Runs a collective on arrays; nil where there is no buffer.
  @discardableResult
  func call<Element: CollectiveElement>(
    _ kind: CollectiveKind, from input: [Element]? = nil, to output: [Element]? = nil, count: Int,
    reduction: Reduction = .sum, peer: Int = 0
  ) throws -> [Element] {
    let source = input.map { Memory($0) }
    let target = output.map { Memory($0) }
    try group.run(
      Collective(
        kind, from: source?.address, to: target?.address, count: count, type: Element.elementType,
        reduction: reduction, peer: peer, label: "case"))
    return target?.elements ?? []
  }

  private var rank: Int { group.rank }
  private var size: Int { group.size }
  private var value: Float { Float(rank + 1) }
  private var sumOfRanks: Float { Float(size * (size + 1) / 2) }
  private let zeros: [Float] = [0, 0, 0, 0, 0]

  /// [1..5] of rank 0, and of the last rank.
  func broadcast() throws {
    let numbers: [Float] = [1, 2, 3, 4, 5]
    for root in Set([0, size - 1]).sorted() {
      let found = try call(.broadcast, to: rank == root ? numbers : zeros, count: 5, peer: root)
      try expect(found, numbers, "broadcast from \(root)")
    }
  }

  /// The destination holds the sum; the others' buffers do not change.
  func reduce() throws {
    let mine = [Float](repeating: value, count: 5)
    let root = size - 1
    let found = try call(.reduce, from: mine, to: zeros, count: 5, peer: root)
    let expected = rank == root ? [Float](repeating: sumOfRanks, count: 5) : zeros
    try expect(found, expected, "reduce to \(root)")
  }

  func allReduce() throws {
    let found = try call(
      .allReduce, from: [Float](repeating: value, count: 5), to: zeros, count: 5)
    try expect(found, [Float](repeating: sumOfRanks, count: 5), "all-reduce")
  }

  func gather() throws {
    let expected = (0..<size).flatMap { [Float](repeating: Float($0 + 1), count: 5) }
    let empty = [Float](repeating: 0, count: expected.count)
    let found = try call(
      .gather, from: [Float](repeating: value, count: 5), to: empty, count: 5, peer: size - 1)
    try expect(found, rank == size - 1 ? expected : empty, "gather")
  }

  func allGather() throws {
    let expected = (0..<size).flatMap { [Float](repeating: Float($0 + 1), count: 5) }
    let found = try call(
      .allGather, from: [Float](repeating: value, count: 5),
      to: [Float](repeating: 0, count: expected.count), count: 5)
    try expect(found, expected, "all-gather")
  }

  func scatter() throws {
    let all = (0..<size).flatMap { [Float](repeating: Float($0 + 1), count: 5) }
    let found = try call(.scatter, from: rank == 0 ? all : nil, to: zeros, count: 5)
    try expect(found, [Float](repeating: value, count: 5), "scatter")
  }

  /// Rank r puts in ([r+1, 2(r+1)])^(j+1) for rank j: with three ranks [6, 12], [14, 56] and [36, 288].
  func reduceScatter() throws {
    func power(_ base: Int, _ exponent: Int) -> Float { Float((0..<exponent).reduce(1) { p, _ in p * base }) }
    let input = (1...size).flatMap { [power(rank + 1, $0), power(2 * (rank + 1), $0)] }
    let found = try call(.reduceScatter, from: input, to: [Float](repeating: 0, count: 2), count: 2)
    let expected = [1, 2].map { factor in
      (1...size).reduce(Float(0)) { $0 + power(factor * $1, rank + 1) }
    }
    try expect(found, expected, "reduce-scatter")
    if size == 3 {
      let known: [[Float]] = [[6, 12], [14, 56], [36, 288]]
      try expect(found, known[rank], "the worked example")
    }
  }

  func allToAll() throws {
    let input = (0..<size).flatMap { [Int32(10 * rank + $0), Int32(-1)] }
    let found = try call(.allToAll, from: input, to: [Int32](repeating: 0, count: 2 * size), count: 2)
    try expect(found, (0..<size).flatMap { [Int32(10 * $0 + rank), Int32(-1)] }, "all-to-all")
  }

  /// The forms that share a buffer.
  func inPlace() throws {
    let memory = Memory((0..<3 * size).map { Float($0 + rank) })
    let block = memory.address + rank * 3 * 4
    try group.run(
      Collective(
        .allReduce, from: memory.address, to: memory.address, count: 3 * size, type: .float32, label: "x"))
    let shift = size * (size - 1) / 2
    let sums = (0..<3 * size).map { Float($0 * size + shift) }
    try expect(memory.elements, sums, "all-reduce")
    try group.run(
      Collective(.reduceScatter, from: memory.address, to: block, count: 3, type: .float32, label: "x"))
    let mine = sums[3 * rank..<3 * rank + 3].map { $0 * Float(size) }
    try expect(Array(memory.elements[3 * rank..<3 * rank + 3]), mine, "reduce-scatter")
    try group.run(
      Collective(.allGather, from: block, to: memory.address, count: 3, type: .float32, label: "x"))
    try expect(memory.elements, sums.map { $0 * Float(size) }, "all-gather")
  }

  /// Sums in every element type; small whole numbers are exact in all of them.
  func elementTypes() throws {
    let expected = Double(sumOfRanks)
    try expect(
      call(.allReduce, from: [Double(value)], to: [0], count: 1), [expected], "float64")
    try expect(call(.allReduce, from: [Int32(value)], to: [0], count: 1), [Int32(expected)], "int32")
    for (type, bits) in [
      (ElementType.bfloat16, { (x: Float) in UInt16(x.bitPattern >> 16) }),
      (.float16, { (x: Float) in halfBits(x) }),
    ] {
      for count in [1, 40_000] {
        let memory = Memory([UInt16](repeating: bits(value), count: count))
        try group.run(
          Collective(
            .allReduce, from: memory.address, to: memory.address, count: count, type: type, label: "x"))
        try expect(
          memory.elements, [UInt16](repeating: bits(sumOfRanks), count: count), "\(type) \(count)")
      }
    }
  }

  func maximum() throws {
    try expect(
      call(.allReduce, from: [value, -value], to: [0, 0], count: 2, reduction: .maximum), [Float(size), -1],
      "maximum")
  }

  /// Around a ring, started before they are waited for; and many in one direction, in order.
  func messages() throws {
    guard size > 1 else { return }
    let (out, back) = (
      Memory([Float](repeating: value, count: 40_000)), Memory([Float](repeating: 0, count: 40_000))
    )
    let (next, last) = ((rank + 1) % size, (rank + size - 1) % size)
    let sending = try group.start(
      Collective(.send, from: out.address, count: 40_000, type: .float32, peer: next, label: "ring"))
    let receiving = try group.start(
      Collective(.receive, to: back.address, count: 40_000, type: .float32, peer: last, label: "ring"))
    try sending.wait()
    try receiving.wait()
    try expect(back.elements, [Float](repeating: Float(last + 1), count: 40_000), "ring")
    for number in 0..<5 {
      if rank == 0 { try call(.send, from: [Int32(number)], count: 1, peer: 1) }
      if rank == 1 { try expect(call(.receive, to: [Int32(-1)], count: 1), [Int32(number)], "order") }
    }
  }

  /// Nothing, fewer elements than ranks, and many.
  func sizes() throws {
    for count in [0, 1, 2, 1_000, 100_001] {
      let mine = (0..<count).map { Float($0 % 100) * value }
      let found = try call(.allReduce, from: mine, to: [Float](repeating: 0, count: count), count: count)
      try expect(found, (0..<count).map { Float($0 % 100) * sumOfRanks }, "all-reduce of \(count)")
      let all = try call(
        .allGather, from: mine, to: [Float](repeating: 0, count: count * size), count: count)
      try expect(
        all, (1...size).flatMap { r in (0..<count).map { Float($0 % 100) * Float(r) } },
        "all-gather of \(count)")
      let shard = try call(
        .reduceScatter, from: all, to: [Float](repeating: 0, count: count), count: count)
      try expect(shard, mine.map { $0 * Float(size) }, "reduce-scatter of \(count)")
    }
  }

  /// Many started, waited for in another order.
  func inFlight() throws {
    let memories = (0..<6).map { number in
      Memory([Float](repeating: value * Float(number + 1), count: 50_000))
    }
    var waiting = PendingList()
    for memory in memories {
      waiting.add(
        try group.start(
          Collective(
            .allReduce, from: memory.address, to: memory.address, count: 50_000, type: .float32,
            label: "flight")))
    }
    try waiting.waitBackwards()
    for (number, memory) in memories.enumerated() {
      try expect(
        memory.elements, [Float](repeating: sumOfRanks * Float(number + 1), count: 50_000), "flight \(number)"
      )
    }
  }

  /// Even and odd ranks, in reverse order; and single ranks.
  func split() throws {
    let half = try group.split(colour: rank % 2, key: -rank, name: "half")
    let members = (0..<size).filter { $0 % 2 == rank % 2 }.reversed().map { group.worldRanks[$0] }
    try expect(half.worldRanks, Array(members), "members")
    try expect(half.worldRanks[half.rank], group.worldRanks[rank], "own place")
    let sum = try half.allReduce([Int32(rank)])
    try expect(sum, [Int32(members.reduce(0) { $0 + group.worldRanks.firstIndex(of: $1)! })], "sum in a half")
    let alone = try group.split(colour: rank, key: 0, name: "alone")
    try expect(alone.size, 1, "alone")
    try expect(try alone.allReduce([Float(3)]), [3], "sum alone")
  }

  func bytes() throws {
    let mine = [UInt8](repeating: UInt8(rank), count: 3 * rank)
    let all = try group.allGather(bytes: mine)
    try expect(all, (0..<size).map { [UInt8](repeating: UInt8($0), count: 3 * $0) }, "gathered")
    try expect(try group.broadcast(bytes: rank == 0 ? [7, 8, 9] : []), [7, 8, 9], "broadcast")
  }

  /// Rank r comes r times 50 ms late: none is through before the last has come.
  func barrier() throws {
    let pause = 0.05
    try group.barrier(label: "start")
    let start = DispatchTime.now().uptimeNanoseconds
    Thread.sleep(forTimeInterval: Double(rank) * pause)
    try group.barrier(label: "end")
    let seconds = Double(DispatchTime.now().uptimeNanoseconds - start) / 1e9
    // The first barrier lets ranks go at slightly different times.
    try expect(seconds > Double(size - 1) * pause * 0.9, true, "through after \(seconds) s")
  }

  /// Blocks of different lengths on the first rank, also where all are empty.
  func hostGather() throws {
    let all = try group.gather([Float](repeating: value, count: 3 * rank))
    let expected = (0..<size).map { [Float](repeating: Float($0 + 1), count: 3 * $0) }
    try expect(all, rank == 0 ? expected : nil, "gathered")
    try expect(try group.gather([Int32]()), rank == 0 ? expected.map { _ in [] } : nil, "nothing gathered")
  }

  /// 2(N-1)K/N for an all-reduce, (N-1)K/N for its two halves.
  func counters() throws {
    let before = group.counters
    try call(
      .allReduce, from: [Float](repeating: 1, count: 12 * size), to: [Float](repeating: 0, count: 12 * size),
      count: 12 * size)
    try call(
      .allGather, from: [Float](repeating: 1, count: 12), to: [Float](repeating: 0, count: 12 * size),
      count: 12)
    let counted = group.counters - before
    let bytes = size == 1 ? 0 : 48 * size
    try expect(counted[.allReduce].calls, size == 1 ? 0 : 1, "calls")
    try expect(counted[.allReduce].payloadBytes, bytes, "payload")
    try expect(counted[.allReduce].ringBytes, Double(2 * (size - 1) * 48), "ring bytes of all-reduce")
    try expect(counted[.allGather].ringBytes, Double((size - 1) * 48), "ring bytes of all-gather")
    try expect(counted.total.payloadBytes, 2 * bytes, "payload in all")
    try expect(counted.total.exposedSeconds > 0, size > 1, "time")
  }

  /// Numbers whose sum depends on the order give the same bits each time.
  func repeatable() throws {
    let mine = (0..<100_000).map { Float(sin(Double($0 * (rank + 1)))) }
    let zeros = [Float](repeating: 0, count: mine.count)
    let sums = try (0..<3).map { _ in try call(.allReduce, from: mine, to: zeros, count: mine.count) }
    try expect(sums[0] == sums[1] && sums[1] == sums[2], true, "the same bits")
    let others = try group.allGather(sums[0])
    try expect(others.allSatisfy { $0 == sums[0] }, true, "the same bits on all ranks")
  }
}

/// The bits of a small whole number as float16.
func halfBits(_ x: Float) -> UInt16 {
  if x == 0 { return 0 }
  let exponent = Int(x.exponent)
  let fraction = UInt16((x.significand - 1) * 1024)
  return UInt16((exponent + 15) << 10) | fraction
}

/// Numbers at a fixed address.
final class Memory<Element> {
  private let buffer: UnsafeMutableBufferPointer<Element>

  init(_ elements: [Element]) {
    buffer = .allocate(capacity: max(1, elements.count))
    _ = buffer.initialize(from: elements)
    count = elements.count
  }

  let count: Int
  var address: UnsafeMutableRawPointer { UnsafeMutableRawPointer(buffer.baseAddress!) }
  var elements: [Element] { Array(buffer.prefix(count)) }

  deinit { buffer.deallocate() }
}

/// Collectives in flight.
struct PendingList: ~Copyable {
  private var slots: [Slot] = []

  private final class Slot {
    var pending: Pending?
    init(_ pending: consuming Pending) { self.pending = consume pending }
  }

  mutating func add(_ pending: consuming Pending) { slots.append(Slot(pending)) }

  mutating func waitBackwards() throws {
    for slot in slots.reversed() { try slot.pending.take()?.wait() }
  }
}
