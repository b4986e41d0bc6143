import ApusCore

/// Memory of a device of a pipeline whose schedule keeps several micro-batches in flight: what persists, a slab of
/// saved values for each micro-batch in flight on each chunk, and one region that segments share.
///
/// Saved is what a chunk's forward segment writes and its backward segment reads; a micro-batch keeps it from the one
/// to the other, while segments of other micro-batches run. Everything else lives inside one segment. (S6, times the
/// micro-batches in flight; Narayanan et al. 2021, section 2.2.) With one micro-batch in flight `MemoryPlan` packs
/// saved values and the rest together and may need less.
package struct StageMemory: Hashable, Sendable {
  /// Parameters, gradients, optimizer states, inputs, results.
  package var persistentBytes = 0
  /// Saved values of a micro-batch, by chunk.
  package var slabBytes: [Int] = []
  /// Slabs of each chunk.
  package var slabs: [Int]
  /// Activations, gradients and workspace inside the segment that needs most.
  package var sharedBytes = 0

  package var savedBytes: Int { zip(slabBytes, slabs).reduce(0) { $0 + $1.0 * $1.1 } }
  package var totalBytes: Int { persistentBytes + savedBytes + sharedBytes }

  /// Reads the lifetimes of a recorded program.
  ///
  /// - Parameter inFlight: micro-batches that are between forward and backward at once, by chunk.
  package init(_ program: StepProgram, inFlight: [Int], workspace: WorkspaceCatalogue) {
    require(
      inFlight.count == program.chunkCount, "\(inFlight.count) counts for \(program.chunkCount) chunks")
    slabs = inFlight
    slabBytes = Array(repeating: 0, count: inFlight.count)
    persistentBytes = program.storages.reduce(0) {
      $0 + ($1.isPersistent ? Packing.align($1.byteCount, MemoryPlan.alignment) : 0)
    }
    for group in program.groups { add(group, program.storages, workspace) }
  }

  private mutating func add(_ group: [Segment], _ storages: [Storage], _ workspace: WorkspaceCatalogue) {
    var starts: [Int] = []
    var end = 0
    for segment in group {
      starts.append(end)
      end += segment.instructions.count
    }
    func segment(at instruction: Int) -> Int { (starts.firstIndex { $0 > instruction } ?? starts.count) - 1 }
    var shared = Array(repeating: [Block](), count: group.count)
    for block in GroupLifetimes(group, storages: storages).blocks {
      let (first, last) = (segment(at: block.lifetime.first), segment(at: block.lifetime.last))
      if first == last {
        shared[first].append(block)
      } else {
        require(
          group[first].kind == .forward && group[last].kind == .backward
            && group[first].chunk == group[last].chunk,
          "\(storages[block.storages[0]].name) lives from \(group[first].kind) to \(group[last].kind)")
        slabBytes[group[first].chunk] += Packing.align(block.byteCount, MemoryPlan.alignment)
      }
    }
    for (number, segment) in group.enumerated() {
      for (index, instruction) in segment.instructions.enumerated() {
        let bytes = workspace(instruction)
        guard bytes > 0 else { continue }
        let place = starts[number] + index
        shared[number].append(
          Block(storages: [], lifetime: Lifetime(first: place, last: place), byteCount: bytes))
      }
      sharedBytes = max(
        sharedBytes, Packing(shared[number], alignment: MemoryPlan.alignment).byteCount)
    }
  }
}
