/// Counts what the threads of a GPU ask of its global memory: the 32 threads of a warp load together, and memory
/// answers in lines of 128 bytes, one transaction for each line that any of them touches.
///
/// Source: domain reference B8. A counter, not a GPU: caches, banks and latency are left out.
package struct WarpMemory: Hashable, Sendable {
  /// Threads that load at the same time.
  package static let warpSize = 32
  package static let lineBytes = 128
  static let elementBytes = 4

  /// Numbers that threads loaded from global memory.
  package private(set) var elementLoads = 0
  /// Load instructions of whole warps.
  package private(set) var warpLoads = 0
  /// Lines that memory had to deliver.
  package private(set) var transactions = 0

  /// Loads the float32 numbers at these element addresses, one a thread.
  mutating func load(_ addresses: [Int]) {
    elementLoads += addresses.count
    warpLoads += 1
    transactions += Set(addresses.map { $0 * Self.elementBytes / Self.lineBytes }).count
  }

  package var linesPerWarpLoad: Double { Double(transactions) / Double(max(1, warpLoads)) }
  /// What crosses the memory bus.
  package var bytes: Int { transactions * Self.lineBytes }
}
