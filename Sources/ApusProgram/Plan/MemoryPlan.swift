import ApusCore

/// Bytes of scratch memory that a backend needs while an instruction runs: part of its price, known before
/// anything runs.
package typealias WorkspaceCatalogue = (Instruction) -> Int

/// Every byte of a rank before step 1: a persistent region (parameters, optimizer states, inputs, results, caches, and
/// gradients that are summed over micro-batches) and one transient region in which each group's activations and
/// workspaces, and gradients of a single micro-batch, are packed by lifetime.
///
/// The whole plan is mapped before the first step, optimizer states included, so later steps need no more
/// than the first (S8).
package struct MemoryPlan: Sendable {
  /// Boundary of every storage: a multiple of this many bytes.
  package static let alignment = 256

  /// Byte offset of each storage in the arena; nil for storages that no instruction touches.
  package private(set) var offsets: [Int?]
  /// Byte offset of the workspace of each instruction that needs one, by segment and instruction.
  private var workspaces: [WorkspaceKey: Placement] = [:]
  package private(set) var persistentBytes = 0
  package private(set) var transientBytes = 0
  /// The largest sum of transient bytes alive at one instruction: no plan can be smaller.
  package private(set) var transientLowerBound = 0
  /// Bytes by role at the instruction where the most transient bytes are alive.
  package private(set) var bytesAtPeak: [Role: Int] = [:]
  /// Bytes alive at each instruction of each group, by role.
  package private(set) var timelines: [[[Role: Int]]] = []

  private struct WorkspaceKey: Hashable, Sendable {
    var segment: Segment.Kind
    var chunk: Int
    var instruction: Int
  }

  package struct Placement: Hashable, Sendable {
    package var offset: Int
    package var byteCount: Int
  }

  /// Place of the workspace of instruction `index` of a segment; nil where it needs none.
  package func workspace(_ segment: Segment.Kind, chunk: Int = 0, _ index: Int) -> Placement? {
    workspaces[WorkspaceKey(segment: segment, chunk: chunk, instruction: index)]
  }

  /// Size of the arena.
  package var totalBytes: Int { persistentBytes + transientBytes }
  package var lowerBound: Int { persistentBytes + transientLowerBound }
  /// Bytes lost to packing, as a share of the lower bound.
  package var waste: Double { Double(totalBytes - lowerBound) / Double(max(lowerBound, 1)) }

  package init(_ program: StepProgram, workspace: WorkspaceCatalogue) {
    offsets = Array(repeating: nil, count: program.storages.count)
    placePersistent(program)
    for group in program.groups { place(group, program.storages, workspace) }
    for role in Role.allCases where role.isPersistent {
      bytesAtPeak[role, default: 0] += program.persistentByteCount(of: role)
    }
  }

  private mutating func placePersistent(_ program: StepProgram) {
    for role in Role.allCases where role.isPersistent {
      for (index, storage) in program.storages.enumerated() where storage.role == role && storage.isPersistent {
        offsets[index] = persistentBytes
        persistentBytes += Packing.align(storage.byteCount, Self.alignment)
      }
    }
  }

  private mutating func place(_ group: [Segment], _ storages: [Storage], _ workspace: WorkspaceCatalogue) {
    var blocks = GroupLifetimes(group, storages: storages).blocks
    let activationBlocks = blocks.count
    var keys: [WorkspaceKey] = []
    var index = 0
    for segment in group {
      for (position, instruction) in segment.instructions.enumerated() {
        let bytes = workspace(instruction)
        if bytes > 0 {
          keys.append(WorkspaceKey(segment: segment.kind, chunk: segment.chunk, instruction: position))
          blocks.append(
            Block(storages: [], lifetime: Lifetime(first: index, last: index), byteCount: bytes))
        }
        index += 1
      }
    }
    let packing = Packing(blocks, alignment: Self.alignment)
    for (block, offset) in zip(blocks, packing.offsets) {
      for storage in block.storages {
        require(offsets[storage] == nil, "plan: \(storages[storage].name) lives in two groups")
        offsets[storage] = persistentBytes + offset
      }
    }
    for (position, key) in keys.enumerated() {
      let block = activationBlocks + position
      workspaces[key] = Placement(
        offset: persistentBytes + packing.offsets[block], byteCount: blocks[block].byteCount)
    }
    transientBytes = max(transientBytes, packing.byteCount)
    let roles = blocks.map { $0.storages.first.map { storages[$0].role } ?? .workspace }
    recordTimeline(blocks, roles, instructions: index)
  }

  private mutating func recordTimeline(_ blocks: [Block], _ roles: [Role], instructions: Int) {
    var changes: [Role: [Int]] = [:]
    for (block, role) in zip(blocks, roles) {
      changes[role, default: Array(repeating: 0, count: instructions + 1)][block.lifetime.first] +=
        block.byteCount
      changes[role, default: []][block.lifetime.last + 1] -= block.byteCount
    }
    var timeline: [[Role: Int]] = []
    var alive: [Role: Int] = [.activation: 0, .communication: 0, .workspace: 0]
    for index in 0..<instructions {
      for (role, change) in changes { alive[role, default: 0] += change[index] }
      timeline.append(alive)
      let sum = alive.values.reduce(0, +)
      if sum > transientLowerBound {
        transientLowerBound = sum
        bytesAtPeak.merge(alive) { $1 }
      }
    }
    timelines.append(timeline)
  }
}
