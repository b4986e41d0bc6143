import ApusCore
import Foundation

/// Runs ranks as threads of this process.
package enum LocalRanks {
  /// Runs `body` on `count` threads and returns what the ranks return, in order of rank.
  ///
  /// When a rank throws, the others' collectives throw too, and so does this function: the first error that is
  /// not a consequence of another rank's. When a rank stalls, the others throw after `stallLimit` seconds, and
  /// this function leaves the stalled thread to itself after as long again.
  ///
  /// - Parameters:
  ///   - stallLimit: seconds for which ranks wait in a collective for one that does not come.
  ///   - stackSize: bytes of each thread's stack.
  package static func run<Result: Sendable>(
    _ count: Int, stallLimit: Double = 60, stackSize: Int = 16 << 20,
    _ body: @escaping @Sendable (LocalWorld) throws -> Result
  ) throws -> [Result] {
    let shared = LocalWorld.Shared(size: count, stallLimit: stallLimit)
    let outcomes = Outcomes<Result>(count: count)
    for rank in 0..<count {
      let thread = Thread {
        do {
          outcomes.put(.success(try body(LocalWorld(shared, rank: rank))), of: rank)
        } catch {
          // Recorded first, so that the cause comes before its consequences.
          outcomes.put(.failure(error), of: rank)
          shared.fail(rank: rank, "\(error)")
        }
      }
      thread.stackSize = stackSize
      thread.name = "rank \(rank)"
      thread.start()
    }
    return try outcomes.take(patience: stallLimit)
  }
}

/// What the ranks returned or threw, filled in by their threads.
///
/// All mutable state is guarded by `condition`.
private final class Outcomes<Value: Sendable>: @unchecked Sendable {
  private let condition = NSCondition()
  private var results: [Result<Value, any Error>?]
  /// Errors in the order in which they came.
  private var errors: [any Error] = []

  init(count: Int) { results = Array(repeating: nil, count: count) }

  func put(_ result: Result<Value, any Error>, of rank: Int) {
    condition.lock()
    results[rank] = result
    if case .failure(let error) = result { errors.append(error) }
    condition.broadcast()
    condition.unlock()
  }

  /// Waits for all ranks; once one has failed, for the others only `patience` seconds.
  func take(patience: Double) throws -> [Value] {
    condition.lock()
    defer { condition.unlock() }
    while errors.isEmpty, results.contains(where: { $0 == nil }) { condition.wait() }
    let limit = Date(timeIntervalSinceNow: min(patience, 1e6))
    while results.contains(where: { $0 == nil }), condition.wait(until: limit) {}
    let cause = errors.first { !($0 is CommunicationError) } ?? errors.first
    if let cause { throw cause }
    return try results.map { try $0!.get() }
  }
}
