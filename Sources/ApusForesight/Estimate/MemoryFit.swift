import ApusCore
import ApusModels
import ApusProgram

/// Whether a training fits in some memory, and what would make it fit (domain reference S2, S25).
package struct MemoryFit: Hashable, Sendable {
  /// What would make it fit.
  package enum Remedy: Hashable, Sendable {
    /// It fits; a micro-batch may have up to so many sequences.
    case none(largestMicroBatch: Int)
    /// A smaller micro-batch, the largest that fits.
    case microBatch(Int)
    /// One sequence is too much; the longest sequence that fits alone.
    case sequenceLength(Int)
    /// What keeps its memory throughout is too much alone: weights, optimizer states, inputs, results, and gradients
    /// that are summed over micro-batches.
    case smallerModel(persistent: ByteCount)
  }

  package let needed: ByteCount
  package let available: ByteCount
  package let remedy: Remedy

  package var fits: Bool { needed <= available }

  /// The largest micro-batch that fits at the sequence length asked for; 0 when not even one sequence does.
  package var largestMicroBatch: Int {
    switch remedy {
    case .none(let count), .microBatch(let count): count
    case .sequenceLength, .smallerModel: 0
    }
  }

  /// The most sequences that are tried.
  static let mostSequences = 1 << 20

  /// Compares the peak of the run, a save included, with `available`; searches by doubling and bisection,
  /// recording and planning each candidate.
  package init(_ estimate: MemoryEstimate, available: ByteCount, workspace: WorkspaceCatalogue) {
    needed = estimate.peak
    self.available = available
    func fits(_ change: (inout TrainingProgramSettings) -> Void) -> Bool {
      var settings = estimate.settings
      change(&settings)
      guard let other = try? MemoryEstimate(estimate.model, settings, workspace: workspace) else {
        return false
      }
      return other.peak <= available
    }
    let asked = estimate.settings.microBatchSize
    // Sequence parallelism divides a sequence evenly.
    let layout = estimate.settings.layout
    let part = layout.sequenceParallel ? layout.tensor : 1
    if needed <= available {
      let count = Self.largest(upTo: Self.mostSequences, where: { n in fits { $0.microBatchSize = n } })
      // The head's scratch shrinks where its chunks are cut anew, so a smaller micro-batch may need more.
      remedy = .none(largestMicroBatch: max(asked, count ?? asked))
    } else if let count = Self.largest(
      upTo: asked - 1,
      where: { n in
        fits {
          $0.microBatchSize = n
          // The same batch then takes several of them.
          $0.accumulates = true
        }
      })
    {
      remedy = .microBatch(count)
    } else if let length = Self.largest(
      upTo: estimate.settings.sequenceLength / part,
      where: { n in
        fits {
          $0.microBatchSize = 1
          $0.sequenceLength = n * part
        }
      })
    {
      remedy = .sequenceLength(length * part)
    } else {
      remedy = .smallerModel(persistent: ByteCount(estimate.plan.persistentBytes))
    }
  }

  /// The largest number from 1 to `limit` for which `holds`, which is true up to some number and false
  /// beyond; nil when it is false for 1.
  package static func largest(upTo limit: Int, where holds: (Int) -> Bool) -> Int? {
    guard limit >= 1, holds(1) else { return nil }
    var good = 1
    while good < limit {
      let next = min(limit, 2 * good)
      guard holds(next) else { return bisect(good, next, holds) }
      good = next
    }
    return good
  }

  /// Between a number that holds and one that does not.
  private static func bisect(_ good: Int, _ bad: Int, _ holds: (Int) -> Bool) -> Int {
    var (good, bad) = (good, bad)
    while bad - good > 1 {
      let middle = (good + bad) / 2
      if holds(middle) { good = middle } else { bad = middle }
    }
    return good
  }
}
