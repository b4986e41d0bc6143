import ApusCommunication
import ApusCore
import ApusProgram
import CApusKernels
import Foundation

/// Runs a program on this machine's processor: oneDNN for matrix products, our kernels for the rest.
///
/// Preparing maps the arena, makes the matrix products and fixes every address; what can fail fails there.
/// One thread at a time drives an executor; kernels spread over the shared thread pool. A program of several
/// ranks is run by one executor a rank, each bound to its rank's groups.
package final class Executor {
  package let program: StepProgram
  package let plan: MemoryPlan
  let arena: ArenaBox
  private let binder: Binder
  private let threads: Int
  private let ranks: RankGroups
  private var segments: [Segment.Kind: [(kernel: Binder.Kernel, condition: Condition)]] = [:]

  /// An owner for the arena, which a class may hold.
  final class ArenaBox {
    let arena: Arena
    init(_ arena: consuming Arena) { self.arena = arena }
  }

  /// Prepares `program` on `threads` threads for the rank of `ranks`. With `checksMemory` a plan larger than the
  /// memory that is free is refused before anything is mapped.
  package init(
    _ program: StepProgram, threads: Int, ranks: RankGroups = .single, checksMemory: Bool = true
  ) throws(RuntimeFailure) {
    require(
      ranks.position.mesh == program.mesh, "a program of \(program.mesh) on a rank of \(ranks.position.mesh)")
    try Self.checkCanRun(program)
    apus_set_thread_count(Int32(threads))
    let products = ProductCache()
    let catalogue = CPUCatalogue(threads: threads, products: products)
    let plan = MemoryPlan(program, workspace: catalogue.workspace)
    if checksMemory { try Self.check(plan, program) }
    arena = ArenaBox(try Arena(byteCount: plan.totalBytes))
    self.program = program
    self.plan = plan
    self.threads = threads
    self.ranks = ranks
    binder = Binder(base: arena.arena.base, plan: plan, products: products, ranks: ranks)
    for segment in program.segments {
      var kernels: [(kernel: Binder.Kernel, condition: Condition)] = []
      for (index, instruction) in segment.instructions.enumerated() {
        let place = plan.workspace(segment.kind, index)
        let kernel = try binder.bind(instruction, workspace: place.map { arena.arena.base + $0.offset })
        kernels.append((kernel, instruction.condition))
      }
      segments[segment.kind] = kernels
    }
    fillTables()
  }

  /// The rank that this executor runs.
  package var position: MeshPosition { ranks.position }

  /// What has gone over each axis since the rank's groups were made.
  package var communication: [MeshAxis: CommunicationCounters] { ranks.counters }

  /// Tells `observer` of each transfer of the rank from now on; nil ends that.
  package func observeTransfers(_ observer: (@Sendable (Flight) -> Void)?) { ranks.observe(observer) }

  /// Runs the instructions of a segment for a micro-batch (counted from 0 within the step), those of the step's
  /// last one only where `isLast`.
  ///
  /// - Throws: when another rank cannot go on; a program of one rank never does.
  package func run(
    _ kind: Segment.Kind, microbatch: Int = 0, isLast: Bool = true
  ) throws(CommunicationError) {
    // Kernels hold addresses in the arena and the library's products, which end with the executor.
    defer { withExtendedLifetime(self) {} }
    for (kernel, condition) in kernels(kind, microbatch) where condition.holds(isLast: isLast) {
      try kernel(microbatch)
    }
  }

  /// As `run`, adding the seconds of each instruction to `seconds`.
  package func run(
    _ kind: Segment.Kind, microbatch: Int, isLast: Bool = true, addingTo seconds: inout [Double]
  ) throws(CommunicationError) {
    defer { withExtendedLifetime(self) {} }
    for (index, (kernel, condition)) in kernels(kind, microbatch).enumerated()
    where condition.holds(isLast: isLast) {
      let start = DispatchTime.now().uptimeNanoseconds
      try kernel(microbatch)
      seconds[index] += Double(DispatchTime.now().uptimeNanoseconds - start) / 1e9
    }
  }

  /// As `run`, for a program of one rank, which has nobody to wait for.
  package func runAlone(_ kind: Segment.Kind) {
    do { try run(kind) } catch { require(false, "\(error)") }
  }

  package func runAlone(_ kind: Segment.Kind, addingTo seconds: inout [Double]) {
    do { try run(kind, microbatch: 0, addingTo: &seconds) } catch { require(false, "\(error)") }
  }

  /// As `run`, checking after each instruction that nothing outside its outputs and workspace changed.
  /// Copies the arena each time: for small programs in tests. Between the start and the end of a move its output
  /// may change at any time.
  package func runAudited(_ kind: Segment.Kind, microbatch: Int = 0, isLast: Bool = true) throws {
    guard let segment = program.segment(kind) else { return }
    let mapped = arena.arena.byteCount + Arena.guardByteCount
    var underWay: [Int: Tensor] = [:]
    for (index, (kernel, condition)) in kernels(kind, microbatch).enumerated()
    where condition.holds(isLast: isLast) {
      let before = UnsafeMutableRawPointer.allocate(byteCount: mapped, alignment: 64)
      defer { before.deallocate() }
      before.copyMemory(from: arena.arena.base, byteCount: mapped)
      try kernel(microbatch)
      let instruction = segment.instructions[index]
      if case .startMove(let start) = instruction.op {
        underWay[start.transfer] = instruction.outputs[0].tensor
      }
      var allowed = (instruction.outputs.map(\.tensor) + Array(underWay.values)).map { tensor in
        let start = binder.address(tensor) - arena.arena.base
        return start..<start + tensor.byteCount
      }
      if case .waitMove(let wait) = instruction.op { underWay[wait.transfer] = nil }
      if let place = plan.workspace(kind, index) {
        allowed.append(place.offset..<place.offset + place.byteCount)
      }
      var from = 0
      for slot in allowed.sorted(by: { $0.lowerBound < $1.lowerBound }) + [mapped..<mapped] {
        if from < slot.lowerBound, memcmp(before + from, arena.arena.base + from, slot.lowerBound - from) != 0
        {
          throw SlotViolation(
            instruction: "\(instruction.label) \(instruction.op.name)", byteRange: from..<slot.lowerBound)
        }
        from = max(from, slot.upperBound)
      }
    }
  }

  func kernels(
    _ kind: Segment.Kind, _ microbatch: Int
  ) -> [(kernel: Binder.Kernel, condition: Condition)] {
    require(
      microbatch == 0 || program.accumulates, "no place for sums of gradients over micro-batch \(microbatch)")
    apus_set_thread_count(Int32(threads))
    guard let kernels = segments[kind] else {
      require(false, "the program has no \(kind) segment")
      return []
    }
    return kernels
  }

  // MARK: Host access

  /// The numbers of a tensor, for the host to read or write between segments.
  package func floats(_ tensor: Tensor) -> UnsafeMutableBufferPointer<Float> {
    UnsafeMutableBufferPointer(start: binder.floats(tensor), count: tensor.count)
  }

  /// The numbers of a tensor of any floating-point type, widened to float32.
  package func values(_ tensor: Tensor) -> [Float] {
    Binder.elements(tensor.type).values(of: tensor, binder)
  }

  /// Lets `body` write the numbers of a tensor in float32; they are rounded to its type.
  package func write(to tensor: Tensor, _ body: (UnsafeMutableBufferPointer<Float>) -> Void) {
    guard tensor.type != .float32 else { return body(floats(tensor)) }
    withUnsafeTemporaryAllocation(of: Float.self, capacity: tensor.count) { values in
      body(values)
      Binder.elements(tensor.type).bindRounding(binder, tensor, from: values.baseAddress!)()
    }
  }

  /// Rounds the rank's master weights into those that forward reads; does nothing where there are none.
  package func roundMasterWeights() {
    for unit in program.units {
      if let master = unit.master { round(master, into: unit.part(of: unit.weights)) }
    }
  }

  /// Makes weights whole again of which each rank has set its part: what ZeRO-1 and 2 divide for the optimizer.
  package func gatherWeights() throws(CommunicationError) {
    for unit in program.units where unit.shard != nil && unit.weights.count == unit.count {
      guard let group = ranks.group(along: .shard) else { continue }
      let part = unit.part(of: unit.weights)
      try group.run(
        Collective(
          .allGather, from: binder.address(part), to: binder.address(unit.weights), count: part.count,
          type: part.type, label: "\(unit.name) weights"))
    }
  }

  /// Copies float32 numbers into a tensor of any floating-point type, rounded to nearest even.
  package func round(_ numbers: Tensor, into tensor: Tensor) {
    Binder.elements(tensor.type).round(numbers, into: tensor, binder)
  }

  /// Sets every bit of a tensor to zero.
  package func zero(_ tensor: Tensor) {
    memset(binder.address(tensor), 0, tensor.byteCount)
  }

  /// The integers of a tensor, for the host to read or write between segments.
  package func ints(_ tensor: Tensor) -> UnsafeMutableBufferPointer<Int32> {
    UnsafeMutableBufferPointer(start: binder.ints(tensor), count: tensor.count)
  }

  /// Sets a field of the control tensor.
  package func set(_ field: Control, _ value: Double) {
    floats(program.control)[field.rawValue] = Float(value)
  }

  /// Fills the mapping with a pattern, so that `arenaHighWater` can tell later what was touched. All content
  /// is lost; tables are filled again.
  package func poison() {
    arena.arena.fillWithPoison()
    fillTables()
  }

  /// As `poison` for the last MiB of the plan alone, which costs next to nothing: `arenaHighWater` then tells how far
  /// the plan is used, unless that is less than all but this MiB.
  package func markEnd() {
    arena.arena.markEnd()
    fillTables()
  }

  /// End of the last byte of the arena that was touched since `poison` or `markEnd`.
  package var arenaHighWater: Int { arena.arena.highWater() }

  private func fillTables() {
    for table in program.tables {
      switch table.content {
      case .rotary(let sine, let frequencies):
        let values = floats(table.tensor)
        for position in 0..<table.tensor.rows {
          for (index, frequency) in frequencies.enumerated() {
            let angle = Double(position) * frequency
            values[position * frequencies.count + index] = Float(sine ? sin(angle) : cos(angle))
          }
        }
      }
    }
  }

  /// Refuses a layout with an axis that this backend does not run along, by name and before anything starts.
  package static func checkAxes(_ layout: ParallelLayout) throws(RuntimeFailure) {
    for (axis, degree) in [(MeshAxis.context, layout.context), (.pipeline, layout.pipeline)]
    where degree > 1 {
      throw .notRun(axis: axis, degree: degree)
    }
  }

  private static func checkCanRun(_ program: StepProgram) throws(RuntimeFailure) {
    try checkAxes(program.mesh.layout)
    let hasExperts = program.segments.contains { segment in
      segment.instructions.contains { if case .route = $0.op { true } else { false } }
    }
    if hasExperts { throw .noExperts }
  }

  /// Plans `program` and refuses it if the plan, once for each rank on this machine, is larger than the memory
  /// that is free.
  package static func checkFit(
    _ program: StepProgram, threads: Int, ranksOnMachine: Int = 1
  ) throws(RuntimeFailure) {
    try checkCanRun(program)
    try check(
      MemoryPlan(program, workspace: CPUCatalogue(threads: threads).workspace), program, ranksOnMachine)
  }

  private static func check(
    _ plan: MemoryPlan, _ program: StepProgram, _ ranksOnMachine: Int = 1
  ) throws(RuntimeFailure) {
    let available = AvailableMemory.byteCount() / ranksOnMachine
    guard plan.totalBytes > available else { return }
    let largest = program.storages.sorted { $0.byteCount > $1.byteCount }.prefix(3)
    let fixed = plan.persistentBytes
    let remedy =
      fixed > available
      ? "\(program.keptText) alone take \(ByteCount(fixed)): use a smaller model or more memory"
      : "use a smaller micro-batch or a shorter sequence (what is computed in a step takes "
        + "\(ByteCount(plan.transientBytes)))"
    throw .doesNotFit(
      needed: plan.totalBytes, available: available,
      largest: largest.map { (name: $0.name, byteCount: $0.byteCount) }, remedy: remedy)
  }
}

extension ElementKernels {
  fileprivate static func values(of tensor: Tensor, _ binder: Binder) -> [Float] {
    [Float](unsafeUninitializedCapacity: tensor.count) { buffer, count in
      widen(buffer.baseAddress, at(binder, tensor), Int64(tensor.count), 0)
      count = tensor.count
    }
  }

  fileprivate static func round(_ master: Tensor, into weights: Tensor, _ binder: Binder) {
    narrow(at(binder, weights), binder.floats(master), Int64(master.count), 0)
  }
}
