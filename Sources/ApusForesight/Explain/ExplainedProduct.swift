/// A matrix product C = A B of square matrices as four GPU kernels would compute it, run here on numbers with every
/// global load counted: the ladder of domain reference B8.
package struct ExplainedProduct: Sendable {
  /// A rung of the ladder.
  package enum Kernel: String, CaseIterable, Sendable {
    /// A thread a result; neighbouring threads have neighbouring rows, so their loads of A lie a row apart.
    case naive
    /// Neighbouring threads have neighbouring columns: A is one number for all of them, B one line.
    case coalesced
    /// Blocks of threads bring tiles of A and B to shared memory and use each number as often as a tile is wide.
    case tiled
    /// Each thread of a tile computes several rows: a tile of B serves several tiles of A.
    case coarsened
  }

  /// Rows and columns of all matrices; a multiple of the tile times the coarsening.
  package let size: Int
  /// Rows and columns of a block of threads, and of a tile: a warp is one row of it.
  package static let tile = 32
  /// Results of a thread in the coarsened kernel.
  package static let coarsening = 4

  package init(size: Int = 128) { self.size = size }

  /// Small whole numbers, so that every order of sums gives the same product.
  private func a(_ index: Int) -> Int { index * 7 % 11 - 5 }
  private func b(_ index: Int) -> Int { index * 5 % 13 - 6 }
  private var startOfB: Int { size * size }

  /// Runs a kernel; gives its product and what it asked of memory.
  package func run(_ kernel: Kernel) -> (product: [Int], memory: WarpMemory) {
    switch kernel {
    case .naive: untiled(threadsAlongRows: true)
    case .coalesced: untiled(threadsAlongRows: false)
    case .tiled: tiled(rowsOfThread: 1)
    case .coarsened: tiled(rowsOfThread: Self.coarsening)
    }
  }

  /// Numbers that the closed form says are loaded: 2 M N K, over the tile's width where tiles are shared.
  package func expectedLoads(_ kernel: Kernel) -> Int {
    let pairs = size * size * size
    return switch kernel {
    case .naive, .coalesced: 2 * pairs
    case .tiled: 2 * pairs / Self.tile
    case .coarsened: pairs / Self.tile + pairs / (Self.tile * Self.coarsening)
    }
  }

  /// Each warp computes 32 results, from global memory alone.
  private func untiled(threadsAlongRows: Bool) -> (product: [Int], memory: WarpMemory) {
    var (product, memory) = (Array(repeating: 0, count: size * size), WarpMemory())
    for fixed in 0..<size {
      for start in stride(from: 0, to: size, by: WarpMemory.warpSize) {
        let threads = (start..<start + WarpMemory.warpSize).map { moving in
          threadsAlongRows ? (row: moving, column: fixed) : (row: fixed, column: moving)
        }
        for k in 0..<size {
          memory.load(threads.map { $0.row * size + k })
          memory.load(threads.map { startOfB + k * size + $0.column })
          for thread in threads {
            product[thread.row * size + thread.column] +=
              a(thread.row * size + k) * b(k * size + thread.column)
          }
        }
      }
    }
    return (product, memory)
  }

  /// Blocks of 32 x 32 threads share tiles; a thread computes `rowsOfThread` results, a tile apart.
  private func tiled(rowsOfThread: Int) -> (product: [Int], memory: WarpMemory) {
    let tile = Self.tile
    var (product, memory) = (Array(repeating: 0, count: size * size), WarpMemory())
    for top in stride(from: 0, to: size, by: tile * rowsOfThread) {
      for left in stride(from: 0, to: size, by: tile) {
        for k in stride(from: 0, to: size, by: tile) {
          let rows = top..<top + tile * rowsOfThread
          // A warp fetches a row of a tile.
          for row in rows { memory.load((0..<tile).map { row * size + k + $0 }) }
          for row in k..<k + tile { memory.load((0..<tile).map { startOfB + row * size + left + $0 }) }
          for row in rows {
            for column in left..<left + tile {
              for inner in k..<k + tile {
                product[row * size + column] += a(row * size + inner) * b(inner * size + column)
              }
            }
          }
        }
      }
    }
    return (product, memory)
  }
}
