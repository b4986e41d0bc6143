// How many micro-batches' activations a device holds at once. One is alive on a chunk from the start of its
// forward pass there to the end of its last backward half.
extension PipelineOrders {
  /// The most that a device holds, where a micro-batch counts once for each chunk that it is alive on: AFAB m,
  /// 1F1B min(m, devices - device) (domain reference B5).
  package func peakLive(device: Int) -> Int {
    var live = 0
    var peak = 0
    walk(device) { _, begins in
      live += begins ? 1 : -1
      peak = max(peak, live)
    }
    return peak
  }

  /// Whether `slabs` buffers a chunk suffice when micro-batch i uses buffer `i mod slabs`.
  package func areSlabsDisjoint(device: Int, slabs: Int) -> Bool {
    var held = Set<[Int]>()
    var disjoint = true
    walk(device) { action, begins in
      let slab = [action.chunk, action.microbatch % slabs]
      if begins { disjoint = held.insert(slab).inserted && disjoint } else { held.remove(slab) }
    }
    return disjoint
  }

  /// The fewest buffers a chunk for which `areSlabsDisjoint` holds.
  package func slabsNeeded(device: Int) -> Int {
    (1...microbatches).first { areSlabsDisjoint(device: device, slabs: $0) } ?? microbatches
  }

  /// Calls for every beginning and end of a life, in order.
  private func walk(_ device: Int, _ visit: (PipelineAction, _ begins: Bool) -> Void) {
    for action in orders[device] {
      switch action.work {
      case .forward: visit(action, true)
      case .backward, .backwardWeight: visit(action, false)
      case .backwardInput: break
      }
    }
  }
}
