import ApusCore
import CApusMPI
import Foundation

/// All-reduce, reduce-scatter and all-gather around a ring (Patarasu and Yuan 2009), by our own sums.
///
/// The buffer has one block a rank. In the first half each block travels once around, every rank adding its
/// own numbers; rank r ends with the sum of block r. In the second half the blocks travel around once more. A
/// block is cut into segments, each going around in a lane of its own, a few at a time: so that adding one
/// segment overlaps with the transfer of others. Every element is added in the same order in each run.
final class MPIRingJob: MPIJob {
  /// Bytes of a segment and segments in flight: measured, see docs/architecture.md.
  static let segmentByteCount = 512 * 1024
  static let laneCount = 3

  private let group: OpaquePointer
  private let rank: Int
  private let size: Int
  private let collective: Collective
  private let number: Int
  private let adds: Bool
  private let steps: Int
  /// Elements of a block; the last blocks of an all-reduce may be shorter.
  private let blockCount: Int
  private let segmentCount: Int
  private var lanes: [Lane] = []
  private var nextSegment = 0
  private let segments: Int
  private let scratch: MPIScratch

  /// A segment on its way.
  private struct Lane {
    let segment: Int
    var step = 0
    var isPosted = false
    var sending: apus_mpi_request = 0
    var receiving: apus_mpi_request = 0
    var buffers: (UnsafeMutableRawPointer, UnsafeMutableRawPointer)?
  }

  /// - Parameter number: of the collective in its group, the same on all ranks.
  init(_ collective: Collective, number: Int, group: OpaquePointer, rank: Int, size: Int, scratch: MPIScratch)
  {
    self.collective = collective
    self.number = number
    self.group = group
    self.rank = rank
    self.size = size
    self.scratch = scratch
    adds = collective.kind != .allGather
    steps = (size - 1) * (collective.kind == .allReduce ? 2 : 1)
    let even = (collective.count + size - 1) / size
    blockCount = collective.kind == .allReduce ? (even + 15) / 16 * 16 : collective.count
    segmentCount = Self.segmentByteCount / collective.type.byteCount
    segments = (blockCount + segmentCount - 1) / segmentCount
  }

  var isOver: Bool { lanes.isEmpty && nextSegment >= segments }

  func advance() throws(MPIFault) -> Bool {
    var hasMoved = false
    while lanes.count < Self.laneCount, nextSegment < segments {
      open(nextSegment)
      nextSegment += 1
      hasMoved = true
    }
    for index in lanes.indices {
      while try step(&lanes[index]) { hasMoved = true }
    }
    lanes.removeAll { lane in
      guard lane.step == steps else { return false }
      if let buffers = lane.buffers { scratch.give(buffers.0, buffers.1) }
      return true
    }
    return hasMoved
  }

  private func open(_ segment: Int) {
    var lane = Lane(segment: segment)
    if adds {
      lane.buffers = (scratch.take(), scratch.take())
    } else {
      let (first, count) = extent(of: rank, lane)
      let source = collective.input! + segment * segmentCount * collective.type.byteCount
      let target = collective.output! + first * collective.type.byteCount
      if source != UnsafeRawPointer(target) { memmove(target, source, count * collective.type.byteCount) }
    }
    lanes.append(lane)
  }

  /// Moves a lane on by a step; false while its messages are under way or when it is through.
  private func step(_ lane: inout Lane) throws(MPIFault) -> Bool {
    guard lane.step < steps else { return false }
    if !lane.isPosted {
      try post(&lane)
      lane.isPosted = true
    }
    var sent: Int32 = 0
    var received: Int32 = 0
    try MPIFault.check(apus_mpi_test(&lane.receiving, &received), collective.text)
    try MPIFault.check(apus_mpi_test(&lane.sending, &sent), collective.text)
    guard sent != 0, received != 0 else { return false }
    if isAdding(lane.step) { add(lane) }
    lane.step += 1
    lane.isPosted = false
    return true
  }

  private func isAdding(_ step: Int) -> Bool { adds && step < size - 1 }

  /// The blocks that this rank sends and receives in a step.
  private func blocks(_ step: Int) -> (sent: Int, received: Int) {
    let shift = isAdding(step) ? 1 + step : adds ? step - (size - 1) : step
    return ((rank - shift + 2 * size) % size, (rank - shift - 1 + 2 * size) % size)
  }

  /// First element in the buffer and number of elements of a lane's segment in a block.
  private func extent(of block: Int, _ lane: Lane) -> (first: Int, count: Int) {
    let limit =
      collective.kind == .allReduce
      ? min(blockCount, max(0, collective.count - block * blockCount)) : blockCount
    let start = lane.segment * segmentCount
    return (block * blockCount + start, max(0, min(segmentCount, limit - start)))
  }

  private func post(_ lane: inout Lane) throws(MPIFault) {
    let size = collective.type.byteCount
    let (sent, received) = blocks(lane.step)
    let out = extent(of: sent, lane)
    let back = extent(of: received, lane)
    let source: UnsafeRawPointer
    let target: UnsafeMutableRawPointer
    if isAdding(lane.step), let buffers = lane.buffers {
      let (now, before) = lane.step % 2 == 0 ? (buffers.0, buffers.1) : (buffers.1, buffers.0)
      source = lane.step == 0 ? collective.input! + out.first * size : UnsafeRawPointer(before)
      target = now
    } else {
      source = UnsafeRawPointer(collective.output! + out.first * size)
      target = collective.output! + back.first * size
    }
    let tag = MPITag.ring(collective: number, lane: lane.segment)
    if back.count > 0 {
      try MPIFault.check(
        apus_mpi_receive(
          group, target, Int64(back.count * size), Int32((rank + self.size - 1) % self.size), tag,
          &lane.receiving), collective.text)
    }
    if out.count > 0 {
      try MPIFault.check(
        apus_mpi_send(
          group, source, Int64(out.count * size), Int32((rank + 1) % self.size), tag, &lane.sending),
        collective.text)
    }
  }

  /// Adds this rank's numbers to what has come; the last sum is the result.
  private func add(_ lane: Lane) {
    let block = blocks(lane.step).received
    let (first, count) = extent(of: block, lane)
    guard count > 0, let buffers = lane.buffers else { return }
    let come = lane.step % 2 == 0 ? buffers.0 : buffers.1
    let size = collective.type.byteCount
    var target = come
    if lane.step == self.size - 2 {
      let inOutput = collective.kind == .allReduce ? first : first - block * blockCount
      target = collective.output! + inOutput * size
    }
    RankSum.run(
      collective.reduction, collective.type,
      inputs: [UnsafeRawPointer(come), collective.input! + first * size],
      outputs: [target], count: count)
  }
}

/// Buffers of a segment each, kept for the next ring. Used by the communication thread alone.
final class MPIScratch {
  private var free: [UnsafeMutableRawPointer] = []

  func take() -> UnsafeMutableRawPointer {
    free.popLast() ?? .allocate(byteCount: MPIRingJob.segmentByteCount, alignment: 64)
  }

  func give(_ buffers: UnsafeMutableRawPointer...) { free += buffers }
}
